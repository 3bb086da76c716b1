//! What every test of the program stands on: a deployment of its own, and ways to look at it from outside. What others stand on too (HTTP,
//! processes, a customer of the shop, waiting) is in `wharf-harness`.
//!
//! | file | what it is for |
//! |---|---|
//! | `deployment` | a data directory, a configuration and the server that runs on them; nothing outlives it |
//! | `cli` | the same program as a client: exit code and what it printed |
//! | `instances` | signing up, showing, waiting for a state: what most tests begin with |
//! | `mail` | what is in the folder of mails |
//! | `stripe` | events, signed as Stripe signs |
//!
//! What must not be here: assertions about one feature.

mod cli;
mod deployment;
mod instances;
mod mail;
mod stripe;

pub(crate) use cli::Ran;
pub(crate) use deployment::{Deployment, Refused, Setup};
pub(crate) use instances::text;
pub(crate) use mail::{password_link, plain};
pub(crate) use wharf_harness::{
    Answer, Customer, Event, Process, Seed, disk,
    processes::send,
    wait::{PATIENCE, eventually, spin},
};
