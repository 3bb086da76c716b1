//! The platform of one machine: `wharf up` in a folder of its own, with processes as tasks and files as databases, secrets and mails.
//!
//! | file | what it is for |
//! |---|---|
//! | `server` | `wharf up` as a process: started, signalled, refused |
//! | `belongings` | what is in the data directory and on the ports |
//! | `damage` | what a loss of power leaves |
//! | `wal` | where a write-ahead log ends |
//! | `disk` | a disk that can be filled |
//! | `plant` | faults that are planted, so that the comparison can show its teeth |

mod belongings;
mod damage;
mod disk;
mod plant;
mod server;
mod wal;

use rustix::process::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use wharf_harness::{Ports, Process, Seed, processes};

use crate::{
    arguments::{Arguments, Bug},
    deployment::{Belongings, Deployment, Task},
    door::Door,
};
use damage::Remembered;
use disk::Room;
pub(crate) use disk::confine;
use server::Server;

/// What the tenants get: everything happens sooner than by default, and no number of deaths takes anybody out of service.
const CONFIGURATION: &str = r#"
[heal]
limit = 1000
within = "1s"
backoff_first = "50ms"
backoff_max = "200ms"

[ports]
quarantine = "1s"

[services.storefront]
tenant = true
database = true
start_timeout = "60s"
stop_timeout = "2s"
drain_timeout = "2s"
identity_header = "x-wharf-instance"
health = { path = "/healthz", interval = "200ms", timeout = "2s", healthy = 1, unhealthy = 3 }
environment = { GREETING = "Welcome to {company_name}" }
process = { command = ["wharf", "storefront"] }
"#;
/// How long what was killed may take to be gone.
const GONE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(2);

/// Where the deployment lives.
enum Folder {
    Passing(TempDir),
    Kept(PathBuf),
}

pub(crate) struct Machine {
    folder: Folder,
    data: PathBuf,
    ports: Ports,
    server: Server,
    room: Room,
    remembered: Remembered,
    /// Planted processes, which end with this run.
    planted: Vec<std::process::Child>,
}

impl Machine {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("a folder for the deployment cannot be made: {error}");
        let folder = match &arguments.folder {
            Some(folder) => {
                fs::create_dir_all(folder).map_err(cannot)?;
                Folder::Kept(folder.canonicalize().map_err(cannot)?)
            }
            None => Folder::Passing(tempfile::tempdir().map_err(cannot)?),
        };
        let root = match &folder {
            Folder::Passing(folder) => folder.path().to_owned(),
            Folder::Kept(folder) => folder.clone(),
        };
        let data = root.join("data");
        fs::create_dir_all(&data).map_err(cannot)?;
        fs::write(root.join("wharf.toml"), CONFIGURATION).map_err(cannot)?;
        let ports = Ports::claim();
        let room = Room::new(arguments.disk, &data)?;
        let program = program(arguments.wharf.as_deref())?;
        let server = Server::new(program, &root, &ports, room.needs_a_shield());
        Ok(Self {
            folder,
            data,
            ports,
            server,
            room,
            remembered: Remembered::default(),
            planted: Vec::new(),
        })
    }

    pub(crate) fn describe(&self) -> String {
        format!(
            "{}, data directory {} ({})",
            self.server.program().display(),
            self.data.display(),
            self.room
        )
    }

    /// Leaves everything as it is for whoever looks into it, and says where it is.
    pub(crate) fn keep(&mut self) -> PathBuf {
        let path = match &mut self.folder {
            Folder::Passing(folder) => {
                folder.disable_cleanup(true);
                folder.path().to_owned()
            }
            Folder::Kept(folder) => folder.clone(),
        };
        self.room.save(&self.data, &path);
        path
    }

    fn all_pids(&self) -> Vec<u32> {
        let tasks = self.processes();
        tasks
            .iter()
            .map(|process| process.pid)
            .chain(self.server.pid())
            .collect()
    }

    fn processes(&self) -> Vec<Process> {
        processes::tasks(&self.data)
    }

    /// Kills everything that carries this deployment's marks, and waits until it is gone.
    fn end_tasks(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > GONE {
                return Err(format!("processes cannot be killed: {left:?}"));
            }
            for process in left {
                process.kill();
            }
            std::thread::park_timeout(LOOK);
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.server.drop_dead();
        for child in &mut self.planted {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.end_tasks();
        self.room.give_back();
    }
}

impl Deployment for Machine {
    fn door(&self) -> Door {
        Door {
            address: self.ports.listen(),
            token: self.data.join("admin-token"),
        }
    }

    async fn start(&mut self) -> Result<(), String> {
        self.server.start().await
    }

    async fn start_in_vain(&mut self, seed: &mut Seed) -> Result<(), String> {
        self.server.start_for(seed.up_to(Duration::from_millis(120))).await
    }

    async fn kill(&mut self) -> Result<(), String> {
        self.server.kill().await
    }

    async fn end(&mut self) -> Result<(), String> {
        self.server.end().await
    }

    fn pause(&self) {
        self.server.signal(Signal::STOP);
    }

    fn proceed(&self) {
        self.server.signal(Signal::CONT);
    }

    async fn intrude(&mut self) -> Result<String, String> {
        self.server.intrude().await
    }

    fn eyes(&self) -> impl Fn() -> Vec<Task> + 'static {
        let data = self.data.clone();
        move || processes::tasks(&data).iter().filter_map(task).collect()
    }

    fn kill_task(&self, task: &Task) {
        self.signal_task(task, Signal::KILL);
    }

    fn freeze_task(&self, task: &Task) {
        self.signal_task(task, Signal::STOP);
    }

    fn thaw_task(&self, task: &Task) {
        self.signal_task(task, Signal::CONT);
    }

    fn belongings(&self) -> Result<Belongings, String> {
        belongings::read(&self.data, &self.ports.all_dynamic())
            .map_err(|error| format!("the data directory cannot be read: {error}"))
    }

    async fn lose_power(&mut self, seed: &mut Seed) -> Result<Vec<String>, String> {
        self.server.kill().await?;
        self.end_tasks()?;
        damage::all(&self.data, &self.remembered, seed).map_err(|error| format!("nothing can be damaged: {error}"))
    }

    fn remember(&mut self) -> Result<(), String> {
        let remembered = Remembered::of(&self.data).and_then(|remembered| {
            self.copy_registry()?;
            Ok(remembered)
        });
        self.remembered = remembered.map_err(|error| format!("the data directory cannot be read: {error}"))?;
        Ok(())
    }

    fn fill_disk(&mut self) -> Result<bool, String> {
        let all = self.all_pids();
        self.room.fill(&all)
    }

    fn make_room(&mut self) -> Result<(), String> {
        let all = self.all_pids();
        self.room.make(&all)
    }

    async fn plant(&mut self, bug: Bug, alive: &str, over: &str) -> Result<String, String> {
        self.plant_bug(bug, alive, over).await
    }

    fn complaints(&self) -> Vec<String> {
        self.server.complaints()
    }
}

impl Machine {
    /// Only if it is still the same: a number may have become another's.
    fn signal_task(&self, wanted: &Task, signal: Signal) {
        let is_it = |process: &&Process| task(process).as_ref() == Some(wanted);
        if let Some(process) = self.processes().iter().find(is_it) {
            processes::send(process.pid, signal);
        }
    }
}

/// A process by its marks. One that has lost them belongs to something all the same.
fn task(process: &Process) -> Option<Task> {
    process.variable("WHARF_DEPLOYMENT")?;
    Some(Task {
        instance: process.variable("WHARF_INSTANCE_ID").unwrap_or("nobody").to_owned(),
        attempt: process
            .variable("WHARF_ATTEMPT")
            .and_then(|attempt| attempt.parse().ok())
            .unwrap_or_default(),
        handle: process.pid,
    })
}

/// The program that is struck: the one that was named, or the one that was built with this.
fn program(named: Option<&Path>) -> Result<PathBuf, String> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()
            .map_err(|error| format!("this program cannot be found: {error}"))?
            .with_file_name("wharf"),
    };
    path.canonicalize().map_err(|error| {
        format!(
            "there is no {} ({error}): cargo build -p wharf, or name one with --wharf",
            path.display()
        )
    })
}
