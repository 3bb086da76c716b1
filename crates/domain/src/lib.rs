//! Wharf's words and rules: names, ids, requests, states and their legal transitions, error codes.
//!
//! What must not be here: async, I/O, clocks, randomness. Everything in this crate is a value or a pure function of values,
//! so that whatever it decides can be tested without a world around it.

pub mod booking;
pub mod event;
pub mod failure;
pub mod id;
pub mod instance;
pub mod letter;
pub mod name;
pub mod request;
pub mod schedule;
pub mod service;
pub mod state;
pub mod tenant;
pub mod time;
pub mod webhook;

pub use booking::Booking;
pub use failure::{Code, Failure, Fault};
pub use id::{Attempt, DeploymentId, InstanceId, StatusToken};
pub use instance::{Endpoint, Instance, Resources};
pub use letter::{LetterKind, LetterTemplate};
pub use name::{ScheduleName, ServiceName, Subdomain, WebhookName};
pub use schedule::Schedule;
pub use service::Service;
pub use state::State;
pub use tenant::{CompanyName, Email, Tenant};
pub use time::Timestamp;
