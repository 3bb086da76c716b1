//! Waking: from a visitor's request to a tenant that sleeps to its whole answer, through the real `wharf up`, with processes and with containers.
//!
//! One that is woken from a pause is held against what a visitor notices, and beside it stands what the platform alone takes. One that was stopped is
//! held against a bare start, for that is what nobody can do without.

mod dormitory;

use std::time::{Duration, Instant};

use crate::{
    Result,
    docker::engine::{DATABASE, Engine, PORT},
    figure::{Figure, Goal, Unit},
    fsync::Disk,
    provision::bare_start::Shop,
    samples::{Samples, interleaved},
    server::Server,
    setup::Setup,
};
use dormitory::Dormitory;

/// All rounds of one figure, at the most.
const WITHIN: Duration = Duration::from_secs(50);
const PAUSED_MS: f64 = 20.0;
const STOPPED_RATIO: f64 = 1.15;
/// The end of what waits longest.
const LAST: f64 = 0.99;
/// What a start through Wharf waits for on the disk beside its own work, at the least: what was asked for, each call that changes something, and its outcome.
const FSYNCS: usize = 5;

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let mut figures = processes(setup)?;
    match setup.runtime.block_on(Engine::open(setup)) {
        Ok(engine) => figures.extend(containers(setup, &engine)?),
        Err(error) => eprintln!("note: no containers are woken: {error}"),
    }
    Ok(figures)
}

fn processes(setup: &Setup) -> Result<Vec<Figure>> {
    let configuration = |how: &str| {
        format!(
            r#"
[server]
max_instances = 100000

[services.shop]
tenant = true
database = true
sleep_after = "2s"
sleep = "{how}"
health = {{ path = "/healthz" }}
identity_header = "x-wharf-instance"
process = {{ command = ["wharf", "storefront"] }}
"#
        )
    };
    let folder = setup.scratch.folder("wake-pause")?;
    let server = Server::start_with(setup, &folder, &configuration("pause"))?;
    let mut dormitory = Dormitory::new(setup, server, 20)?;
    let mut visit = || dormitory.visit();
    let [woken] = interleaved(setup.rounds(200, WITHIN), &mut [&mut visit])?;
    let mut figures = vec![paused("a process", woken)];
    drop(dormitory);

    let folder = setup.scratch.folder("wake-stop")?;
    let server = Server::start_with(setup, &folder, &configuration("stop"))?;
    let mut dormitory = Dormitory::new(setup, server, 12)?;
    let (shops, wharf) = (setup.scratch.folder("wake-shops")?, setup.wharf()?);
    let mut disk = Disk::new(&folder)?;
    let mut visit = || dormitory.visit();
    let mut bare = || Ok(milliseconds(Shop::start(wharf, &shops)?.took));
    let mut syncs = || {
        let began = Instant::now();
        for _ in 0..FSYNCS {
            disk.sync()?;
        }
        Ok(milliseconds(began.elapsed()))
    };
    let [woken, bare, syncs] = interleaved(setup.rounds(60, WITHIN), &mut [&mut visit, &mut bare, &mut syncs])?;
    let durable = bare.sum(&syncs).ok_or("rounds were left out")?;
    figures.push(
        Figure::new("wake from stop: a process", Unit::Milliseconds, woken.clone())
            .against("a bare start", &bare)
            .goal(Goal::RatioAtMost(STOPPED_RATIO))
            .note(last(&woken)),
    );
    figures.push(
        Figure::new("the same, beside a start that is durable", Unit::Milliseconds, woken)
            .against(format!("a bare start + {FSYNCS} fsyncs"), &durable),
    );
    Ok(figures)
}

fn containers(setup: &Setup, engine: &Engine) -> Result<Vec<Figure>> {
    let configuration = |how: &str, after: &str| {
        let (host, image) = (&engine.host, engine.image);
        format!(
            r#"
[server]
max_instances = 100000

[platform]
kind = "docker"

[docker]
host = "{host}"

[services.shop]
tenant = true
sleep_after = "{after}"
sleep = "{how}"
health = {{ path = "/healthz" }}
identity_header = "x-wharf-instance"
environment = {{ DATABASE_URL = "{DATABASE}", HOST = "0.0.0.0" }}
docker = {{ image = "{image}", pull = "never", container_port = {PORT}, memory = "128MiB", cpu_units = 256 }}
"#
        )
    };
    let folder = setup.scratch.folder("wake-pause-docker")?;
    let server = Server::start_with(setup, &folder, &configuration("pause", "3s"))?;
    let mut dormitory = Dormitory::new(setup, server, 10)?;
    let container = setup.runtime.block_on(engine.bare())?;
    let mut visit = || dormitory.visit();
    let mut bare = || Ok(milliseconds(setup.runtime.block_on(engine.wake(&container.id))?));
    let [woken, bare] = interleaved(setup.rounds(80, WITHIN), &mut [&mut visit, &mut bare])?;
    let mut figures = vec![paused("a container", woken).against("unpause, bare", &bare)];
    setup.runtime.block_on(engine.remove(&container.id))?;
    drop(dormitory);
    setup.runtime.block_on(engine.clear())?;

    let folder = setup.scratch.folder("wake-stop-docker")?;
    let server = Server::start_with(setup, &folder, &configuration("stop", "6s"))?;
    let mut dormitory = Dormitory::new(setup, server, 6)?;
    let mut visit = || dormitory.visit();
    let mut bare = || {
        setup.runtime.block_on(async {
            let started = engine.bare().await?;
            engine.remove(&started.id).await?;
            Ok(milliseconds(started.took))
        })
    };
    let [woken, bare] = interleaved(setup.rounds(24, WITHIN), &mut [&mut visit, &mut bare])?;
    figures.push(
        Figure::new("wake from stop: a container", Unit::Milliseconds, woken.clone())
            .against("create and start, bare", &bare)
            .goal(Goal::RatioAtMost(STOPPED_RATIO))
            .note(last(&woken)),
    );
    drop(dormitory);
    setup.runtime.block_on(engine.clear())?;
    Ok(figures)
}

fn paused(what: &str, woken: Samples) -> Figure {
    let note = last(&woken);
    Figure::new(format!("wake from pause: {what}"), Unit::Milliseconds, woken)
        .goal(Goal::AtMost(PAUSED_MS))
        .note(note)
}

fn last(samples: &Samples) -> String {
    format!("99 of 100 within {}", Unit::Milliseconds.show(samples.quantile(LAST)))
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
