//! The main job: from a sign-up to the first whole answer of the tenant's own application, through the real `wharf up`.
//!
//! The limit that it is held against is what nobody can do without: starting the same application bare, and a few fsyncs.

pub(crate) mod bare_start;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    Result,
    figure::{Figure, Goal, Unit},
    fsync::Disk,
    http::Client,
    samples::{Samples, interleaved},
    server::Server,
    setup::Setup,
};
use bare_start::Shop;

/// All rounds of one figure, at the most.
const WITHIN: Duration = Duration::from_secs(45);
const COMMITS: &str = "wharf_store_commits_total";
/// What a provision may take beyond a bare start: these fsyncs, …
const FSYNCS: usize = 5;
/// … and this many milliseconds.
const OWN_WORK_MS: f64 = 3.0;
const MEDIAN_MS: f64 = 15.0;
const MOST_COMMITS: f64 = 5.0;
const AT_ONCE: usize = 20;
const WANTED: f64 = 300.0;
/// A registry that has written nothing for so long has written everything, …
const SETTLED: Duration = Duration::from_millis(200);
/// … and it has, at the latest, after so long.
const SETTLED_WITHIN: Duration = Duration::from_secs(15);

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    setup.wharf()?;
    let mut figures = one_at_a_time(setup)?;
    figures.push(crowd(setup)?);
    Ok(figures)
}

fn one_at_a_time(setup: &Setup) -> Result<Vec<Figure>> {
    let folder = setup.scratch.folder("provision")?;
    let server = Server::start(setup, &folder)?;
    let mut api = server.api();
    let mut disk = Disk::new(&folder)?;
    let shops = setup.scratch.folder("shops")?;
    let wharf = setup.wharf()?;

    let commits = commits(setup, &server, &mut api)?;
    let mut names = 0;
    let mut sign_up = || {
        names += 1;
        let took = setup
            .runtime
            .block_on(server.provision(&mut api, &format!("tenant-{names}")))?;
        Ok(milliseconds(took))
    };
    let mut bare = || Ok(milliseconds(Shop::start(wharf, &shops)?.took));
    let mut syncs = || {
        let began = Instant::now();
        for _ in 0..FSYNCS {
            disk.sync()?;
        }
        Ok(milliseconds(began.elapsed()))
    };
    let [ours, bare, syncs] = interleaved(setup.rounds(240, WITHIN), &mut [&mut sign_up, &mut bare, &mut syncs])?;
    let allowed = bare
        .sum(&syncs)
        .ok_or("rounds were left out")?
        .map(|sum| sum + OWN_WORK_MS);
    let figure = Figure::new(
        "sign-up to the tenant's first answer, one at a time",
        Unit::Milliseconds,
        ours.clone(),
    )
    .against("a bare start", &bare);
    Ok(vec![
        figure.goal(Goal::AtMost(MEDIAN_MS)),
        Figure::new("the same, beside what it cannot do without", Unit::Milliseconds, ours)
            .against("a bare start + 5 fsyncs + 3 ms", &allowed)
            .goal(Goal::RatioAtMost(1.0))
            .note(format!(
                "of that the 5 fsyncs are {}",
                Unit::Milliseconds.show(syncs.summary().median)
            )),
        Figure::new("commits from sign-up to Ready", Unit::Count, commits)
            .goal(Goal::AtMost(MOST_COMMITS))
            .note("one more, after that, writes down that the mail was handed over"),
    ])
}

/// Commits of some provisions, each alone. What became of their mails is written down after they are Ready, and not counted.
fn commits(setup: &Setup, server: &Server, api: &mut Client) -> Result<Samples> {
    let mut counts = Vec::new();
    for number in 0..setup.times(6) {
        let (count, mails) = setup.runtime.block_on(async {
            let (before, mails) = (server.counter(api, COMMITS).await?, server.mails()?);
            server.provision(api, &format!("counted-{number}")).await?;
            let began = Instant::now();
            let mut after = server.counter(api, COMMITS).await?;
            loop {
                tokio::time::sleep(SETTLED).await;
                let now = server.counter(api, COMMITS).await?;
                if now == after && server.mails()? > mails {
                    break;
                }
                if began.elapsed() > SETTLED_WITHIN {
                    return Err("a registry with nothing to do goes on writing, or a mail does not come".into());
                }
                after = now;
            }
            Ok::<_, crate::Error>((after - before, (server.mails()? - mails) as u64))
        })?;
        counts.push(count.saturating_sub(mails) as f64);
    }
    Samples::new(counts).ok_or_else(|| "nothing was counted".into())
}

/// Twenty at a time, each with a server that has nothing yet; beside it, twenty bare starts at a time.
fn crowd(setup: &Setup) -> Result<Figure> {
    let stretch = setup.stretch(Duration::from_millis(1500));
    let wharf = setup.wharf()?;
    let mut sign_ups = || {
        let folder = setup.scratch.folder("crowd")?;
        let server = Arc::new(Server::start(setup, &folder)?);
        setup.runtime.block_on(signed_up_a_second(&server, stretch))
    };
    let mut bare = || {
        let folder = setup.scratch.folder("bare-crowd")?;
        bare_a_second(wharf, &folder, stretch)
    };
    let [ours, bare] = interleaved(setup.rounds(6, WITHIN), &mut [&mut sign_ups, &mut bare])?;
    Ok(Figure::new("sign-ups, 20 at a time", Unit::PerSecond, ours)
        .against("bare starts, 20 at a time", &bare)
        .goal(Goal::AtLeast(WANTED)))
}

async fn signed_up_a_second(server: &Arc<Server>, stretch: Duration) -> Result<f64> {
    let began = Instant::now();
    let count = server.crowd(AT_ONCE, move |_| began.elapsed() < stretch).await?;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

fn bare_a_second(wharf: &std::path::Path, folder: &std::path::Path, stretch: Duration) -> Result<f64> {
    let began = Instant::now();
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let crowd: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    // They stay, as tenants do.
                    let mut shops = Vec::new();
                    while began.elapsed() < stretch {
                        shops.push(Shop::start(wharf, folder)?);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<_, crate::Error>((began.elapsed(), shops))
                })
            })
            .collect();
        let mut took = Duration::ZERO;
        let mut all = Vec::new();
        for member in crowd {
            let (ended, shops) = member.join().map_err(|_| "a starting thread panicked")??;
            took = took.max(ended);
            all.push(shops);
        }
        Ok::<_, crate::Error>(count.load(Ordering::Relaxed) as f64 / took.as_secs_f64())
    })
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
