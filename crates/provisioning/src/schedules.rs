//! Schedules, done when their times come. A run is the event that somebody would have sent then, with the time as its key: one that is done twice, by
//! two servers or after a crash, starts nothing twice. What was done is in the registry, so that a restart knows what it missed.
//!
//! When a time comes is computed in `wharf_domain::schedule`. On Lambda nobody waits for it here: EventBridge Scheduler sends the same events.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, time::Duration};
use wharf_domain::{
    Failure, InstanceId, Schedule, ScheduleName, Timestamp,
    schedule::{Action, Run, due, text},
};
use wharf_saga::store::{Batch, CommitError, Expect, Kind, LeaseChange, Reserve};

use crate::{events::Delivery, wharf::Wharf};

/// The longest sleep: the clock may be set meanwhile, or the machine have slept itself.
const LOOK: Duration = Duration::from_secs(30);
/// Between two tries of a run that met something that passes.
const RETRY: Duration = Duration::from_secs(5);
/// How long what was done of a schedule is kept after it was taken out of the configuration.
const KEPT: Duration = Duration::from_hours(400 * 24);
/// What an event says of where it comes from.
const SOURCE: &str = "wharf.schedule";

/// What is known of a schedule's past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Past {
    /// Its pattern, time zone and services. Another one has other times, and missed none of them.
    meaning: String,
    /// Everything up to here is dealt with.
    until: Timestamp,
    last: Option<LastRun>,
}

/// A run that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The time that it was for.
    pub at: Timestamp,
    /// When it was done.
    pub done_at: Timestamp,
    /// Why it failed, if it did.
    pub cause: Option<Failure>,
}

/// A schedule as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleView<'a> {
    pub schedule: &'a Schedule,
    pub next: Option<Timestamp>,
    /// Of this server's doing; `None` where it has done none, or somebody else does them.
    pub last: Option<LastRun>,
}

/// The events that a schedule's run is. `at` is its time as [`text`] writes it, or what stands for it where somebody else fills it in.
#[must_use]
pub fn events(schedule: &Schedule, at: &str) -> Vec<Value> {
    let name = &schedule.name;
    match schedule.action {
        Action::Start => schedule
            .services
            .iter()
            .map(|service| {
                json!({"id": format!("schedule/{name}/{service}/{at}"), "source": SOURCE, "detail-type": "Start ECS Task", "detail": {"service": service}})
            })
            .collect(),
        Action::Stop => vec![
            json!({"id": format!("schedule/{name}/{at}"), "source": SOURCE, "detail-type": "Stop ECS Tasks", "detail": {"services": schedule.services}}),
        ],
    }
}

impl Wharf {
    /// Does what schedules say, until the returned future is dropped.
    pub async fn follow_schedules(&self) {
        if self.settings().schedules.is_empty() {
            return;
        }
        let mut known = HashMap::new();
        loop {
            let pause = self.run_schedules(&mut known).await;
            tokio::time::sleep(pause).await;
        }
    }

    /// Does what is due, and gives how long nothing else is.
    async fn run_schedules(&self, known: &mut HashMap<ScheduleName, Past>) -> Duration {
        let now = self.clock().now();
        let schedules = &self.settings().schedules;
        for schedule in schedules {
            if known.contains_key(&schedule.name) {
                continue;
            }
            match self.past(schedule, now).await {
                Ok(past) => known.insert(schedule.name.clone(), past),
                Err(failure) => {
                    tracing::warn!(schedule = %schedule.name, error = %failure.message, "what was done of a schedule cannot be read now");
                    return RETRY;
                }
            };
        }
        let until = |run: &Run<'_>| known.get(&run.schedule.name).map_or(now, |past| past.until);
        let runs: Vec<_> = due(schedules, now)
            .into_iter()
            .filter(|run| run.at > until(run))
            .collect();
        let mut has_failed = false;
        for run in runs {
            let done = self.run(run).await;
            if let Err(failure) = &done
                && failure.code.is_passing()
            {
                tracing::warn!(schedule = %run.schedule.name, error = %failure.message, "a schedule's run is tried again");
                has_failed = true;
                continue;
            }
            let past = self.dealt_with(run, done.err());
            if let Err(failure) = self.keep(run.schedule, &past).await {
                tracing::warn!(schedule = %run.schedule.name, error = %failure.message, "a schedule's run cannot be noted now");
                has_failed = true;
                continue;
            }
            known.insert(run.schedule.name.clone(), past);
        }
        if has_failed {
            return RETRY;
        }
        let next = schedules
            .iter()
            .filter_map(|schedule| schedule.calendar.next(now))
            .min();
        next.map_or(LOOK, |next| next.since(self.clock().now()).min(LOOK))
    }

    fn dealt_with(&self, run: Run<'_>, cause: Option<Failure>) -> Past {
        let Run { schedule, at } = run;
        if let Some(cause) = &cause {
            tracing::error!(schedule = %schedule.name, code = %cause.code, error = %cause.message, "a schedule's run failed");
        } else {
            tracing::info!(schedule = %schedule.name, time = text(at), "a schedule was followed");
        }
        Past {
            meaning: meaning(schedule),
            until: at,
            last: Some(LastRun {
                at,
                done_at: self.clock().now(),
                cause,
            }),
        }
    }

    async fn run(&self, run: Run<'_>) -> Result<(), Failure> {
        for event in events(run.schedule, &text(run.at)) {
            match run.schedule.action {
                Action::Start => self.begin_event(&event, None).await.map(drop)?,
                Action::Stop => self.answer_event(&event, Delivery::default()).await.map(drop)?,
            }
        }
        Ok(())
    }

    /// What was done of a schedule. Of one that is new, or means something else than it did, nothing was missed: it begins now.
    async fn past(&self, schedule: &Schedule, now: Timestamp) -> Result<Past, Failure> {
        if let Some(past) = self.noted(schedule).await? {
            return Ok(past);
        }
        let past = Past {
            meaning: meaning(schedule),
            until: now,
            last: None,
        };
        self.keep(schedule, &past).await?;
        Ok(past)
    }

    async fn noted(&self, schedule: &Schedule) -> Result<Option<Past>, Failure> {
        let noted = self.store().reservation(Kind::Schedule, schedule.name.as_str()).await?;
        let past = noted.and_then(|noted| serde_json::from_str::<Past>(&noted.value).ok());
        Ok(past.filter(|past| past.meaning == meaning(schedule)))
    }

    async fn keep(&self, schedule: &Schedule, past: &Past) -> Result<(), Failure> {
        let now = self.clock().now();
        // A reservation is somebody's; the same schedule gives the same owner, and each note takes the place of the one before.
        let mut random = [0; 10];
        random.copy_from_slice(&Sha256::digest(schedule.name.as_str())[..10]);
        let owner = InstanceId::new(Timestamp(0), random);
        let mut batch = Batch::new(owner, Expect::Anything, LeaseChange::Keep);
        batch.reserve.push(Reserve {
            kind: Kind::Schedule,
            key: schedule.name.to_string(),
            value: serde_json::to_string(past).map_err(|error| Failure::internal(error.to_string()))?,
            until: Some(now + KEPT),
            now,
        });
        match self.store().commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::Store(error)) => Err(error.failure),
            Err(error) => Err(Failure::internal(error.to_string())),
        }
    }

    /// All schedules, with their times.
    pub async fn schedules(&self) -> Result<Vec<ScheduleView<'_>>, Failure> {
        let now = self.clock().now();
        let mut views = Vec::with_capacity(self.settings().schedules.len());
        for schedule in &self.settings().schedules {
            views.push(ScheduleView {
                schedule,
                next: schedule.calendar.next(now),
                last: self.noted(schedule).await?.and_then(|past| past.last),
            });
        }
        Ok(views)
    }
}

/// What decides on when it is, and on what is done then.
fn meaning(schedule: &Schedule) -> String {
    let services: Vec<_> = schedule
        .services
        .iter()
        .map(wharf_domain::ServiceName::as_str)
        .collect();
    format!("{:?}: {:?} {}", schedule.calendar, schedule.action, services.join(" "))
}
