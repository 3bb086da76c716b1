//! The saga engine: steps, journal, inbox, undo, retry, wait, lease, resume.
//!
//! It knows nothing of provisioning. A [`Workflow`] says what a record is, which steps there are, and what an inbox message
//! means; the [`Engine`] sees to it that each step's intent is written before its effect, that only the holder of an
//! instance's lease writes its record, that a failure is undone in reverse order, and that whatever was interrupted goes on.
//!
//! | file | what it is for |
//! |---|---|
//! | `store` | what the engine needs from a registry, as a trait: batches, conditions, reservations, inbox, outbox |
//! | `world` | clock, randomness, wakes, as traits |
//! | `step` | what a step is, and how it ends |
//! | `workflow` | what the engine is told about a kind of record |
//! | `record` | the record: the workflow's data and the saga's progress |
//! | `plan` | the pure core: a record and an outcome in, the next record out |
//! | `drive` | one driver on one instance: the acting rim |
//! | `engine` | who drives what, and when: wakes, sweep, bounds |
//! | `limits` | constants that belong together, and their inequalities |

mod drive;
pub mod engine;
pub mod limits;
pub mod plan;
pub mod record;
pub mod step;
pub mod store;
pub mod workflow;
pub mod world;

pub use engine::{Driving, Engine, Observer};
pub use record::{Ending, Progress, Record, Way};
pub use step::{Context, Outcome, Step};
pub use store::{Batch, CommitError, Committed, Store, StoreError};
pub use workflow::{Decision, Next, Workflow};
pub use world::{Clock, Ids, Seen, Waker};
