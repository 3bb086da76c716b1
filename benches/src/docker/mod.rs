//! The main job on Docker: from a sign-up to the first whole answer of the tenant's container, through the real `wharf up`; beside what nobody can do
//! without, the same image started by the bare Engine API. And what `wharf up` itself costs with many of them.

pub(crate) mod engine;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

use crate::{
    Result,
    figure::{Figure, Goal, Unit},
    samples::{Samples, interleaved},
    server::Server,
    setup::Setup,
    usage,
};
use engine::{DATABASE, Engine, PORT};

/// All rounds of one figure, at the most.
const WITHIN: Duration = Duration::from_mins(1);
const AT_ONCE: usize = 8;
/// Starts of one crowd.
const CROWD: usize = 24;
/// Their memory is booked: 64 MiB each, so that a machine of 16 GB has room for all.
const MANY: usize = 200;
const WARM: usize = 2;
const WARM_MS: f64 = 25.0;
const MEMORY_MB: f64 = 60.0;
/// Of one processor.
const CPU_PERCENT: f64 = 1.0;
/// What comes after the last sign-up has so long to come to rest, and then it is looked at for as long again.
const REST: Duration = Duration::from_secs(10);

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let engine = Arc::new(setup.runtime.block_on(Engine::open(setup))?);
    let mut figures = from_the_pool(setup, &engine)?;
    setup.runtime.block_on(engine.clear())?;
    figures.extend(started(setup, &engine)?);
    setup.runtime.block_on(engine.clear())?;
    Ok(figures)
}

fn configuration(engine: &Engine, warm: usize) -> String {
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
warm = {warm}
health = {{ path = "/healthz" }}
identity_header = "x-wharf-instance"
environment = {{ DATABASE_URL = "{DATABASE}", HOST = "0.0.0.0" }}
docker = {{ image = "{image}", pull = "never", container_port = {PORT}, memory = "64MiB", cpu_units = 256 }}
"#
    )
}

fn from_the_pool(setup: &Setup, engine: &Engine) -> Result<Vec<Figure>> {
    let folder = setup.scratch.folder("docker-warm")?;
    let server = Server::start_with(setup, &folder, &configuration(engine, WARM))?;
    let mut api = server.api();
    let mut names = 0;
    let mut claim = || {
        names += 1;
        setup.runtime.block_on(async {
            engine.until_waiting(WARM).await?;
            Ok(milliseconds(
                server.provision(&mut api, &format!("warm-{names}")).await?,
            ))
        })
    };
    let [claims] = interleaved(setup.rounds(15, WITHIN), &mut [&mut claim])?;
    Ok(vec![
        Figure::new(
            "sign-up to the first answer of a container that waited",
            Unit::Milliseconds,
            claims,
        )
        .goal(Goal::AtMost(WARM_MS)),
    ])
}

fn started(setup: &Setup, engine: &Arc<Engine>) -> Result<Vec<Figure>> {
    let folder = setup.scratch.folder("docker")?;
    let server = Arc::new(Server::start_with(setup, &folder, &configuration(engine, 0))?);
    let mut api = server.api();
    let tenants = Arc::new(AtomicUsize::new(0));
    let mut sign_up = || {
        let number = tenants.fetch_add(1, Ordering::Relaxed);
        let name = format!("alone-{number}");
        let took = server.provision(&mut api, &name);
        Ok(milliseconds(setup.runtime.block_on(took)?))
    };
    let mut bare = || {
        setup.runtime.block_on(async {
            let started = engine.bare().await?;
            engine.remove(&started.id).await?;
            Ok(milliseconds(started.took))
        })
    };
    let [ours, apis] = interleaved(setup.rounds(15, WITHIN), &mut [&mut sign_up, &mut bare])?;
    let mut figures = vec![
        Figure::new("sign-up to the first answer of a container", Unit::Milliseconds, ours)
            .against("create and start, bare", &apis)
            .goal(Goal::RatioAtMost(1.1)),
    ];
    let crowd = setup.times(CROWD);
    let mut sign_ups = || {
        let first = tenants.fetch_add(crowd, Ordering::Relaxed);
        setup.runtime.block_on(signed_up_a_second(&server, first, crowd))
    };
    let mut bares = || setup.runtime.block_on(bare_a_second(engine, crowd));
    let [ours, apis] = interleaved(setup.rounds(3, WITHIN), &mut [&mut sign_ups, &mut bares])?;
    figures.push(
        Figure::new(format!("sign-ups, {AT_ONCE} at a time"), Unit::PerSecond, ours)
            .against(format!("create and start, bare, {AT_ONCE} at a time"), &apis)
            .goal(Goal::RatioAtLeast(0.95)),
    );
    figures.extend(at_rest(setup, &server, tenants.load(Ordering::Relaxed))?);
    Ok(figures)
}

/// With as many tenants as there are to be, of which there are some already.
fn at_rest(setup: &Setup, server: &Arc<Server>, there: usize) -> Result<[Figure; 2]> {
    let many = setup.times(MANY).max(there);
    setup
        .runtime
        .block_on(signed_up_a_second(server, there, many - there))?;
    std::thread::park_timeout(REST);
    let memory = usage::memory(server.id())?;
    let (before, began) = (usage::cpu(&[server.id()])?, Instant::now());
    std::thread::park_timeout(REST);
    let used = usage::cpu(&[server.id()])?.saturating_sub(before);
    let percent = used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    let one = |value| Samples::new(vec![value]).ok_or("nothing was counted");
    Ok([
        Figure::new(
            format!("memory of `wharf up` with {many} containers"),
            Unit::Megabytes,
            one(memory.resident / 1e6)?,
        )
        .goal(Goal::AtMost(MEMORY_MB))
        .note("all that is resident, the program's own pages included"),
        Figure::new(
            format!("CPU of `wharf up` at rest with {many} containers, in percent of one"),
            Unit::Count,
            one(percent)?,
        )
        .goal(Goal::AtMost(CPU_PERCENT))
        .note("each is asked for its health every eight seconds, for nobody uses it"),
    ])
}

async fn signed_up_a_second(server: &Arc<Server>, first: usize, count: usize) -> Result<f64> {
    let began = Instant::now();
    let next = Arc::new(AtomicUsize::new(first));
    let mut crowd = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (server, next) = (server.clone(), next.clone());
        crowd.spawn(async move {
            let mut api = server.api();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= first + count {
                    return Ok::<_, crate::Error>(());
                }
                server.provision(&mut api, &format!("crowd-{number}")).await?;
            }
        });
    }
    while let Some(member) = crowd.join_next().await {
        member??;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

async fn bare_a_second(engine: &Arc<Engine>, count: usize) -> Result<f64> {
    let began = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut crowd = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (engine, next) = (engine.clone(), next.clone());
        crowd.spawn(async move {
            let mut started = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < count {
                started.push(engine.bare().await?.id);
            }
            Ok::<_, crate::Error>(started)
        });
    }
    let mut all = Vec::new();
    while let Some(member) = crowd.join_next().await {
        all.extend(member??);
    }
    let took = began.elapsed();
    for id in all {
        engine.remove(&id).await?;
    }
    Ok(count as f64 / took.as_secs_f64())
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
