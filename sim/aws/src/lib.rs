//! Deterministic simulation of Wharf on AWS: the adapter, the function and servers as they are shipped, over the AWS simulator in the same process
//! and on simulated time. One seed decides what customers do, what AWS does, who dies, and what gets lost on the way.
//!
//! | file | what it is for |
//! |---|---|
//! | `account` | what is in AWS: services of every network mode and route, hosts, and what is others' |
//! | `process` | one process of Wharf, as AWS hears of it: all its calls pass its gate |
//! | `server`, `lambda`, `queue` | drivers: a machine that stays; invocations that are frozen and killed; what wakes them |
//! | `flaws` | mistakes that are made on purpose, to show that the rules notice them |
//! | `prober` | who answers at an address, without a socket |
//! | `script` | what a seed makes of a run: who does what when, in which weather |
//! | `stage` | plays it, lets it calm down, and ends everything |
//! | `rules/` | what has to hold all along, at rest, and when all is over |
//! | `report` | what came of it |
//!
//! What must not be in here: decisions of Wharf's, and any time, chance or socket of this machine's.

mod account;
mod flaws;
mod lambda;
mod prober;
mod process;
mod queue;
pub mod report;
mod rules;
pub mod script;
mod server;
mod site;
mod stage;

pub use flaws::Flaw;
pub use report::{Report, Violation};
pub use script::Script;
pub use stage::{Options, play, play_script};
