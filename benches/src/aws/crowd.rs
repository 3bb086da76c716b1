//! Five hundred sign-ups at once, through AWS's token buckets as they are documented.
//!
//! All of it is in one process and on one thread, and tokio's clock is paused: it goes on by itself to the next moment at which anything is due. So what is
//! measured is the waits, for tasks, health checks and turns, and not this machine; the simulator's clock and its buckets follow the same time.

use std::{sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};
use wharf_aws_simulator::{Options, Throttling};
use wharf_domain::State;
use wharf_provisioning::Caller;
use wharf_testkit::sim::{SimClock, SimStore, wharf::sign_up};

use super::site::{SERVICE, Script, Site};
use crate::{
    Result,
    figure::{Figure, Goal, Unit},
    samples::Samples,
};

const PROVISIONS: u32 = 500;
/// Of what the buckets allow.
const WANTED: f64 = 1.2;
/// Of a hundred calls of one kind.
const REFUSED_MOST: f64 = 5.0;
const GIVE_UP: Duration = Duration::from_mins(10);

/// As documented for Fargate, whose bucket for launches is the narrowest that every task passes alone: so many at once, and so many a second from then on. RunTask
/// itself has 40 a second; looks at tasks and registrations of targets have fewer, and take a hundred in one call.
const LAUNCHES_AT_ONCE: u32 = 100;
const LAUNCHES_A_SECOND: f64 = 20.0;

/// When the last of them can be launched.
fn launched() -> Duration {
    Duration::from_secs_f64(f64::from(PROVISIONS - LAUNCHES_AT_ONCE) / LAUNCHES_A_SECOND)
}

pub(crate) fn run() -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (what, script) in [
        (
            "tasks that need 24 s to RUNNING and 10 s to healthy",
            Script {
                runs_after: Duration::from_secs(24),
                healthy_after: Duration::from_secs(10),
            },
        ),
        (
            "tasks that run at once, healthy after 10 s",
            Script {
                runs_after: Duration::ZERO,
                healthy_after: Duration::from_secs(10),
            },
        ),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()?;
        let Crowd { took, refused, calls } = runtime.block_on(crowd(script))?;
        let allowed = launched() + script.runs_after + script.healthy_after;
        let one = |value: f64| Samples::new(vec![value]).ok_or("no number");
        figures.push(
            Figure::new(
                format!("{PROVISIONS} sign-ups at once, all Ready: {what}"),
                Unit::Milliseconds,
                one(took.as_secs_f64() * 1000.0)?,
            )
            .against("what the buckets allow", &one(allowed.as_secs_f64() * 1000.0)?)
            .goal(Goal::RatioAtMost(WANTED))
            .note(format!(
                "on the simulator's clock. Allowed: ({PROVISIONS} - {LAUNCHES_AT_ONCE}) / {LAUNCHES_A_SECOND} launches a second = {:?}, then {:?} to RUNNING and {:?} to healthy",
                launched(), script.runs_after, script.healthy_after
            )),
        );
        figures.push(
            Figure::new(
                format!("calls refused of the kind that was refused most, of a hundred: {what}"),
                Unit::Count,
                one(refused)?,
            )
            .goal(Goal::AtMost(REFUSED_MOST))
            .note(calls),
        );
    }
    Ok(figures)
}

struct Crowd {
    took: Duration,
    /// The worst of all kinds of calls, in a hundred.
    refused: f64,
    /// How many there were of each.
    calls: String,
}

async fn crowd(script: Script) -> Result<Crowd> {
    let options = Options {
        throttling: Throttling::Documented,
        ..Options::following(1.0)
    };
    let site = Site::new(options, script, true).await?;
    let mut work = JoinSet::new();
    let (wharf, tasks) = site.server(
        Arc::new(SimStore::new()),
        Arc::new(SimClock::new()),
        Arc::new(()),
        &mut work,
    );
    let (mut events, hearing) = (site.simulator.events(), wharf.clone());
    work.spawn(async move {
        let mut heard = JoinSet::new();
        while let Ok(event) = events.recv().await {
            while heard.try_join_next().is_some() {}
            if let Some(event) = tasks.heard(&event) {
                let wharf = hearing.clone();
                heard.spawn(async move { wharf.heard(event).await });
            }
        }
    });
    let began = Instant::now();
    let sign_ups = (0..PROVISIONS).map(|number| {
        let wharf = wharf.clone();
        async move {
            let request = sign_up(&format!("tenant{number}"), Some(SERVICE));
            let accepted = wharf.provision(request, Caller::Visitor, None).await?;
            let view = wharf
                .wait_until(&accepted.id, GIVE_UP, |state| {
                    matches!(state, State::Ready { .. }) || state.is_final()
                })
                .await?;
            match view.state {
                State::Ready { .. } => Ok(()),
                other => Err(crate::Error::from(format!(
                    "{} is {other:?} and not Ready",
                    accepted.id
                ))),
            }
        }
    });
    futures::future::try_join_all(sign_ups).await?;
    let took = began.elapsed();
    let refusals = site.simulator.throttled();
    let counts = site.simulator.call_counts();
    let refused = |action: &str, calls: u64| {
        let refused = refusals.get(action).copied().unwrap_or_default();
        refused as f64 * 100.0 / calls as f64
    };
    let worst = counts
        .iter()
        .map(|(action, calls)| refused(action, *calls))
        .fold(0.0, f64::max);
    let calls = counts.iter().map(|(action, calls)| {
        format!(
            "{action} {calls} ({} refused)",
            refusals.get(action).copied().unwrap_or_default()
        )
    });
    Ok(Crowd {
        took,
        refused: worst,
        calls: calls.collect::<Vec<_>>().join(", "),
    })
}
