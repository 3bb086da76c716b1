//! How fast sagas are: one at a time, and 64 at a time, beside the commits that they cannot do without.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use wharf_saga::Store;

use super::workflow::{Bell, Rig, STEPS, new_id};
use crate::{
    Result,
    figure::{Figure, Goal, Unit},
    journal::{claim, update},
    samples::interleaved,
    setup::Setup,
};

/// All rounds of one figure, at the most.
const WITHIN: Duration = Duration::from_secs(40);
/// One claim with the first intent, one for each further intent, one for the end.
const COMMITS: usize = STEPS.len() + 1;
const AT_ONCE: usize = 64;
/// Sagas a second, 64 at a time.
const WANTED: f64 = 2_500.0;

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let folder = setup.scratch.folder("engine")?;
    let bell = Arc::new(Bell::default());
    let rig = {
        let _inside = setup.runtime.enter();
        Arc::new(Rig::open(&folder.join("registry.db"), bell.clone(), None)?)
    };
    let counted = setup.runtime.block_on(async {
        let before = rig.store.counters().commits;
        saga(&rig, &bell).await?;
        Ok::<_, crate::Error>(rig.store.counters().commits - before)
    })?;
    if counted != COMMITS as u64 {
        return Err(format!("a saga of {} steps took {counted} commits, not {COMMITS}", STEPS.len()).into());
    }

    let mut saga_alone = || setup.runtime.block_on(timed(saga(&rig, &bell)));
    let mut bare_alone = || setup.runtime.block_on(timed(commits(&rig)));
    // Turn by turn: what a disk does changes from second to second.
    let [sagas, bare] = interleaved(setup.rounds(600, WITHIN), &mut [&mut saga_alone, &mut bare_alone])?;
    let alone = Figure::new("a saga of 8 steps, one at a time", Unit::Milliseconds, sagas)
        .against("nine bare commits", &bare)
        .goal(Goal::RatioAtMost(2.0));

    let stretch = setup.stretch(Duration::from_millis(500));
    let mut sagas_together = || {
        let (rig, bell) = (rig.clone(), bell.clone());
        let one = move || {
            let (rig, bell) = (rig.clone(), bell.clone());
            async move { saga(&rig, &bell).await }
        };
        setup.runtime.block_on(together(stretch, one))
    };
    let mut bare_together = || {
        let rig = rig.clone();
        let one = move || {
            let rig = rig.clone();
            async move { commits(&rig).await }
        };
        setup.runtime.block_on(together(stretch, one))
    };
    let [sagas, bare] = interleaved(setup.rounds(21, WITHIN), &mut [&mut sagas_together, &mut bare_together])?;
    let crowd =
        Figure::new("sagas of 8 steps, 64 at a time", Unit::PerSecond, sagas).against("nine bare commits each", &bare);
    Ok(vec![alone, crowd.goal(Goal::AtLeast(WANTED))])
}

/// From the claim to the commit that ends it.
async fn saga(rig: &Rig, bell: &Bell) -> Result<()> {
    let id = new_id();
    let rung = bell.listen(&id);
    rig.begin(id, None).await?;
    Ok(rung.await?)
}

/// As many commits of the same store, each with a record and nothing else, one after another.
async fn commits(rig: &Rig) -> Result<()> {
    let id = new_id();
    let mut lease = rig.store.commit(claim(&id)).await?.lease;
    for number in 1..COMMITS {
        lease = rig.store.commit(update(&id, &lease, number)).await?.lease;
    }
    Ok(())
}

/// How long it takes, in milliseconds.
async fn timed(one: impl Future<Output = Result<()>>) -> Result<f64> {
    let began = Instant::now();
    one.await?;
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

/// How many a second, so many at once, each beginning the next when its last one is done.
async fn together<F>(stretch: Duration, one: impl Fn() -> F + Clone + Send + 'static) -> Result<f64>
where
    F: Future<Output = Result<()>> + Send,
{
    let began = Instant::now();
    let crowd: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let one = one.clone();
            tokio::spawn(async move {
                let mut count = 0_u32;
                while began.elapsed() < stretch {
                    one().await?;
                    count += 1;
                }
                Ok::<_, crate::Error>(count)
            })
        })
        .collect();
    let mut count = 0.0;
    for member in crowd {
        count += f64::from(member.await??);
    }
    Ok(count / began.elapsed().as_secs_f64())
}
