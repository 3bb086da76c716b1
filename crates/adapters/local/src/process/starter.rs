//! The one thread that starts all child processes.
//!
//! What must not be here: what is started, and why.
//!
//! The parent-death signal follows the thread that forked, not the process. Threads of a runtime come and go; this one
//! lives until the last [`StarterThread`] is dropped, and then its children are killed, as they are if the whole
//! process goes.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};
use tokio::sync::{mpsc, oneshot};
use wharf_domain::{Code, Failure};

use super::sys::Starter;

/// Starts that wait for their turn; who comes later waits to be let in.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce(&mut Starter) + Send>;

/// A handle to the thread.
#[derive(Clone, Debug)]
pub(super) struct StarterThread {
    jobs: mpsc::Sender<Job>,
}

impl StarterThread {
    pub(super) fn new() -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        thread::Builder::new().name("wharf-starter".into()).spawn(move || {
            let mut starter = Starter::new();
            while let Some(job) = queue.blocking_recv() {
                // A panic must not end this thread: every child would die of it.
                if catch_unwind(AssertUnwindSafe(|| job(&mut starter))).is_err() {
                    tracing::error!("a start of a task panicked");
                }
            }
        })?;
        Ok(Self { jobs })
    }

    /// Runs a job on the thread: the only place that may start a process, and a place that may wait for a disk.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Starter) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |starter| {
            // Nobody waits any more: then nobody is told.
            let _ = answer.send(job(starter));
        });
        if self.jobs.send(job).await.is_err() {
            return Err(Failure::new(Code::TaskLost, "Wharf is ending"));
        }
        answered
            .await
            .unwrap_or_else(|_| Err(Failure::internal("the start of the task was given up")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_start_does_not_end_the_thread() {
        let starter = StarterThread::new().unwrap();
        let id = || thread::current().id();
        let before = starter.run(move |_| Ok(id())).await.unwrap();
        let failure = starter.run::<()>(|_| panic!("on purpose")).await.unwrap_err();
        assert_eq!(failure.code, Code::Internal);
        assert_eq!(starter.run(move |_| Ok(id())).await.unwrap(), before);
    }
}
