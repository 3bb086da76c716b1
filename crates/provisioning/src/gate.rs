//! The gate before a task's start: one machine's book, shared by all who ask, and told of every commit.
//!
//! The book is kept in memory, for whoever starts tasks on a machine is one process. It follows the registry: every commit is seen, so that what an
//! instance had is given back by whatever way it ends; and after a restart it is written anew from what is there ([`Gate::take_stock`]).
//!
//! Whoever waits is told by a message in its inbox when its turn has come. That may be lost with the process, so that all who wait ask again now and then.

mod book;

use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use wharf_domain::{Code, Failure, Instance, InstanceId, State, Timestamp, booking::Booking};

pub(crate) use book::is_turn;
use book::{Book, Turn};
pub use book::{Crowd, Lack, Limits, Place};

/// One machine's gate.
#[derive(Debug, Default)]
pub struct Gate {
    book: Mutex<Book>,
    bell: Notify,
    limits: Limits,
}

/// What of an instance was there when the book was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stock {
    /// It has its room, and nothing of it is being started.
    Held,
    /// Its task is being started.
    Starting,
    /// It waits for its turn, since then.
    Waiting(Timestamp),
}

fn turn(instance: &Instance, asked_at: Timestamp) -> Turn {
    let is_new = instance.first_ready_at.is_none();
    Turn {
        is_new,
        since: if is_new { instance.created_at } else { asked_at },
        id: instance.id.clone(),
    }
}

impl Gate {
    #[must_use]
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            book: Mutex::new(Book::new(limits)),
            bell: Notify::new(),
            limits,
        }
    }

    /// Does something to the book, and rings for those whose turn has come by it.
    fn with<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        let (done, has_called) = {
            let mut book = self.book.lock();
            (change(&mut book), book.has_called())
        };
        if has_called {
            self.bell.notify_one();
        }
        done
    }

    /// Asks for the turn of an instance whose step asks since then. `None`: it may start its task now.
    pub(crate) fn ask(&self, instance: &Instance, asked_at: Timestamp) -> Result<Option<Place>, Failure> {
        if !self.limits.is_kept_here() {
            return Ok(None);
        }
        let booking = Booking::of(&instance.service.run);
        self.limits.check(booking)?;
        Ok(self.with(|book| book.ask(turn(instance, asked_at), booking)))
    }

    /// It starts nothing just now. What people have already keeps its room meanwhile: a task that died would else come back to a full machine.
    pub(crate) fn give_way(&self, instance: &Instance) {
        if self.limits.is_kept_here() {
            let keeps = matches!(instance.state, State::Restoring { .. });
            self.with(|book| {
                if keeps {
                    book.rise(&instance.id);
                } else {
                    book.leave(&instance.id);
                }
            });
        }
    }

    /// An instance was written as it is now.
    pub(crate) fn saw(&self, instance: &Instance) {
        if !self.limits.is_kept_here() {
            return;
        }
        let may_run = match &instance.state {
            // On its way: its step `task` sees to it.
            State::Provisioning { .. } | State::Queued { .. } | State::Restoring { .. } => return,
            State::Ready { .. } | State::Stopping { .. } => true,
            State::Stuck { step, .. } => step == "task" || instance.held.task.is_some(),
            _ => instance.held.task.is_some(),
        };
        self.with(|book| {
            // By whatever way it came to run: what is there counts.
            if matches!(instance.state, State::Ready { .. }) {
                book.hold(&instance.id, Booking::of(&instance.service.run));
            }
            if may_run {
                book.rise(&instance.id);
            } else {
                book.leave(&instance.id);
            }
        });
    }

    /// Begins the book with what is there.
    pub(crate) fn take_stock(&self, stock: &[(Instance, Stock)]) {
        self.with(|book| {
            for (instance, kind) in stock {
                let booking = Booking::of(&instance.service.run);
                match kind {
                    Stock::Held => book.hold(&instance.id, booking),
                    Stock::Starting => {
                        book.hold(&instance.id, booking);
                        book.seat(&instance.id);
                    }
                    Stock::Waiting(since) => book.line_up(turn(instance, *since), booking),
                }
            }
            book.give();
        });
    }

    /// Whether anything is limited on this machine.
    pub(crate) fn is_kept(&self) -> bool {
        self.limits.is_kept_here()
    }

    /// Those whose turn has come; waits until there are some.
    pub(crate) async fn called(&self) -> Vec<InstanceId> {
        loop {
            let called = self.book.lock().called();
            if !called.is_empty() {
                return called;
            }
            self.bell.notified().await;
        }
    }

    /// Whether it stands in the line.
    pub(crate) fn waits(&self, id: &InstanceId) -> bool {
        self.limits.is_kept_here() && self.book.lock().waits(id)
    }

    pub(crate) fn place(&self, id: &InstanceId) -> Option<Place> {
        self.book.lock().place(id)
    }

    pub(crate) fn places(&self) -> Vec<(InstanceId, Place)> {
        let book = self.book.lock();
        book.places().map(|(id, place)| (id.clone(), place)).collect()
    }

    pub(crate) fn crowd(&self) -> Crowd {
        self.book.lock().crowd()
    }

    /// What somebody is told who has waited so long for nothing.
    pub(crate) fn refusal(&self, waited: Duration, lack: Lack) -> Failure {
        let (why, key) = self.book.lock().full(lack);
        Failure::new(
            Code::LimitQueue,
            format!("its turn did not come within {waited:?}: {why}"),
        )
        .hint(format!(
            "end or stop what nobody needs, or raise `limits.{key}` in wharf.toml, and try again; `platform.capacity_wait` is how long it is waited for"
        ))
    }
}
