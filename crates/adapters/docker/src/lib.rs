//! Tasks as Docker containers, by the Engine API.
//!
//! | module | what it is for |
//! |---|---|
//! | `tasks` | [`DockerTasks`]: the traits `Tasks` and `TaskEvents` |
//! | `start` | a start from the image to a container that runs, at most one for each owner |
//! | `shape` | from a specification and its image to what Docker is asked for; the protections are here. Pure |
//! | `image` | images: whether they fit, pulling them, with whose credentials (`credentials`) |
//! | `network` | the deployment's network, on which tenants cannot reach one another, and the addresses in it |
//! | `marks` | how a container says whose it is: name and labels. Pure |
//! | `pool` | containers that are started ahead and claimed by a sign-up; how one is told whose it became (`slots`) |
//! | `pausing` | containers that stand still, and the memory that one uses |
//! | `seen` | a container as Docker describes it |
//! | `cause` | why a container stopped, in words. Pure |
//! | `events` | Docker's events, and what was missed while there were none |
//! | `logs` | [`DockerLogs`]: what containers print |
//! | `failure` | what Docker's errors mean |
//! | `engine` | the connection: socket or address, version |
//! | `doctor` | looks before anything is started |
//!
//! What must not be here: decisions about instances. This crate does what it is told, and tells what it sees.
//!
//! # Who restarts, and who remembers
//!
//! Docker's restart policy is off: a container runs once, and Wharf decides what comes after it. Containers live on when Wharf ends. Nothing of
//! them is kept in Wharf's own files: name and labels say whose a container is, so that the next Wharf finds it, and a start that is said again
//! is the same container. A container that ended stays, without memory and processors, for its output, until its instance is forgotten.

mod cause;
mod credentials;
pub mod doctor;
mod engine;
mod events;
mod failure;
mod image;
mod logs;
mod marks;
mod network;
mod pausing;
mod pool;
mod seen;
mod shape;
mod slots;
mod start;
mod stock;
mod tasks;
mod world;

pub use logs::DockerLogs;
pub use pool::WarmService;
pub use stock::WarmStock;
pub use tasks::DockerTasks;
pub use world::DockerOptions;
