//! Wharf on AWS: tasks on ECS, routes on ELBv2, the registry on DynamoDB, wakes on SQS, secrets in Secrets Manager. The cloud's
//! types end here.

pub mod clients;
pub mod failure;
pub mod governor;
pub mod operations;

pub use clients::{ClientOptions, Clients};
pub use governor::Governor;
