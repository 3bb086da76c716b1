//! The simulated world: stand-ins that have a state of their own, can be slow, can fail to order, and can be searched for
//! leftovers. One seed, one course of events, to the byte.
//!
//! | file | what it is for |
//! |---|---|
//! | `world` | everything there is outside the registry, and what a test may ask of it |
//! | `process` | one run of Wharf: it can be paused, and killed at any call |
//! | `calls` | what every call goes through: the process's gate, the trace, the faults |
//! | `faults`, `trace` | what goes wrong and when; what happened, as a text that can be compared |
//! | `audit` | somebody who is told of every change and may look at everything |
//! | `flaws` | mistakes that Wharf does not make, to be made on purpose: whoever checks has to notice them |
//! | `tasks`, `routes`, `databases`, `secrets`, `mailer`, `prober`, `logs` | one trait of the platform each |
//! | `store` | the registry, in memory |
//! | `registry` | the same as one process sees it: through its gate, and into the trace |
//! | `clock`, `chance`, `waker` | time from tokio's paused clock, chance from the seed, wakes that can be lost |
//! | `services`, `wharf` | services to try things on, and a whole deployment of Wharf that can crash and come back |

pub mod audit;
mod calls;
pub mod chance;
pub mod clock;
pub mod databases;
pub mod faults;
pub mod flaws;
mod logs;
mod mailer;
mod poster;
mod prober;
pub mod process;
mod registry;
pub mod routes;
mod secrets;
pub mod services;
pub mod store;
pub mod tasks;
pub mod trace;
pub mod waker;
pub mod wharf;
pub mod world;

pub use audit::{Audit, View};
pub use chance::SimIds;
pub use clock::SimClock;
pub use faults::{Mishap, When};
pub use flaws::Flaw;
pub use process::{Edge, Process};
pub use store::SimStore;
pub use tasks::{Answers, Behaviour, EventManner};
pub use waker::SimWaker;
pub use wharf::SimWharf;
pub use world::SimWorld;
