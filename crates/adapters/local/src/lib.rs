//! One machine as a platform: tasks as child processes, tenants' databases and secrets as files, wakes as timers.
//!
//! | module | what it is for |
//! |---|---|
//! | `process` | [`ProcessTasks`]: starts, watches and ends child processes |
//! | `logs` | [`FileLogs`]: what they print, in files of a bounded size |
//! | `databases` | [`FileDatabases`]: one SQLite file for each tenant |
//! | `secrets` | [`FileSecrets`]: one file of secrets for each instance |
//! | `waker` | [`TimerWaker`]: wakes, as timers of this process |
//! | `system` | [`SystemClock`] and [`OsIds`]: the real clock and real chance |
//! | `files` | what they share: private folders, blocking work, failures of files |
//!
//! What must not be here: decisions about instances. This crate does what it is told, and tells what it sees.
//!
//! # Whom to trust
//!
//! Child processes run as Wharf's own user: one can read another's files, environment and memory. This platform is for trusted
//! applications only. What is done here keeps *accidents* apart, not attackers.

pub mod databases;
mod files;
pub mod logs;
pub mod process;
pub mod secrets;
pub mod system;
pub mod waker;

pub use databases::FileDatabases;
pub use logs::FileLogs;
pub use process::{Orphan, ProcessOptions, ProcessTasks, check_command};
pub use secrets::FileSecrets;
pub use system::{OsIds, SystemClock};
pub use waker::TimerWaker;
