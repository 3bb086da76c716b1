//! Deterministic simulation of the whole of Wharf: engine, sagas, drivers, wakes, repair, healing, outbox and admission, over
//! the simulated world of `testkit` and on simulated time. One seed decides what customers, machines and the world do, and what
//! goes wrong; whatever happens is held against rules that have to hold all along, and against others that have to hold once the
//! faults have stopped.
//!
//! | file | what it is for |
//! |---|---|
//! | `script` | a run as data: the setting, and who does what when |
//! | `compose` | a seed becomes a script |
//! | `stage` | a script is played: machines live and die, customers ask, faults come and go |
//! | `rules/` | what must hold: all along (`along`), at the end (`end`), of those who sleep and of trials (`lives`); `ledger` is what they know of each instance |
//! | `report` | how a run ended |
//! | `shrink` | a failing script becomes a short one |
//!
//! What must not be here: stand-ins for the world (they are in `testkit`), and a clock, a thread or a number that the seed does not decide.

pub mod compose;
pub mod report;
mod rules;
pub mod script;
pub mod shrink;
mod stage;

pub use report::Report;
pub use script::Script;
pub use stage::{Options, play};
