//! Many writes in one transaction: one fsync for all of them, and each answered for itself.

use parking_lot::Mutex;
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};
use wharf_domain::Failure;
use wharf_saga::{CommitError, StoreError};

use crate::{
    batch::{Stop, Tally},
    ports::Ports,
    trouble, upkeep,
    writer::{Answer, Counting, Done, Job, Work},
};

/// Why a whole group was not answered one by one.
#[derive(Clone)]
enum Trouble {
    /// The registry takes no writes at all just now; this is no write's fault.
    Closed(Failure),
    /// Everything was taken back; it may be one write's fault.
    Undone(Failure),
    /// A crash before the next commit may bring it to light as written.
    Unknown(Failure),
}

impl From<Trouble> for CommitError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Closed(failure) | Trouble::Undone(failure) => StoreError { failure }.into(),
            Trouble::Unknown(failure) => Self::Unknown(failure),
        }
    }
}

/// The writing connection, and what is known beside it.
pub(crate) struct Session {
    connection: Connection,
    live: u64,
    ports: Arc<Mutex<Ports>>,
    path: PathBuf,
    counting: Arc<Counting>,
    /// The log's end may hold a transaction whose COMMIT failed.
    in_doubt: bool,
    /// The last group failed: said once, not a thousand times a second.
    troubled: bool,
}

impl Session {
    pub(crate) fn new(
        connection: Connection,
        live: u64,
        ports: Arc<Mutex<Ports>>,
        path: &Path,
        counting: Arc<Counting>,
    ) -> Self {
        Self {
            connection,
            live,
            ports,
            path: path.to_owned(),
            counting,
            in_doubt: false,
            troubled: false,
        }
    }

    /// Writes the jobs in one transaction and answers them. If that fails each is tried once alone, so that none fails for its neighbours' sake.
    pub(crate) fn write(&mut self, jobs: &mut Vec<Job>) {
        match self.attempt(jobs) {
            Ok(answers) => {
                for (job, answer) in jobs.drain(..).zip(answers) {
                    // Whoever asked may have gone.
                    let _ = job.reply.send(answer);
                }
            }
            Err(Trouble::Undone(_)) if jobs.len() > 1 => {
                for job in jobs.drain(..) {
                    let answer = match self.attempt(std::slice::from_ref(&job)) {
                        Ok(mut answers) => answers.remove(0),
                        Err(trouble) => Err(trouble.into()),
                    };
                    let _ = job.reply.send(answer);
                }
            }
            Err(trouble) => {
                for job in jobs.drain(..) {
                    let _ = job.reply.send(Err(trouble.clone().into()));
                }
            }
        }
    }

    fn attempt(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Trouble> {
        let outcome = self.transact(jobs);
        match &outcome {
            Ok(_) if self.troubled => {
                self.troubled = false;
                tracing::info!("the registry can be written again");
            }
            Err(Trouble::Closed(failure) | Trouble::Undone(failure) | Trouble::Unknown(failure)) if !self.troubled => {
                self.troubled = true;
                tracing::error!(code = %failure.code, error = %failure.message, "the registry cannot be written");
            }
            _ => {}
        }
        outcome
    }

    fn transact(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Trouble> {
        if self.in_doubt {
            self.settle_doubt().map_err(Trouble::Closed)?;
        }
        let mut tally = Tally {
            live: self.live,
            ports: Vec::new(),
        };
        let mut answers = Vec::with_capacity(jobs.len());
        let rows = self.connection.total_changes();
        self.run("BEGIN IMMEDIATE")
            .map_err(|error| Trouble::Closed(self.undo(&error)))?;
        for job in jobs {
            match execute(&self.connection, &job.work, &mut tally) {
                Ok(done) => answers.push(Ok(done)),
                Err(Stop::Refused(refusal)) => answers.push(Err(refusal)),
                Err(Stop::Broken(error)) => return Err(Trouble::Undone(self.undo(&error))),
            }
        }
        if let Err(error) = self.run("COMMIT") {
            let failure = self.undo(&error);
            self.in_doubt = trouble::leaves_doubt(&error);
            return Err(if self.in_doubt && self.settle_doubt().is_err() {
                Trouble::Unknown(failure)
            } else {
                Trouble::Undone(failure)
            });
        }
        self.live = tally.live;
        if !tally.ports.is_empty() {
            self.ports.lock().apply(tally.ports);
        }
        let written = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
        let wrote = self.connection.total_changes() > rows;
        self.counting.commits.fetch_add(u64::from(wrote), Ordering::Relaxed);
        self.counting.writes.fetch_add(written, Ordering::Relaxed);
        Ok(answers)
    }

    /// After a COMMIT that failed with an error of the disk's, the log may end in a whole transaction that this process has rolled
    /// back, and that the next one to open the file would find committed. A transaction written over it settles that: it begins at the same
    /// place of the log, and the checksums of whatever lies behind it no longer fit.
    fn settle_doubt(&mut self) -> Result<(), Failure> {
        let settled = self.connection.execute_batch(
            "BEGIN IMMEDIATE;
             INSERT INTO meta (key, value) VALUES ('doubts_settled', '1') ON CONFLICT (key) DO UPDATE SET value = value + 1;
             COMMIT",
        );
        settled.map_err(|error| self.undo(&error))?;
        self.in_doubt = false;
        Ok(())
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Rolls back, unless SQLite has done so by itself. Gives what the error means.
    fn undo(&self, error: &rusqlite::Error) -> Failure {
        if !self.connection.is_autocommit()
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::error!(%error, "a transaction of the registry could not be rolled back");
        }
        trouble::failure(error, "write the registry", &self.path)
    }
}

fn execute(connection: &Connection, work: &Work, tally: &mut Tally) -> Result<Done, Stop> {
    Ok(match work {
        Work::Commit(batch) => Done::Committed(batch.execute(connection, tally)?),
        Work::Append(message) => Done::Appended(upkeep::append(connection, message)?),
        Work::Settle(mail, settle) => {
            upkeep::settle(connection, mail, settle)?;
            Done::Settled
        }
        Work::Tidy(now) => Done::Tidied(upkeep::tidy(connection, *now)?),
        #[cfg(test)]
        Work::PageLimit(pages) => {
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            Done::Settled
        }
    })
}
