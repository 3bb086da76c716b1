//! The bounded queue before the writing thread, which hands out what waits as a group.
//!
//! An fsync costs the same for one write as for a hundred, so it pays to wait for company, but only if company is to be expected:
//! those who were answered together a moment ago come again together if they come at all. So whoever takes a group waits until it is as large as the last
//! one, for a fraction of the time that a commit takes. A lone caller's last group was of one, and is never made to wait.

use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

pub(crate) struct Queue<T> {
    line: Mutex<Line<T>>,
    grown: Condvar,
    /// Places in the line.
    places: Semaphore,
}

struct Line<T> {
    waiting: Vec<T>,
    /// The taker wants to be woken when so many wait.
    wanted: usize,
    closed: bool,
}

/// The queue is closed: nobody takes from it any more.
#[derive(Debug)]
pub(crate) struct Closed;

impl<T> Queue<T> {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            line: Mutex::new(Line {
                waiting: Vec::with_capacity(places),
                wanted: 1,
                closed: false,
            }),
            grown: Condvar::new(),
            places: Semaphore::new(places),
        }
    }

    /// Gets in line, once there is a place.
    pub(crate) async fn push(&self, item: T) -> Result<(), Closed> {
        self.places.acquire().await.map_err(|_| Closed)?.forget();
        let enough = {
            let mut line = self.line.lock();
            if line.closed {
                return Err(Closed);
            }
            line.waiting.push(item);
            line.waiting.len() >= line.wanted
        };
        if enough {
            self.grown.notify_one();
        }
        Ok(())
    }

    /// Waits for something, then for `company` at most `patience` longer, and moves what is there into `group`, at most `most`. False: the
    /// queue is closed and empty.
    pub(crate) fn take(&self, group: &mut Vec<T>, most: usize, company: usize, patience: Duration) -> bool {
        let mut line = self.line.lock();
        line.wanted = 1;
        while line.waiting.is_empty() {
            if line.closed {
                return false;
            }
            self.grown.wait(&mut line);
        }
        line.wanted = company.min(most);
        let deadline = Instant::now() + patience;
        while line.waiting.len() < line.wanted && !line.closed {
            if self.grown.wait_until(&mut line, deadline).timed_out() {
                break;
            }
        }
        let count = line.waiting.len().min(most);
        group.extend(line.waiting.drain(..count));
        drop(line);
        self.places.add_permits(count);
        true
    }

    /// Lets nobody in any more. Who is in line already is still served.
    pub(crate) fn close(&self) {
        self.line.lock().closed = true;
        self.places.close();
        self.grown.notify_one();
    }

    /// Closes it, and sends home who is in line.
    pub(crate) fn abandon(&self) {
        self.close();
        self.line.lock().waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const LONG: Duration = Duration::from_mins(1);

    fn filled(items: u32) -> Queue<u32> {
        let queue = Queue::new(16);
        for item in 0..items {
            futures::executor::block_on(queue.push(item)).expect("open");
        }
        queue
    }

    #[test]
    fn what_waits_comes_as_one_group_in_order() {
        let queue = filled(10);
        let mut group = Vec::new();
        assert!(queue.take(&mut group, 8, 1, LONG));
        assert_eq!(group, (0..8).collect::<Vec<_>>());
        group.clear();
        assert!(queue.take(&mut group, 8, 1, LONG));
        assert_eq!(group, [8, 9]);
    }

    #[test]
    fn a_lone_one_does_not_wait_for_company() {
        let queue = filled(1);
        assert!(queue.take(&mut Vec::new(), 8, 1, LONG));
    }

    #[test]
    fn company_is_waited_for_until_it_comes_or_patience_ends() {
        let queue = Arc::new(filled(1));
        let mut group = Vec::new();
        assert!(queue.take(&mut group, 8, 2, Duration::from_millis(1)));
        assert_eq!(group, [0]);

        let late = queue.clone();
        let caller = std::thread::spawn(move || {
            for item in [1, 2] {
                futures::executor::block_on(late.push(item)).expect("open");
            }
        });
        group.clear();
        assert!(queue.take(&mut group, 8, 2, LONG));
        assert_eq!(group, [1, 2]);
        caller.join().expect("no panic");
    }

    #[tokio::test]
    async fn a_full_line_lets_nobody_in_until_there_is_a_place() {
        let queue = filled(16);
        let mut waits = Box::pin(queue.push(16));
        assert!(futures::poll!(&mut waits).is_pending());
        assert!(queue.take(&mut Vec::new(), 1, 1, LONG));
        waits.await.expect("open");
    }

    #[tokio::test]
    async fn a_closed_queue_serves_who_is_in_line_and_nobody_else() {
        let queue = filled(3);
        queue.close();
        queue.push(4).await.expect_err("closed");
        let mut group = Vec::new();
        assert!(queue.take(&mut group, 8, 8, LONG), "nobody else can come: no waiting");
        assert_eq!(group, [0, 1, 2]);
        assert!(!queue.take(&mut group, 8, 1, LONG));
    }

    #[tokio::test]
    async fn an_abandoned_queue_drops_who_is_in_line() {
        let queue = Queue::new(16);
        let (reply, answer) = tokio::sync::oneshot::channel::<()>();
        queue.push(reply).await.expect("open");
        queue.abandon();
        answer.await.expect_err("nobody will answer");
    }
}
