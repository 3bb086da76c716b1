//! A thousand sagas asleep in the middle, SIGKILL, and a new process on the same registry: when they are all done after the time
//! that they wait for, whether one is lost, and whether a step was run twice.
//!
//! The process that is killed is this very program. Each of its steps is written down as it is run, in a file that outlives
//! the process; the parent reads it, and trusts nothing else.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use wharf_domain::{InstanceId, Timestamp};
use wharf_local::SystemClock;
use wharf_saga::{Clock, Observer, store::HistoryEntry};

use super::workflow::{ASLEEP, DONE, Nap, Rig, STEPS, Witness, new_id};
use crate::{
    Result,
    children::Running,
    figure::{Figure, Goal, Unit},
    samples::Samples,
    setup::Setup,
};

const SAGAS: usize = 1_000;
/// How long after the begin they want to be woken. It covers making them, the kill and the new start.
const NAP: Duration = Duration::from_secs(7);
/// Less than this between the new start and the time they wait for would measure the start as well.
const REST: Duration = Duration::from_millis(500);
/// How many are begun at once.
const BEGUN_AT_ONCE: usize = 64;

/// What a child process is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Part {
    #[arg(long)]
    folder: PathBuf,
    /// Begins them, to be woken at this time; without it, goes on with those that are there.
    #[arg(long)]
    until: Option<u64>,
}

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let mut late = Vec::new();
    for _ in 0..setup.times(3) {
        late.push(killed_once(setup)?);
    }
    let late = Samples::new(late).ok_or("no round was run")?;
    let figure = Figure::new(
        "1,000 sagas asleep, SIGKILL, restart: the last one done after its time",
        Unit::Milliseconds,
        late,
    )
    .goal(Goal::AtMost(2_000.0))
    .note("none was lost and no step was run twice; with one of either there would be no figure");
    Ok(vec![figure])
}

/// How long after its time the last of them was done, in milliseconds.
fn killed_once(setup: &Setup) -> Result<f64> {
    let folder = setup.scratch.folder("sleepers")?;
    let until = SystemClock.now() + NAP;
    let first = child(&folder, Some(until))?;
    wait_for(&first, ASLEEP)?;
    drop(first);
    let restarted = SystemClock.now();
    if until.since(restarted) < REST {
        return Err(format!("this machine needs longer than {NAP:?} to put {SAGAS} sagas to sleep").into());
    }
    let second = child(&folder, None)?;
    wait_for(&second, DONE)?;
    drop(second);
    let last = check(&folder)?;
    Ok(last.since(until).as_secs_f64() * 1000.0)
}

fn child(folder: &Path, until: Option<Timestamp>) -> Result<Running> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("sleepers").arg("--folder").arg(folder);
    if let Some(until) = until {
        command.arg("--until").arg(until.as_millis().to_string());
    }
    Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))
}

/// Until the child says that all have come to this state. The clock of the whole run bounds the wait.
fn wait_for(child: &Running, state: &str) -> Result<()> {
    let output = child.take_stdout().ok_or("a child without an output")?;
    match BufReader::new(output).lines().next() {
        Some(Ok(line)) if line == state => Ok(()),
        _ => Err(format!("the process with the sagas ended before all were {state}").into()),
    }
}

/// Reads what both processes have written down. Gives when the last saga was done.
fn check(folder: &Path) -> Result<Timestamp> {
    let mut runs: HashMap<(String, String), u32> = HashMap::new();
    let mut last = Timestamp::default();
    for line in BufReader::new(File::open(trace(folder))?).lines() {
        let line = line?;
        let mut words = line.split(' ');
        let (Some(id), Some(what), Some(at)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("a broken line in the trace: {line:?}").into());
        };
        if what == DONE {
            last = last.max(Timestamp(at.parse()?));
        }
        *runs.entry((id.to_owned(), what.to_owned())).or_default() += 1;
    }
    let twice = runs.values().filter(|count| **count > 1).count();
    let of = |what: &str| runs.keys().filter(|(_, name)| name == what).count();
    let missing: usize = STEPS
        .iter()
        .chain([&DONE])
        .map(|what| SAGAS - of(what).min(SAGAS))
        .sum();
    if twice + missing > 0 {
        return Err(format!("{twice} steps were run twice, and {missing} not at all").into());
    }
    Ok(last)
}

fn trace(folder: &Path) -> PathBuf {
    folder.join("trace")
}

/// What was done, a line each: who, what, when. Written at once, so that a SIGKILL loses nothing.
#[derive(Debug)]
struct Trace {
    file: Mutex<File>,
    /// The state that this process is to bring them to, …
    wanted: &'static str,
    /// … how many have come to it, …
    there: AtomicUsize,
    /// … and that all have.
    complete: tokio::sync::Notify,
}

impl Trace {
    fn write(&self, id: &InstanceId, what: &str) {
        let line = format!("{id} {what} {}\n", SystemClock.now().as_millis());
        if let Err(error) = self.file.lock().write_all(line.as_bytes()) {
            // The parent misses the line, and says so.
            eprintln!("the trace cannot be written: {error}");
        }
    }
}

impl Observer<Nap> for Trace {
    fn committed(&self, id: &InstanceId, _: &Nap, state: &'static str, _: &[HistoryEntry]) {
        if state == DONE {
            self.write(id, DONE);
        }
        if state == self.wanted && self.there.fetch_add(1, Ordering::Relaxed) + 1 == SAGAS {
            self.complete.notify_one();
        }
    }
}

/// The child's side: brings the sagas to sleep, or to their end, says so, and waits to be killed.
pub(crate) fn part(part: &Part) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let file = OpenOptions::new().create(true).append(true).open(trace(&part.folder))?;
        let trace = Arc::new(Trace {
            file: Mutex::new(file),
            wanted: if part.until.is_some() { ASLEEP } else { DONE },
            there: AtomicUsize::new(0),
            complete: tokio::sync::Notify::new(),
        });
        let witness: Witness = {
            let trace = trace.clone();
            Arc::new(move |id, step| trace.write(id, step))
        };
        let rig = Arc::new(Rig::open(
            &part.folder.join("registry.db"),
            trace.clone(),
            Some(&witness),
        )?);
        let sweeping = rig.engine.clone();
        tokio::spawn(async move { sweeping.sweep_forever().await });
        match part.until {
            Some(until) => begin(&rig, Timestamp(until)).await?,
            None => drop(rig.engine.resume().await?),
        }
        trace.complete.notified().await;
        println!("{}", trace.wanted);
        std::future::pending().await
    })
}

async fn begin(rig: &Arc<Rig>, until: Timestamp) -> Result<()> {
    let mut hands = tokio::task::JoinSet::new();
    for _ in 0..SAGAS {
        if hands.len() == BEGUN_AT_ONCE
            && let Some(begun) = hands.join_next().await
        {
            begun??;
        }
        let rig = rig.clone();
        hands.spawn(async move { rig.begin(new_id(), Some(until)).await });
    }
    while let Some(begun) = hands.join_next().await {
        begun??;
    }
    Ok(())
}
