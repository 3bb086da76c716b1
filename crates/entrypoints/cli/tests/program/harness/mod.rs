//! What every test of the program stands on: a deployment of its own, and ways to look at it from outside.
//!
//! | file | what it is for |
//! |---|---|
//! | `deployment` | a data directory, a configuration and the server that runs on them; nothing outlives it |
//! | `client` | HTTP to any of its hosts, with the `Host` header under control |
//! | `events` | server-sent events |
//! | `cli` | the same program as a client: exit code and what it printed |
//! | `instances` | signing up, showing, waiting for a state: what most tests begin with |
//! | `mail` | what is in the folder of mails |
//! | `processes` | which processes there are, and whose |
//! | `ports` | ports that no other test uses |
//! | `shop` | a customer of the bundled storefront |
//! | `wait` | waiting for facts |
//!
//! What must not be here: assertions about one feature.

mod cli;
mod client;
mod deployment;
mod events;
mod instances;
mod mail;
mod ports;
mod processes;
mod shop;
mod wait;

pub(crate) use cli::Ran;
pub(crate) use client::Answer;
pub(crate) use deployment::{Deployment, Refused, Setup};
pub(crate) use events::Event;
pub(crate) use instances::text;
pub(crate) use mail::{password_link, plain};
pub(crate) use processes::{Process, send};
pub(crate) use shop::Customer;
pub(crate) use wait::{PATIENCE, eventually, spin};
