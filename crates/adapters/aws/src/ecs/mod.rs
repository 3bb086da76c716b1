//! Tasks on Amazon ECS.
//!
//! | file | what it is for |
//! |---|---|
//! | `tasks` | [`EcsTasks`]: start, look, find, stop, list |
//! | `run` | the request that starts a task, and what ECS makes of it |
//! | `marks` | whose a task is: `startedBy`, tags, client token |
//! | `definitions`, `shape` | task definitions; which container and port of them |
//! | `derived` | definitions of our own, for static host ports |
//! | `look` | DescribeTasks, for all who wait at once |
//! | `seen`, `events` | a task as the API and as EventBridge show it |
//! | `places`, `endpoint` | where a task listens |
//! | `needs` | what a task definition needs allowed |
//! | `unplaced`, `stopped` | why a task was not started, and why it stopped |
//! | `targets` | whether a target group can take such a task |

mod definitions;
mod derived;
mod endpoint;
mod events;
mod look;
mod marks;
mod needs;
mod places;
mod run;
mod seen;
mod shape;
mod stopped;
mod targets;
mod tasks;
mod unplaced;

pub(crate) use definitions::{Definition, Definitions, NetworkMode};
pub(crate) use derived::MARK as DERIVED_MARK;
pub use needs::{Needs, needs};
pub(crate) use seen::cluster_and_id;
pub(crate) use shape::{Placement, Shape, is_reserved};
pub(crate) use targets::fits as target_type_fits;
pub use tasks::EcsTasks;

#[cfg(test)]
pub(crate) mod tests_support {
    pub(crate) use super::definitions::tests::definition;
}
