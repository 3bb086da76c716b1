//! Routes by load balancers that are not Wharf's own: targets in ELBv2 target groups, and the listener rule that leads to them.
//!
//! | file | what it is for |
//! |---|---|
//! | `routes` | [`ElbRoutes`]: the trait, put together from the rest |
//! | `api` | every call, through the governor, in Wharf's words |
//! | `groups` | target groups, described once |
//! | `target` | an endpoint as a group takes it |
//! | `health` | what ELB's words for a target's health mean; decides, calls nothing |
//! | `batches` | registrations of one group in one call |
//! | `looks` | one look at a group for all who ask at the same time |
//! | `memory` | what this process did to targets and when; may be forgotten at any time |
//! | `rules` | listener rules: made, found, removed |
//! | `rule` | a rule's conditions and priority; decides, calls nothing |
//! | `refusal` | ELB's refusals, and how to mend each |
//!
//! A target carries no mark of whose it is. That an endpoint is one instance's alone, the registry keeps; here an (id, port) is never touched but
//! for the endpoint that the caller names.

mod api;
mod batches;
mod groups;
mod health;
mod looks;
mod memory;
mod refusal;
mod routes;
mod rule;
mod rules;
mod target;

pub(crate) use api::Api;
pub use groups::{HealthCheck, TargetGroup, TargetKind};
pub use routes::ElbRoutes;
