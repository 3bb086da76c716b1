//! The writing thread, as its callers see it: a bounded queue in, an answer out, and a bound on every wait.

use parking_lot::Mutex;
use rusqlite::Connection;
use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time::timeout};
use wharf_domain::{Code, Failure, Timestamp};
use wharf_saga::{CommitError, Committed, StoreError, store::Settle};

use crate::{batch::Prepared, group::Session, ports::Ports, queue::Queue, trouble, upkeep::Message};

/// How many writes wait at most; whoever comes then waits to be let in.
const QUEUE: usize = 1024;
/// How many writes one commit takes at most.
const GROUP: usize = 256;
/// A commit may be put off, for company that is expected, by this part of what the last one took; …
const PATIENCE: u32 = 4;
/// … and by no more than this.
const PATIENCE_AT_MOST: Duration = Duration::from_millis(1);
/// How long a write waits to be let in. Then it is certain that it was not carried out.
const ENTRY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a write that was let in waits for its answer: a disk that takes longer than this is one that hangs. What becomes of the write is
/// then not known.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// Something to write.
#[derive(Debug)]
pub(crate) enum Work {
    Commit(Box<Prepared>),
    Append(Message),
    Settle(String, Settle),
    Tidy(Timestamp),
    /// A disk that is full from so many pages on.
    #[cfg(test)]
    PageLimit(u32),
}

/// What was written.
#[derive(Debug)]
pub(crate) enum Done {
    Committed(Committed),
    Appended(Option<u64>),
    Settled,
    Tidied(u64),
}

pub(crate) type Answer = Result<Done, CommitError>;

/// A write on its way.
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// How much was written since the registry was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions that wrote something: each is one fsync.
    pub commits: u64,
    /// Batches, messages and mails' fates that were written by them.
    pub writes: u64,
}

/// [`Counters`] as they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    pub(crate) commits: AtomicU64,
    pub(crate) writes: AtomicU64,
}

/// The handle to the writing thread. Dropping it lets the thread finish what was handed in, and joins it.
pub(crate) struct Writer {
    queue: Arc<Queue<Job>>,
    thread: Option<JoinHandle<()>>,
    counting: Arc<Counting>,
}

impl Writer {
    pub(crate) fn start(
        connection: Connection,
        live: u64,
        ports: Arc<Mutex<Ports>>,
        path: &Path,
    ) -> Result<Self, Failure> {
        let counting = Arc::new(Counting::default());
        let session = Session::new(connection, live, ports, path, counting.clone());
        let queue = Arc::new(Queue::new(QUEUE));
        let served = Served(queue.clone());
        let thread = std::thread::Builder::new()
            .name("registry-writer".to_owned())
            .spawn(move || served.serve(session))
            .map_err(|error| trouble::opening_file(&error, path))?;
        Ok(Self {
            queue,
            thread: Some(thread),
            counting,
        })
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            commits: self.counting.commits.load(Ordering::Relaxed),
            writes: self.counting.writes.load(Ordering::Relaxed),
        }
    }

    pub(crate) async fn submit(&self, work: Work) -> Answer {
        let (reply, answer) = oneshot::channel();
        let job = Job { work, reply };
        match timeout(ENTRY_TIMEOUT, self.queue.push(job)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(unavailable("the registry's writer has ended".to_owned())),
            Err(_) => {
                return Err(unavailable(format!(
                    "the registry has taken no write for {ENTRY_TIMEOUT:?}"
                )));
            }
        }
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CommitError::Unknown(Failure::internal(
                "the registry's writer ended without an answer",
            ))),
            Err(_) => Err(CommitError::Unknown(
                Failure::new(
                    Code::StoreUnavailable,
                    format!("the registry's disk has not answered for {ANSWER_TIMEOUT:?}"),
                )
                .hint("look into the system's log (dmesg) for errors of this disk"),
            )),
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the registry's writer panicked");
        }
    }
}

/// The thread's end of the queue. However the thread ends, nobody waits for it afterwards.
struct Served(Arc<Queue<Job>>);

impl Served {
    /// Takes what waits, writes it together, answers; until the queue is closed.
    fn serve(self, mut session: Session) {
        let mut group = Vec::with_capacity(GROUP);
        let (mut company, mut patience) = (1, Duration::ZERO);
        while self.0.take(&mut group, GROUP, company, patience) {
            company = group.len();
            let begun = Instant::now();
            session.write(&mut group);
            patience = (begun.elapsed() / PATIENCE).min(PATIENCE_AT_MOST);
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn unavailable(message: String) -> CommitError {
    StoreError {
        failure: Failure::new(Code::StoreUnavailable, message).hint("restart the server; its log says what happened"),
    }
    .into()
}
