//! Ten thousand instances in the registry, and a thousand that run: how soon a server is there again, how long a page of the
//! listing takes, and what memory the server has of its own.

mod registry;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Result,
    figure::{Figure, Goal, Unit},
    samples::Samples,
    server::Server,
    setup::Setup,
    usage::{self, Memory},
};

const INSTANCES: usize = 10_000;
const RUNNING: usize = 1_000;
const AT_ONCE: usize = 20;
const FIRST_ANSWER_MS: f64 = 1_000.0;
const PAGE_MS: f64 = 10.0;
const IDLE_MB: f64 = 25.0;
const BUSY_MB: f64 = 60.0;
/// Pages of a listing that are asked for in one round. More would let the server start more of the ten thousand than this
/// machine has memory for.
const PAGES: usize = 40;
const PAGE: &str = "/instances?limit=100";
/// What comes after the last sign-up (mails, health checks, what the allocator gives back) has so long to come to rest.
const REST: Duration = Duration::from_secs(3);

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let mut figures = many_ready(setup)?;
    figures.extend(memory(setup)?);
    Ok(figures)
}

fn many_ready(setup: &Setup) -> Result<Vec<Figure>> {
    let folder = setup.scratch.folder("many")?;
    registry::fill(setup, &folder, INSTANCES)?;
    let (mut first, mut pages) = (Vec::new(), Vec::new());
    for _ in 0..setup.times(5) {
        let round = restart(setup, &folder)?;
        first.push(round.first_answer_ms);
        pages.push(round.page_ms);
    }
    let samples = |values| Samples::new(values).ok_or("no round was run");
    Ok(vec![
        Figure::new(
            "10,000 Ready: from the start of `wharf up` to its first answer",
            Unit::Milliseconds,
            samples(first)?,
        )
        .goal(Goal::AtMost(FIRST_ANSWER_MS)),
        Figure::new(
            "10,000 Ready: a page of 100 of the list",
            Unit::Milliseconds,
            samples(pages)?,
        )
        .goal(Goal::AtMost(PAGE_MS))
        .note("asked for while the instances are being brought back, sixteen at a time"),
    ])
}

struct Round {
    first_answer_ms: f64,
    page_ms: f64,
}

/// Starts a server on the full registry, asks it, and ends it before it has brought too many back.
fn restart(setup: &Setup, folder: &Path) -> Result<Round> {
    let server = Server::start(setup, folder)?;
    let mut api = server.api();
    setup.runtime.block_on(async {
        let began = Instant::now();
        api.get("/readyz").await?.json()?;
        let first_answer = server.took + began.elapsed();
        let mut times = Vec::with_capacity(PAGES);
        for _ in 0..PAGES {
            let began = Instant::now();
            let page = api.get(PAGE).await?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            let listed = page.json()?["instances"].as_array().map_or(0, Vec::len);
            if listed != 100 {
                return Err(format!("a page of 100 has {listed} instances").into());
            }
        }
        let pages = Samples::new(times).ok_or("no page was asked for")?;
        Ok(Round {
            first_answer_ms: first_answer.as_secs_f64() * 1000.0,
            page_ms: pages.summary().median,
        })
    })
}

fn memory(setup: &Setup) -> Result<Vec<Figure>> {
    let folder = setup.scratch.folder("memory")?;
    let server = Arc::new(Server::start(setup, &folder)?);
    std::thread::park_timeout(REST);
    let idle = usage::memory(server.id())?;
    setup
        .runtime
        .block_on(server.crowd(AT_ONCE, |number| number < RUNNING))?;
    std::thread::park_timeout(REST);
    let busy = usage::memory(server.id())?;
    Ok(vec![
        resident("memory of `wharf up`, idle", &idle, IDLE_MB)?,
        resident("memory of `wharf up` with 1,000 running", &busy, BUSY_MB)?,
    ])
}

fn resident(name: &str, memory: &Memory, most: f64) -> Result<Figure> {
    let own = Unit::Megabytes.show(memory.anonymous / 1e6);
    let samples = Samples::new(vec![memory.resident / 1e6]).ok_or("no memory")?;
    Ok(Figure::new(name, Unit::Megabytes, samples)
        .goal(Goal::AtMost(most))
        .note(format!(
            "all that is resident, the program's own pages included; without those it is {own}"
        )))
}
