//! What child processes print: read from their pipes, kept in files of a bounded size, shown from there.
//!
//! What must not be here: starting and watching processes.
//!
//! One thread of its own reads all pipes and writes all files, with one buffer. A task that prints without end keeps
//! that thread busy and nothing else: the other tasks' pipes take turns with its, and requests and sagas run on other
//! threads. A disk that hangs holds up tasks that print, once their pipes are full, and again nothing else. An instance
//! that prints nothing costs a pipe and a few hundred bytes: its file is opened when there is something to write, and
//! closed after.
//!
//! Output is not synced: the last lines before a loss of power may be lost.

mod follow;
mod rotating;

use async_trait::async_trait;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    thread,
    time::Duration,
};
use tokio::{net::unix::pipe, runtime::Handle, sync::oneshot, task::JoinHandle};
use wharf_domain::{Code, Failure, InstanceId};
use wharf_platform::{LogLine, Logs, Printer, lines};

use crate::files;
use rotating::RotatingLog;

/// The one buffer that all pipes are read with: what a pipe holds at most.
const BUFFER: usize = 64 * 1024;
/// How many times a full pipe is read before the others have their turn.
const READS_IN_A_ROW: usize = 4;
/// What is told of a task's last words.
const LAST_OUTPUT: usize = 4 * 1024;
/// How long the rest of a dead task's output may take: its pipe holds no more than one buffer.
const DRAIN: Duration = Duration::from_millis(500);

/// Keeps output at `<data>/instances/<instance>/output.log` and, from before the last rotation, `output.1.log`.
#[derive(Debug)]
pub struct FileLogs {
    instances: PathBuf,
    /// Logs that somebody writes or follows. Everybody shares one, so that positions agree.
    open: Mutex<HashMap<InstanceId, Weak<RotatingLog>>>,
    reader: Handle,
    buffer: Arc<Mutex<Box<[u8]>>>,
    /// Dropped, it ends the reader's thread.
    _running: oneshot::Sender<()>,
}

impl FileLogs {
    /// Starts the thread that reads. It ends when this value is dropped.
    pub fn new(data: &Path) -> Result<Self, Failure> {
        let instances = files::data_directory(data)?.join("instances");
        files::private_folder(&instances)
            .map_err(|error| files::failure(Code::DataDirectory, "use", &instances, &error))?;
        let (running, ended) = oneshot::channel();
        let reader =
            start_reader(ended).map_err(|error| Failure::internal(format!("no thread can be started: {error}")))?;
        Ok(Self {
            instances,
            open: Mutex::default(),
            reader,
            buffer: Arc::new(Mutex::new(vec![0; BUFFER].into())),
            _running: running,
        })
    }

    /// The instance's folder in the data directory: its output is in it, and its working directory.
    pub(crate) fn folder(&self, instance: &InstanceId) -> PathBuf {
        self.instances.join(instance.as_str())
    }

    fn log(&self, instance: &InstanceId) -> Arc<RotatingLog> {
        let mut open = self.open.lock();
        if let Some(log) = open.get(instance).and_then(Weak::upgrade) {
            return log;
        }
        open.retain(|_, log| log.strong_count() > 0);
        let log = Arc::new(RotatingLog::open(self.folder(instance)));
        open.insert(instance.clone(), Arc::downgrade(&log));
        log
    }

    /// Reads a task's output from now on. `heading` is a line that says which task's it is. The instance's folder is there.
    pub(crate) fn attach(&self, instance: &InstanceId, heading: &str, pipe: OwnedFd) -> Output {
        let log = self.log(instance);
        // A task that died in the middle of a line must not lend it its end.
        let is_mid_line = log.end() > 0
            && log
                .read_at(log.end() - 1, 1)
                .is_ok_and(|piece| piece.bytes.last().is_some_and(|b| *b != b'\n'));
        let heading = format!("{}=== {heading} ===\n", if is_mid_line { "\n" } else { "" });
        log.append(&mut None, heading.as_bytes());
        log.changed.notify_waiters();
        let since = log.end();
        let pump = self.reader.spawn(pump(pipe, log.clone(), self.buffer.clone()));
        Output { log, since, pump }
    }
}

/// One task's output, while it is read.
#[derive(Debug)]
pub(crate) struct Output {
    log: Arc<RotatingLog>,
    /// The position where this task's output begins.
    since: u64,
    pump: JoinHandle<()>,
}

impl Output {
    /// The task is over: waits for the rest of what it printed, and gives the last of it. Whoever still holds the pipe
    /// after that writes into nothing.
    pub(crate) async fn finish(mut self) -> Option<String> {
        if tokio::time::timeout(DRAIN, &mut self.pump).await.is_err() {
            self.pump.abort();
        }
        let (log, since) = (self.log, self.since);
        let text = files::blocking(move || {
            let (bytes, _) = log
                .read_last(since, LAST_OUTPUT as u64)
                .map_err(|error| Failure::internal(error.to_string()))?;
            Ok(wharf_platform::logs::clean(&bytes))
        })
        .await
        .inspect_err(|error| tracing::debug!(%error, "a task's last output cannot be read"))
        .ok()?;
        let ending = lines::ending(text.trim_end(), LAST_OUTPUT);
        (!ending.is_empty()).then(|| ending.to_owned())
    }
}

fn start_reader(ended: oneshot::Receiver<()>) -> io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("wharf-output".into()).spawn(move || {
        // An error says that the sender is gone, which is what ends this.
        let _ = runtime.block_on(ended);
    })?;
    Ok(handle)
}

/// Moves what a task prints from its pipe to its file, until the last process that could print has closed the pipe.
async fn pump(pipe: OwnedFd, log: Arc<RotatingLog>, buffer: Arc<Mutex<Box<[u8]>>>) {
    let pipe = match pipe::Receiver::from_owned_fd(pipe) {
        Ok(pipe) => pipe,
        Err(error) => {
            tracing::warn!(%error, "a task's output cannot be read");
            return;
        }
    };
    loop {
        if pipe.readable().await.is_err() {
            return;
        }
        let mut is_over = false;
        {
            // Open while there is something to write, closed before the others have their turn.
            let mut open = None;
            let mut buffer = buffer.lock();
            for _ in 0..READS_IN_A_ROW {
                match pipe.try_read(&mut buffer) {
                    Ok(0) => is_over = true,
                    Ok(count) => {
                        log.append(&mut open, &buffer[..count]);
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => {
                        tracing::warn!(%error, "a task's output cannot be read on");
                        is_over = true;
                    }
                }
                break;
            }
        }
        log.changed.notify_waiters();
        if is_over {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[async_trait]
impl Logs for FileLogs {
    async fn read(
        &self,
        printer: &Printer,
        lines: usize,
        follow: bool,
    ) -> Result<BoxStream<'static, LogLine>, Failure> {
        follow::read(self.log(&printer.instance), lines, follow).await
    }

    /// Removes the instance's folder: its output, and what it left in its working directory. Its data are not there.
    async fn remove(&self, instance: &InstanceId) -> Result<(), Failure> {
        let log = self.open.lock().remove(instance).and_then(|log| log.upgrade());
        if let Some(log) = log {
            log.set_removed();
        }
        let (folder, instance) = (self.folder(instance), instance.clone());
        files::blocking(move || {
            files::gone_is_fine(fs::remove_dir_all(&folder)).map_err(|error| {
                // Shown to tenants: the path within the data directory.
                files::failure(
                    Code::Internal,
                    "remove",
                    &Path::new("instances").join(instance.as_str()),
                    &error,
                )
            })
        })
        .await
    }
}
