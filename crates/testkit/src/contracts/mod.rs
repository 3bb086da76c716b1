//! Contract suites: what each trait wants of whoever implements it, as checks that run against any implementation.

pub mod databases;
pub mod harness;
pub mod logs;
pub mod mailer;
pub mod prober;
pub mod routes;
pub mod secrets;
pub mod store;
pub mod tasks;
pub mod waker;
