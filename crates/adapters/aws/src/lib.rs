//! Wharf on AWS: tasks on ECS, routes on ELBv2, the registry on DynamoDB, wakes on SQS, secrets in Secrets Manager, databases by a Lambda function.
//! The cloud's types end here.

pub mod clients;
pub mod databases;
pub mod doctor;
pub mod ec2;
pub mod ecs;
pub mod elb;
pub mod failure;
mod gathering;
pub mod governor;
pub mod logs;
mod once;
pub mod operations;
pub mod policy;
pub mod prober;
pub mod queue;
pub mod secrets;
mod signed;
pub mod store;
pub mod sts;
pub mod waker;

pub use clients::{ClientOptions, Clients, Surroundings};
pub use databases::FunctionDatabases;
pub use doctor::Doctor;
pub use ec2::Ec2;
pub use ecs::EcsTasks;
pub use elb::ElbRoutes;
pub use governor::Governor;
pub use logs::EcsLogs;
pub use prober::DirectProber;
pub use queue::QueueReceiver;
pub use secrets::{AwsSecrets, WharfSecrets};
pub use store::{DynamoStore, StoreCounters, Tables};
pub use sts::Sts;
pub use waker::{SqsWaker, WakeMessage};
