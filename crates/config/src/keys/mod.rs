//! The table of keys: everything that `wharf.toml` may say, in the order of the reference.
//!
//! A new setting is a key here, its place in its section's list, and a field in `settings` or `services`.

pub(crate) mod aws;
pub(crate) mod databases;
pub(crate) mod docker;
pub(crate) mod ecs;
pub(crate) mod limits;
pub(crate) mod mail;
pub(crate) mod schedule;
pub(crate) mod service;
pub(crate) mod system;
pub(crate) mod webhook;

use crate::table::{Node::Section as Sub, Presence, Section};

pub(crate) static ROOT: Section = Section {
    name: "",
    doc: "",
    presence: Presence::Always,
    children: &[
        Sub(&system::SERVER),
        Sub(&system::PLATFORM),
        Sub(&limits::LIMITS),
        Sub(&system::SIGNUP),
        Sub(&system::NAMES),
        Sub(&system::PORTS),
        Sub(&system::HEAL),
        Sub(&databases::DATABASES),
        Sub(&system::REPAIR),
        Sub(&mail::MAIL),
        Sub(&webhook::WEBHOOKS),
        Sub(&webhook::NOTIFY),
        Sub(&system::EVENTS),
        Sub(&system::LOG),
        Sub(&aws::REGISTRY),
        Sub(&docker::SYSTEM),
        Sub(&aws::AWS),
        Sub(&service::SERVICES),
        Sub(&schedule::SCHEDULES),
    ],
};
