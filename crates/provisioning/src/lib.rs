//! The use cases: provision, start, stop, heal, end, repair.
//!
//! | file | what it is for |
//! |---|---|
//! | `wharf` | the way in: everything that can be asked of Wharf |
//! | `claim` | admission: a request becomes a record, in one commit |
//! | `gate`, `line` | who may start a task on this machine now, and who waits for a turn |
//! | `events`, `answers` | EventBridge's start and stop events, and the documented answers |
//! | `workflow` | the decisions: what a message or a saga's end means for an instance |
//! | `sagas` | the sagas, as lists of steps |
//! | `steps/` | one file a step: `run` and `undo` together |
//! | `recovery` | after a restart: what was under way goes on, what was Ready comes back |
//! | `tasks` | what the platform tells of tasks, and the look that notices what it did not tell |
//! | `webhooks/` | payments that provision and end, and events for others |
//! | `outbox`, `mail` | mails, rendered and handed over |
//! | `sleep` | what nobody uses is put to sleep, and woken when somebody asks for it |
//! | `trial`, `extend` | instances that are there for a time only: told before its end, ended or stopped then; given another end |
//! | `schedules` | what starts and stops by the clock |
//! | `repair/` | registry and world compared, and brought together |
//! | `passwords` | an application's first password, shown once |
//! | `settings`, `tokens`, `template`, `view`, `watch` | what the others share |
//!
//! What must not be here: anything that names an adapter, a protocol or a file format of the entrypoints.

pub mod answers;
pub mod claim;
pub mod events;
mod extend;
pub mod gate;
mod line;
pub mod mail;
pub mod message;
pub mod outbox;
mod passwords;
pub mod recovery;
pub mod repair;
pub mod sagas;
pub mod schedules;
mod sessions;
pub mod settings;
mod sleep;
mod steps;
mod tasks;
mod template;
pub mod tokens;
mod trial;
pub mod view;
pub mod watch;
pub mod webhooks;
pub mod wharf;
pub mod workflow;

pub use claim::{Accepted, Caller};
pub use gate::Limits;
pub use mail::{Letters, ServiceLetters};
pub use message::Message;
pub use settings::{Addresses, Pace, Settings};
pub use steps::Ahead;
/// For whoever holds inputs of his own against it (`fuzz/`).
#[doc(hidden)]
pub use template::fill as filled;
pub use view::{InstanceView, SleptView, StepView, UpcomingStep};
pub use watch::Reporter;
pub use wharf::Wharf;
pub use workflow::Provisioning;
