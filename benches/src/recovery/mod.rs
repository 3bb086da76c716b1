//! Ten thousand sign-ups in the middle of their sagas, SIGKILL, and a new process on the same registry: how soon it has driven all of them to Ready,
//! and what memory that takes.
//!
//! The process that is killed is this very program, with the real registry, engine and sagas; tasks, routes and the rest are stand-ins that cost nothing
//! (`world`), for ten thousand processes would measure the machine.

mod world;

use futures::stream::{self, StreamExt, TryStreamExt};
use std::{
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use wharf_domain::Instance;
use wharf_local::{OsIds, SystemClock, TimerWaker};
use wharf_provisioning::{Caller, Reporter, Settings, Wharf, wharf::Deployment};
use wharf_saga::{
    Clock, Engine,
    store::{Happening, HistoryEntry},
};
use wharf_sqlite::SqliteStore;
use wharf_testkit::sim::{
    SimWorld, services,
    wharf::{settings, sign_up},
};

use crate::{
    Result,
    children::Running,
    figure::{Figure, Goal, Unit},
    samples::Samples,
    setup::Setup,
    usage,
};
use world::{Jam, Smooth};

const SAGAS: usize = 10_000;
const DRIVEN_WITHIN_MS: f64 = 10_000.0;
/// An engine drives so many at once; there have to be as many engines as it takes for all to get stuck.
const AN_ENGINES: usize = 500;
/// How many are signed up at once.
const SIGNED_UP_AT_ONCE: usize = 256;
/// What is stuck waits for longer than it takes to get all stuck.
const START_TIMEOUT: Duration = Duration::from_mins(10);

const STUCK: &str = "stuck";
const OPEN: &str = "open";
const READY: &str = "ready";

/// What a child process is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Part {
    #[arg(long)]
    folder: PathBuf,
    /// Signs up so many, and gets them stuck; without it, goes on with those that are there, …
    #[arg(long)]
    stuck: Option<usize>,
    /// … until so many are Ready.
    #[arg(long, default_value_t = 0)]
    ready: usize,
}

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let (mut open, mut ready, mut idle, mut peak) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setup.times(3) {
        let folder = setup.scratch.folder("recovery")?;
        idle.push(restarted(&folder, 0)?.memory.peak / 1e6);
        let mut first = Child::start(&folder, &["--stuck", &SAGAS.to_string()])?;
        first.wait_for(STUCK)?;
        drop(first);
        let restarted = restarted(&folder, SAGAS)?;
        open.push(restarted.open_ms);
        ready.push(restarted.ready_ms);
        peak.push(restarted.memory.peak / 1e6);
    }
    let samples = |values| Samples::new(values).ok_or("no round was run");
    let idle = samples(idle)?;
    Ok(vec![
        Figure::new(
            "10,000 unfinished sagas, SIGKILL, restart: until all are Ready",
            Unit::Milliseconds,
            samples(ready)?,
        )
        .goal(Goal::AtMost(DRIVEN_WITHIN_MS))
        .note("from the start of the process; as many in each of six steps"),
        Figure::new(
            "the same, until the registry was read and requests could be taken",
            Unit::Milliseconds,
            samples(open)?,
        ),
        Figure::new("the most memory meanwhile", Unit::Megabytes, samples(peak)?)
            .against("the same process without a saga", &idle)
            .note("all that was resident at any moment; the registry's cache is in it"),
    ])
}

struct Restarted {
    open_ms: f64,
    ready_ms: f64,
    memory: usage::Memory,
}

/// Starts on what is in the folder, and waits until so many are Ready.
fn restarted(folder: &Path, ready: usize) -> Result<Restarted> {
    let began = Instant::now();
    let mut child = Child::start(folder, &["--ready", &ready.to_string()])?;
    child.wait_for(OPEN)?;
    let open = began.elapsed();
    child.wait_for(READY)?;
    let ready = began.elapsed();
    Ok(Restarted {
        open_ms: open.as_secs_f64() * 1000.0,
        ready_ms: ready.as_secs_f64() * 1000.0,
        memory: usage::memory(child.process.id())?,
    })
}

/// This program once more, and what it says.
struct Child {
    process: Running,
    said: Lines<BufReader<ChildStdout>>,
}

impl Child {
    fn start(folder: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("recovery").arg("--folder").arg(folder).args(arguments);
        let process = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let output = process.take_stdout().ok_or("a child without an output")?;
        Ok(Self {
            process,
            said: BufReader::new(output).lines(),
        })
    }

    /// The clock of the whole run bounds the wait.
    fn wait_for(&mut self, word: &str) -> Result<()> {
        match self.said.next() {
            Some(Ok(line)) if line == word => Ok(()),
            said => Err(format!("the process with the sagas said {said:?} and not {word:?}").into()),
        }
    }
}

/// The child's side: does what it is told, says so, and waits to be killed.
pub(crate) fn part(part: &Part) -> Result<()> {
    // As `wharf up` has it for everything but proxying.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = SqliteStore::open(&part.folder.join("registry.db"), &OsIds, SystemClock.now())?;
        let store = Arc::new(store);
        match part.stuck {
            Some(count) => get_stuck(store, count).await?,
            None => go_on(store, part.ready).await?,
        }
        std::future::pending().await
    })
}

async fn get_stuck(store: Arc<SqliteStore>, count: usize) -> Result<()> {
    let jam = Arc::new(Jam::new(count));
    let wharfs: Vec<Wharf> = (0..count.div_ceil(AN_ENGINES))
        .map(|_| deployment(store.clone(), &Smooth::jammed(jam.clone()), Arc::new(())))
        .collect();
    let claims = (0..count).map(|number| {
        let wharf = wharfs[number / AN_ENGINES].clone();
        async move {
            let request = sign_up(&format!("tenant-{number}"), None);
            wharf.provision(request, Caller::Admin, None).await.map(drop)
        }
    });
    stream::iter(claims)
        .buffer_unordered(SIGNED_UP_AT_ONCE)
        .try_collect::<()>()
        .await?;
    jam.is_complete().await;
    println!("{STUCK}");
    // They go on being stuck: calls time out and are made again.
    std::future::pending::<()>().await;
    drop(wharfs);
    Ok(())
}

/// As `wharf up` goes on.
async fn go_on(store: Arc<SqliteStore>, wanted: usize) -> Result<()> {
    let counter = Arc::new(Counter {
        wanted,
        ready: AtomicUsize::new(0),
        complete: Notify::new(),
    });
    let wharf = deployment(store, &Smooth::default(), counter.clone());
    let queue = wharf.recover().await?;
    println!("{OPEN}");
    let sweeping = wharf.clone();
    tokio::spawn(async move { sweeping.engine().sweep_forever().await });
    let delivering = wharf.clone();
    tokio::spawn(async move { delivering.deliver_forever().await });
    let restoring = wharf.clone();
    tokio::spawn(async move { restoring.restore(queue).await });
    if wanted > 0 {
        counter.complete.notified().await;
    }
    let counts = wharf.counts().await?;
    let ready: u64 = counts
        .iter()
        .filter(|count| count.state == READY)
        .map(|count| count.count)
        .sum();
    let all: u64 = counts.iter().map(|count| count.count).sum();
    if (ready, all) != (wanted as u64, wanted as u64) {
        return Err(format!("of {wanted} there are {all}, and {ready} are Ready").into());
    }
    println!("{READY}");
    Ok(())
}

fn deployment(store: Arc<SqliteStore>, world: &Smooth, reporter: Arc<dyn Reporter>) -> Wharf {
    let clock = Arc::new(SystemClock);
    let woken = Arc::new(OnceLock::<Engine<_>>::new());
    let waker = TimerWaker::new(clock.clone(), {
        let woken = woken.clone();
        move |id, seq| {
            if let Some(engine) = woken.get() {
                engine.wake(&id, seq);
            }
        }
    });
    let mut service = services::shop();
    service.start_timeout = START_TIMEOUT;
    let simulated = SimWorld::new(1);
    let wharf = Wharf::new(Deployment {
        store,
        platform: world.platform(),
        settings: Settings {
            max_instances: u64::MAX >> 1,
            ..settings(&simulated, [service])
        },
        clock,
        ids: Arc::new(OsIds),
        waker: Arc::new(waker),
        reporter,
        ..simulated.deployment([])
    });
    let _ = woken.set(wharf.engine().clone());
    wharf
}

/// Counts those that get Ready, each once.
struct Counter {
    wanted: usize,
    ready: AtomicUsize,
    complete: Notify,
}

impl Reporter for Counter {
    fn happened(&self, _: &Instance, entry: &HistoryEntry) {
        let is_ready = matches!(&entry.what, Happening::State { state, .. } if state == READY);
        if is_ready && self.ready.fetch_add(1, Ordering::Relaxed) + 1 == self.wanted {
            self.complete.notify_one();
        }
    }
}
