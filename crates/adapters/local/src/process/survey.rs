//! Who is there: one look at all processes, shared by everybody who asks for one at the same time.
//!
//! What must not be here: how a system lists its processes (`linux.rs`, `portable.rs`), and what is done about what was seen.
//!
//! A look costs 1 to 3 ms on a small machine, more with thousands of processes. When a thousand tasks end at once, each
//! wants one that began after its own end: with [`Surveyor`] they share a few.

use rustix::process::Pid;
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Mutex;
use wharf_domain::Failure;

use super::marker::Key;
use crate::files;

/// A process as it was when somebody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) pid: Pid,
    pub(super) start: u64,
    pub(super) group: i32,
}

/// The processes that belong to tasks, less the ones that Wharf itself started.
#[derive(Debug, Default)]
pub(super) struct Survey {
    by_task: HashMap<Arc<Key>, Vec<Seen>>,
    /// They carry the deployment's mark, and do not say whose they are.
    unclaimed: Vec<Seen>,
}

impl Survey {
    pub(super) fn add(&mut self, key: Option<Arc<Key>>, seen: Seen) {
        match key {
            Some(key) => self.by_task.entry(key).or_default().push(seen),
            None => self.unclaimed.push(seen),
        }
    }

    /// What a task has beside its first process.
    pub(super) fn rest_of(&self, key: &Key) -> &[Seen] {
        self.by_task.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = (&Key, &[Seen])> {
        self.by_task.iter().map(|(key, seen)| (&**key, seen.as_slice()))
    }

    pub(super) fn unclaimed(&self) -> &[Seen] {
        &self.unclaimed
    }
}

/// Looks for many at once.
#[derive(Debug, Default)]
pub(super) struct Surveyor {
    /// How many have asked. Whoever asks draws the next number.
    asked: AtomicU64,
    /// The last look, and the highest number that was drawn before it began.
    last: Mutex<(u64, Arc<Survey>)>,
}

impl Surveyor {
    /// A survey that began after this was called.
    pub(super) async fn fresh(
        &self,
        look: impl FnOnce() -> io::Result<Survey> + Send + 'static,
    ) -> Result<Arc<Survey>, Failure> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if last.0 < number {
            // All who have drawn a number until now are served by the look that begins now.
            let serves = self.asked.load(Ordering::SeqCst);
            let survey = files::blocking(move || {
                look().map_err(|error| Failure::internal(format!("the processes cannot be listed: {error}")))
            })
            .await?;
            *last = (serves, Arc::new(survey));
        }
        Ok(last.1.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    #[tokio::test]
    async fn those_who_ask_at_once_share_a_look() {
        let surveyor = Surveyor::default();
        let looks = Arc::new(AtomicU64::new(0));
        let ask = || {
            let looks = looks.clone();
            surveyor.fresh(move || {
                looks.fetch_add(1, Ordering::SeqCst);
                Ok(Survey::default())
            })
        };
        join_all((0..100).map(|_| ask())).await;
        let shared = looks.load(Ordering::SeqCst);
        assert!(shared <= 2, "{shared}");
        ask().await.unwrap();
        assert_eq!(looks.load(Ordering::SeqCst), shared + 1, "a later one has its own");
    }
}
