//! Ending processes that nobody watches: those of a Wharf that was killed.
//!
//! What must not be here: tasks of this Wharf.
//!
//! Children die with their parent, by the parent-death signal. Their own children do not: it reaches no further. They
//! are found by the variables in their environment, which they inherited. Not found is a process that left its task's
//! session *and* wiped its environment (some servers write their title over it), and on other systems than Linux one
//! that left the group.

use rustix::process::Signal;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

use super::{survey::Seen, sys::Process, task::all_ended};

/// What a killed Wharf left behind has this long to end by itself.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// How long a process may take to go after SIGKILL.
pub(super) const KILLED: Duration = Duration::from_secs(5);
/// The same, in a later round.
pub(super) const KILLED_AGAIN: Duration = Duration::from_secs(1);

/// Asks processes to end, kills them after `grace`, and waits until they are gone, or `killed` is over.
pub(super) async fn end(processes: &[Seen], grace: Duration, killed: Duration) {
    let open: Vec<Process> = processes.iter().filter_map(Process::open).collect();
    for (signal, patience) in [(Signal::TERM, grace), (Signal::KILL, killed)] {
        for process in &open {
            process.signal(signal);
        }
        if timeout_at(Instant::now() + patience, all_ended(&open)).await.is_ok() {
            return;
        }
    }
}
