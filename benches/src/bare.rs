//! The limit of a journal in SQLite: one thread that inserts rows in groups, and nothing else. The same durability as the registry's, and none of
//! its work.

use rusqlite::Connection;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::Result;

/// The most rows in one transaction, as in the registry's writer.
const GROUP: usize = 256;

struct Job {
    value: Vec<u8>,
    reply: mpsc::SyncSender<()>,
}

/// A table, and the thread that writes it.
#[derive(Debug)]
pub(crate) struct Bare {
    queue: Option<mpsc::SyncSender<Job>>,
    writer: Option<JoinHandle<rusqlite::Result<()>>>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

impl Bare {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA cache_size = -8192;
             CREATE TABLE entries (number INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT;",
        )?;
        let (queue, jobs) = mpsc::sync_channel(1024);
        let writer = thread::Builder::new()
            .name("bare-writer".to_owned())
            .spawn(move || write(&connection, &jobs))?;
        Ok(Self {
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    /// How many rows a second become durable when so many threads insert one after another.
    pub(crate) fn rate(&self, threads: usize, value: &[u8], stretch: Duration) -> Result<f64> {
        let queue = self.queue.as_ref().ok_or("the writer has ended")?;
        let count = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                let (queue, count) = (queue.clone(), count.clone());
                scope.spawn(move || {
                    let (reply, answer) = mpsc::sync_channel(1);
                    while began.elapsed() < stretch {
                        let job = Job {
                            value: value.to_vec(),
                            reply: reply.clone(),
                        };
                        if queue.send(job).is_err() || answer.recv().is_err() {
                            return;
                        }
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Ok(count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn write(connection: &Connection, jobs: &mpsc::Receiver<Job>) -> rusqlite::Result<()> {
    let mut replies = Vec::with_capacity(GROUP);
    while let Ok(first) = jobs.recv() {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for job in std::iter::once(first).chain(jobs.try_iter()).take(GROUP) {
            connection
                .prepare_cached("INSERT INTO entries (value) VALUES (?1)")?
                .execute([&job.value])?;
            replies.push(job.reply);
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
        for reply in replies.drain(..) {
            let _ = reply.send(());
        }
    }
    Ok(())
}
