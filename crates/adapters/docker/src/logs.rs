//! [`DockerLogs`]: what an instance's containers print, as Docker keeps it, within the bounds that each was started with.
//!
//! What must not be here: a copy of it. An instance's output is that of its containers, the last that ended included.

use async_trait::async_trait;
use bollard::query_parameters::LogsOptions;
use futures::{StreamExt, stream::BoxStream};
use std::{collections::VecDeque, fmt, sync::Arc};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use wharf_domain::{Failure, InstanceId};
use wharf_platform::{LogLine, Logs, Owner, Printer, TaskEvent, TaskStatus, lines::Splitter};

use crate::{failure, world::World};

/// More lines than this are not gathered at once.
const MOST_LINES: usize = 10_000;
/// Lines that a follower may be behind before Docker is read no further. The container is not held up by that.
const BEHIND: usize = 256;

/// Reads containers' output from Docker.
#[derive(Clone)]
pub struct DockerLogs {
    world: Arc<World>,
}

impl fmt::Debug for DockerLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerLogs").finish_non_exhaustive()
    }
}

/// Standard output and standard error each have lines of their own.
#[derive(Default)]
struct Streams {
    out: Splitter,
    err: Splitter,
}

impl Streams {
    fn push(&mut self, piece: &bollard::container::LogOutput, line: impl FnMut(String)) {
        let splitter = match piece {
            bollard::container::LogOutput::StdErr { .. } => &mut self.err,
            _ => &mut self.out,
        };
        splitter.push(piece.as_ref(), line);
    }

    /// What has not ended with a line's end.
    fn rest(&mut self) -> impl Iterator<Item = String> {
        self.out.rest().into_iter().chain(self.err.rest())
    }
}

fn options(lines: usize, follow: bool) -> LogsOptions {
    LogsOptions {
        stdout: true,
        stderr: true,
        follow,
        tail: lines.to_string(),
        ..LogsOptions::default()
    }
}

/// Where an attempt's output begins.
fn heading(owner: &Owner) -> LogLine {
    LogLine {
        text: format!("=== attempt {} ===", owner.attempt),
    }
}

impl DockerLogs {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// The instance's containers, the last attempt's last.
    async fn containers(&self, instance: &InstanceId) -> Result<Vec<(String, Owner)>, Failure> {
        let mut all = self.world.list(Some(instance), &[]).await?;
        all.sort_by_key(|(_, owner)| owner.attempt.0);
        Ok(all)
    }

    /// The last lines of one container.
    async fn tail(&self, name: &str, lines: usize) -> Result<VecDeque<LogLine>, Failure> {
        let mut kept = VecDeque::new();
        let mut keep = |text: String| {
            kept.push_back(LogLine { text });
            if kept.len() > lines {
                kept.pop_front();
            }
        };
        let mut streams = Streams::default();
        let mut pieces = std::pin::pin!(self.world.docker.logs(name, Some(options(lines, false))));
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => streams.push(&piece, &mut keep),
                // It was removed meanwhile, or never started.
                Err(error) if failure::is_missing(&error) || failure::is_conflict(&error) => break,
                Err(error) => return Err(failure::of(&error, &format!("to read the output of {name}"))),
            }
        }
        streams.rest().for_each(keep);
        Ok(kept)
    }

    /// The last lines of all, and the attempt that they end with.
    async fn last(&self, instance: &InstanceId, lines: usize) -> Result<Vec<LogLine>, Failure> {
        let containers = self.containers(instance).await?;
        let has_several = containers.len() > 1;
        let mut all: VecDeque<LogLine> = VecDeque::new();
        let mut wanted = lines.min(MOST_LINES);
        for (name, owner) in containers.iter().rev() {
            if wanted == 0 {
                break;
            }
            let tail = self.tail(name, wanted).await?;
            wanted -= tail.len();
            for line in tail.into_iter().rev() {
                all.push_front(line);
            }
            if has_several {
                all.push_front(heading(owner));
            }
        }
        Ok(all.into())
    }

    /// Sends what is printed from now on, attempt after attempt, until nobody reads any more or the instance is forgotten.
    async fn follow(
        self,
        instance: InstanceId,
        mut lines: usize,
        mut events: broadcast::Receiver<TaskEvent>,
        to: mpsc::Sender<LogLine>,
    ) {
        let mut followed = None;
        loop {
            let containers = match self.containers(&instance).await {
                Ok(containers) => containers,
                Err(failure) => {
                    tracing::debug!(%instance, error = %failure.message, "following an output ended");
                    return;
                }
            };
            let next = match followed {
                // What there was before this one is the past, and was shown.
                None => containers.last(),
                Some(last) => containers.iter().find(|(_, owner)| owner.attempt.0 > last),
            };
            if let Some((name, owner)) = next {
                if followed.is_some() && to.send(heading(owner)).await.is_err() {
                    return;
                }
                followed = Some(owner.attempt.0);
                tokio::select! {
                    () = to.closed() => return,
                    is_read = self.follow_one(name, lines, &to) => if !is_read { return },
                }
                lines = usize::MAX;
                continue;
            }
            if !is_news(&instance, &mut events, &to, followed.is_some()).await {
                return;
            }
            lines = usize::MAX;
        }
    }

    /// Sends one container's lines until it ends; `false` when nobody reads any more.
    async fn follow_one(&self, name: &str, lines: usize, to: &mpsc::Sender<LogLine>) -> bool {
        let options = LogsOptions {
            tail: if lines == usize::MAX {
                "all".to_owned()
            } else {
                lines.to_string()
            },
            ..options(0, true)
        };
        let mut streams = Streams::default();
        let mut pieces = std::pin::pin!(self.world.docker.logs(name, Some(options)));
        let mut ready = Vec::new();
        while let Some(Ok(piece)) = pieces.next().await {
            streams.push(&piece, |text| ready.push(text));
            for text in ready.drain(..) {
                if to.send(LogLine { text }).await.is_err() {
                    return false;
                }
            }
        }
        for text in streams.rest() {
            if to.send(LogLine { text }).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Waits until something is heard of the instance; `false` when there is nothing to wait for.
async fn is_news(
    instance: &InstanceId,
    events: &mut broadcast::Receiver<TaskEvent>,
    to: &mpsc::Sender<LogLine>,
    was_there: bool,
) -> bool {
    loop {
        let event = tokio::select! {
            () = to.closed() => return false,
            event = events.recv() => event,
        };
        match event {
            Ok(event) if event.instance == *instance => {
                return !(was_there && event.status == TaskStatus::Gone);
            }
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return true,
            Err(broadcast::error::RecvError::Closed) => return false,
        }
    }
}

#[async_trait]
impl Logs for DockerLogs {
    async fn read(
        &self,
        printer: &Printer,
        lines: usize,
        follow: bool,
    ) -> Result<BoxStream<'static, LogLine>, Failure> {
        if !follow {
            let lines = self.last(&printer.instance, lines).await?;
            return Ok(futures::stream::iter(lines).boxed());
        }
        let events = self.world.events.subscribe();
        let (to, from) = mpsc::channel(BEHIND);
        let lines = lines.min(MOST_LINES);
        tokio::spawn(self.clone().follow(printer.instance.clone(), lines, events, to));
        Ok(ReceiverStream::new(from).boxed())
    }

    /// Removes the containers that hold it. One that still runs keeps what it prints.
    async fn remove(&self, instance: &InstanceId) -> Result<(), Failure> {
        if self.world.notices.lock().forgotten.contains(instance) {
            return Ok(());
        }
        for (name, _) in self.world.list(Some(instance), &["exited", "dead", "created"]).await? {
            self.world.remove(&name, false).await?;
        }
        self.world.notices.lock().note_forgotten(instance);
        Ok(())
    }
}
