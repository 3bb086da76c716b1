//! Starting a task, once, and finding what a former Wharf left: what the methods of
//! [`ProcessTasks`](super::ProcessTasks) stand on.
//!
//! What must not be here: what happens to a task once it runs (`task`).

use std::{
    fs::File,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::Arc,
};
use tokio::{net::TcpSocket, sync::watch};
use wharf_domain::{Code, Endpoint, Failure, instance::TaskRef, service::RunSpec};
use wharf_platform::{Owner, TaskSpec};

use super::{
    ProcessOptions,
    launch::{self, Launch, Places, Surroundings},
    marker::Key,
    records,
    starter::StarterThread,
    survey::Seen,
    sys,
    table::Started,
    task::{self, Task},
    world::{self, World},
};
use crate::{
    files,
    logs::{FileLogs, Output},
};

/// What a deployment's tasks are started with.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: ProcessOptions,
    pub(super) places: Places,
    pub(super) world: Arc<World>,
    logs: Arc<FileLogs>,
    starter: StarterThread,
    /// What every task reads from: nothing.
    null: File,
}

/// A process that runs, and what it is watched by.
struct Newborn {
    leader: Seen,
    born: sys::Born,
    output: Output,
}

impl Shared {
    pub(super) fn new(options: ProcessOptions, logs: Arc<FileLogs>) -> io::Result<Self> {
        if sys::start_time(rustix::process::getpid()).is_none() {
            return Err(io::Error::other("processes cannot be seen (is /proc mounted?)"));
        }
        Ok(Self {
            places: Places::new(options.base.clone(), options.own_program.clone()),
            world: Arc::new(World::new(options.deployment.clone())),
            starter: StarterThread::new()?,
            null: File::open("/dev/null")?,
            options,
            logs,
        })
    }

    /// Another deployment's tasks are not ours to touch.
    pub(super) fn check_owner(&self, owner: &Owner) -> Result<Key, Failure> {
        if owner.deployment != self.options.deployment {
            return Err(Failure::new(
                Code::ResourceForeign,
                format!("the task belongs to the deployment {}", owner.deployment.as_str()),
            ));
        }
        Ok(Key::of(owner))
    }

    /// Processes of this deployment that no task of ours has.
    pub(super) async fn orphans(&self) -> Result<Vec<(Option<Owner>, Seen)>, Failure> {
        let owner = |key: &Key| Some(key.owner(&self.options.deployment));
        if !sys::FINDS_MARKERS {
            let own = self.world.table.lock().leaders();
            let instances = self.options.data.join("instances");
            let left = files::blocking(move || {
                records::left_over(&instances, &own)
                    .map_err(|error| Failure::internal(format!("recorded tasks cannot be read: {error}")))
            })
            .await?;
            return Ok(left.iter().map(|(key, seen)| (owner(key), *seen)).collect());
        }
        let survey = self.world.survey().await?;
        let table = self.world.table.lock();
        let unclaimed = survey.unclaimed().iter().map(|seen| (None, *seen));
        Ok(survey
            .tasks()
            .filter(|(key, _)| table.get(key).is_none())
            .flat_map(|(key, seen)| seen.iter().map(move |seen| (owner(key), *seen)))
            .chain(unclaimed)
            .collect())
    }

    /// Starts a process and has it watched. It runs as a task of its own: whoever asked may have given up, and the
    /// process is there all the same.
    pub(super) async fn begin(self: Arc<Self>, spec: TaskSpec, told: watch::Sender<Option<Result<TaskRef, Failure>>>) {
        let key = Arc::new(Key::of(&spec.owner));
        let result = self.clone().begin_inner(spec, key.clone()).await;
        if result.is_err() {
            self.world.table.lock().remove(&key);
        }
        self.world.settled.notify_waiters();
        told.send_replace(Some(result));
    }

    async fn begin_inner(self: Arc<Self>, spec: TaskSpec, key: Arc<Key>) -> Result<TaskRef, Failure> {
        if let Some(port) = spec.port
            && !port_is_free(port)
        {
            return Err(Failure::new(
                Code::PortBusy,
                format!("another program listens on port {port} of 127.0.0.1"),
            )
            .hint("end that program, or give the service another range of ports"));
        }
        let memory = match spec.run {
            RunSpec::Process { memory, .. } => memory,
            RunSpec::Docker(_) | RunSpec::Ecs(_) => None,
        };
        let endpoint = spec.port.map(|port| Endpoint::Address {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port,
        });
        let attempt = spec.owner.attempt;
        let shared = self.clone();
        let Newborn { leader, born, output } = self
            .starter
            .run(move |starter| shared.give_birth(starter, &spec))
            .await?;
        let child = sys::Child::new(born).map_err(|error| {
            // It cannot be watched, so it must not run. Its number is still its own: nobody has reaped it.
            let _ = rustix::process::kill_process_group(leader.pid, rustix::process::Signal::KILL);
            let _ = rustix::process::waitpid(Some(leader.pid), rustix::process::WaitOptions::empty());
            Failure::new(Code::TaskLost, format!("the task cannot be watched: {error}"))
        })?;
        let reference = TaskRef {
            id: format!("{}:{}", leader.pid, leader.start),
            attempt,
        };
        let task = Arc::new(Task::new(key, reference.clone(), leader.pid, memory, endpoint));
        self.world.put(&task);
        tokio::spawn(task::watch(task, child, output, self.world.clone()));
        Ok(reference)
    }

    /// Runs on the thread of the starter.
    fn give_birth(&self, starter: &mut sys::Starter, spec: &TaskSpec) -> Result<Newborn, Failure> {
        let instance = &spec.owner.instance;
        let folder = self.logs.folder(instance);
        // Apart from the output that lies above it: a program may remove or overwrite what is in its own folder.
        let home = folder.join("work");
        files::private_folder(&home).map_err(|error| {
            let code = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::StoreFull,
                _ => Code::DataDirectory,
            };
            files::failure(code, "make", &Path::new("instances").join(instance.as_str()), &error)
        })?;
        let launch = self.places.launch(spec, &home)?;
        let (reader, writer) = output_pipe().map_err(|error| {
            Failure::new(
                Code::TaskLost,
                format!("the machine has no room for another task: {error}"),
            )
            .hint("raise the limit of open files (ulimit -n)")
        })?;
        let (pid, born) = self.fork(starter, &launch, &writer)?;
        sys::prefer_as_victim(pid);
        let leader = Seen {
            pid,
            start: sys::start_time(pid).unwrap_or(0),
            group: pid.as_raw_pid(),
        };
        if !sys::FINDS_MARKERS
            && let Err(error) = records::write(&folder, &leader, spec.owner.attempt)
        {
            tracing::warn!(%instance, %error, "a task is not written down: if Wharf is killed, it stays");
        }
        let heading = format!(
            "attempt {}, {}",
            spec.owner.attempt,
            time_in_words(spec.intended_at.as_millis())
        );
        let output = self.logs.attach(instance, &heading, reader);
        Ok(Newborn { leader, born, output })
    }

    fn fork(
        &self,
        starter: &mut sys::Starter,
        launch: &Launch,
        output: &OwnedFd,
    ) -> Result<(rustix::process::Pid, sys::Born), Failure> {
        let surroundings = Surroundings {
            input: self.null.as_fd(),
            output: output.as_fd(),
            open_files: world::given_open_files(),
        };
        starter
            .start(launch, &surroundings)
            .map_err(|(stage, error)| launch::start_failure(launch, stage, &error))
    }
}

/// The end that is read, and the task's. Reading will not wait; writing does, as programs expect.
fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((reader.into(), writer.into()))
}

/// RFC 3339, to the second.
fn time_in_words(millis: u64) -> String {
    i64::try_from(millis / 1000)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "at an unknown time".to_owned(), |time| time.to_string())
}

/// How a start that is under way ends.
pub(super) async fn result_of(mut start: Started) -> Result<TaskRef, Failure> {
    match start.wait_for(Option::is_some).await {
        Ok(result) => result
            .clone()
            .unwrap_or_else(|| Err(Failure::internal("a start without a result"))),
        Err(_) => Err(Failure::internal("the start of the task was given up")),
    }
}

/// Whether nobody listens on this port of 127.0.0.1.
pub(super) fn port_is_free(port: u16) -> bool {
    let bind = || {
        let socket = TcpSocket::new_v4()?;
        // What still waits for the last packets of old connections is not in the way; what listens is.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    };
    // Other errors (a port that needs more rights) are the task's to meet: it says more of them.
    !matches!(bind(), Err(error) if error.kind() == io::ErrorKind::AddrInUse)
}
