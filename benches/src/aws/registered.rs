//! From ECS's word that a task runs to its target's registration, written down: a look at the task, one call to the load balancer, a commit.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinSet};
use wharf_aws_simulator::Options;
use wharf_domain::{Instance, InstanceId};
use wharf_local::{OsIds, SystemClock};
use wharf_provisioning::{Caller, Reporter};
use wharf_saga::{
    Clock,
    store::{Happening, HistoryEntry},
};
use wharf_sqlite::SqliteStore;
use wharf_testkit::sim::wharf::start;

use super::site::{SERVICE, Script, Site};
use crate::{
    Result,
    figure::{Figure, Goal, Unit},
    samples::Samples,
    setup::Setup,
};

/// Milliseconds.
const WANTED: f64 = 100.0;
const STARTS: usize = 15;
/// Longer than a new task is unknown to ECS's own reads (a second in the simulator), and than the start's own calls take: what is measured begins with the event.
const RUNS_AFTER: Duration = Duration::from_millis(1_500);
const GIVE_UP: Duration = Duration::from_secs(20);

/// Notes when the step that registers was committed.
struct Registrations(mpsc::UnboundedSender<(InstanceId, Instant)>);

impl Reporter for Registrations {
    fn happened(&self, instance: &Instance, entry: &HistoryEntry) {
        if let Happening::Done { step, undo: false, .. } = &entry.what
            && step == "route"
        {
            // Nobody listens any more once all are measured.
            let _ = self.0.send((instance.id.clone(), Instant::now()));
        }
    }
}

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let folder = setup.scratch.folder("registered")?;
    let samples = setup.runtime.block_on(async {
        let script = Script {
            runs_after: RUNS_AFTER,
            healthy_after: Duration::from_mins(1),
        };
        let site = Site::new(Options::following(1.0), script, false).await?;
        let store = Arc::new(SqliteStore::open(
            &folder.join("registry.db"),
            &OsIds,
            SystemClock.now(),
        )?);
        let (sender, mut registrations) = mpsc::unbounded_channel();
        let mut work = JoinSet::new();
        let reporter = Arc::new(Registrations(sender));
        let (wharf, tasks) = site.server(store, Arc::new(SystemClock), reporter, &mut work);
        let heard_at: Arc<Mutex<HashMap<InstanceId, Instant>>> = Arc::default();
        let (mut events, hearing, times) = (site.simulator.events(), wharf.clone(), heard_at.clone());
        work.spawn(async move {
            while let Ok(event) = events.recv().await {
                let (came, runs) = (Instant::now(), event["detail"]["lastStatus"] == "RUNNING");
                let Some(event) = tasks.heard(&event) else { continue };
                if runs {
                    times.lock().insert(event.instance.clone(), came);
                }
                if let Err(failure) = hearing.heard(event).await {
                    eprintln!("an event could not be taken: {failure}");
                }
            }
        });
        let mut values = Vec::new();
        // The first start asks for what is known from then on, and is not counted.
        for number in 0..=setup.times(STARTS) {
            let accepted = wharf.start_service(start(SERVICE), Caller::Admin, None).await?;
            let next = tokio::time::timeout(GIVE_UP, registrations.recv()).await;
            let (id, at) = next.ok().flatten().ok_or("no target was registered in time")?;
            let came = heard_at
                .lock()
                .remove(&id)
                .ok_or("a target was registered without an event")?;
            if id != accepted.id {
                return Err("another target was registered than expected".into());
            }
            if number > 0 {
                values.push(at.saturating_duration_since(came).as_secs_f64() * 1000.0);
            }
        }
        Samples::new(values).ok_or_else(|| crate::Error::from("nothing was measured"))
    })?;
    Ok(vec![
        Figure::new(
            "from the event RUNNING to the target's registration, committed",
            Unit::Milliseconds,
            samples,
        )
        .goal(Goal::AtMost(WANTED)),
    ])
}
