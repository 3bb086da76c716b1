//! The configuration as its users meet it: texts in, a configuration or its problems out.

mod arbitrary;
mod common;
mod deploy;
mod design;
mod ecs;
mod errors;
mod lambda;
mod limits;
mod mail;
mod rules;
mod schedules;
mod single_host;
mod sources;
mod variables;
