//! What others see of an instance: the API's answers, the CLI's values. No secret is in here.

use serde::{Deserialize, Serialize};
use wharf_domain::{
    Attempt, Code, Endpoint, Failure, Instance, InstanceId, State, Tenant, Timestamp,
    service::{RouteRule, RunSpec},
};
use wharf_saga::{Progress, Record, Way, store::Happening, store::Numbered};

use crate::{gate::Place, settings::Settings};

/// An instance, for its operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstanceView {
    pub id: InstanceId,
    pub service: String,
    #[serde(flatten)]
    pub tenant: Option<Tenant>,
    /// `provisioning`, `ready`, …
    pub status: String,
    #[serde(skip)]
    pub state: State,
    /// As soon as it can be told.
    pub url: Option<String>,
    pub port: Option<u16>,
    pub attempt: Attempt,
    pub created_at: Timestamp,
    pub since: Timestamp,
    pub first_ready_at: Option<Timestamp>,
    /// When its trial is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Something is under way, or asked for and not yet taken up: the status is not the last word.
    pub moving: bool,
    /// The step at hand, and what it waits for.
    pub step: Option<String>,
    pub waits_for: Option<String>,
    /// Its place among those that wait for room, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
    /// What its sleep saved, if it ever slept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slept: Option<SleptView>,
    /// The steps after it; none while everything is taken back.
    pub upcoming: Vec<UpcomingStep>,
    /// What went wrong, where something did.
    pub cause: Option<Failure>,
    /// The step that is stuck.
    pub stuck_at: Option<String>,
    /// What a person can do, where only a person can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Nothing of it is left in the world.
    pub clean: bool,
    /// The platform's name of its task.
    pub task: Option<String>,
    /// Where its task listens.
    pub endpoint: Option<String>,
    pub database: Option<String>,
    /// The endpoint as a value, for answers in the documented form.
    #[serde(skip)]
    pub address: Option<Endpoint>,
    /// The target groups that the task is, or is to be, a target of.
    #[serde(skip)]
    pub target_groups: Vec<String>,
    #[serde(skip)]
    pub is_on_ecs: bool,
}

/// A place in the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// 1 is the next.
    pub position: usize,
    /// So many wait, this one among them.
    pub of: usize,
    /// What for.
    pub why: String,
}

impl From<Place> for Queue {
    fn from(place: Place) -> Self {
        Self {
            position: place.position,
            of: place.of,
            why: place.lack.text().to_owned(),
        }
    }
}

/// What an instance's sleep saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SleptView {
    /// How often it has slept, this time included.
    pub times: u32,
    /// How long in all, until now.
    pub millis: u64,
    /// Bytes of memory that are free because it sleeps just now.
    pub freed_bytes: u64,
}

impl SleptView {
    fn of(instance: &Instance, now: Timestamp) -> Option<Self> {
        let times = instance.slept.times + u32::from(instance.asleep_since().is_some());
        (times > 0).then(|| Self {
            times,
            millis: u64::try_from(instance.slept_by(now).as_millis()).unwrap_or(u64::MAX),
            freed_bytes: instance.slept.freed,
        })
    }
}

/// What a person can do about an instance that is stuck at this step.
#[must_use]
pub fn stuck_advice(name: &str, step: &str, cause: &Failure) -> String {
    let left = match step {
        "route" => "its route may still be there",
        "task" => "its task may still run",
        "database" => "its database may still be there",
        "secrets" => "its secrets may still be there",
        _ => "something of it may still be there",
    };
    let first = cause.hint.as_deref().unwrap_or("see to the cause");
    format!(
        "{left}: {first}; then `wharf resume {name}` goes on where it stands. Or `wharf abandon {name} --reason …` lets its name and port go, and `wharf repair` \
         shows what is left"
    )
}

/// What a person can do about an instance that was taken down.
#[must_use]
pub(crate) fn down_advice(name: &str, cause: &Failure) -> String {
    match (&cause.hint, cause.code) {
        // Another attempt would find nothing either.
        (Some(hint), Code::DatabaseLost | Code::SecretsLost | Code::LimitQueue | Code::LimitBooking) => hint.clone(),
        _ => format!("see with `wharf logs {name}` what it printed; `wharf start {name}` tries again"),
    }
}

impl InstanceView {
    #[must_use]
    pub fn new(record: &Record<Instance>, settings: &Settings, now: Timestamp) -> Self {
        let instance = &record.data;
        let progress = record.progress.as_ref();
        let url = match &instance.state {
            State::Ready { url, .. } => Some(url.clone()),
            // Where Wharf listens now, which is where it is woken.
            State::Sleeping { url, .. } => settings.url(instance).or_else(|| Some(url.clone())),
            State::Failed { .. } | State::Ended { .. } => None,
            _ => settings.url(instance),
        };
        Self {
            id: instance.id.clone(),
            service: instance.service.name.to_string(),
            tenant: instance.tenant.clone(),
            status: instance.state.name().to_owned(),
            state: instance.state.clone(),
            url,
            port: instance
                .held
                .port
                .or_else(|| instance.held.endpoint.as_ref().map(wharf_domain::Endpoint::port)),
            attempt: instance.attempt,
            created_at: instance.created_at,
            since: instance.state.since(),
            first_ready_at: instance.first_ready_at,
            expires_at: instance.expires_at.filter(|_| !instance.state.is_final()),
            moving: progress.is_some_and(|progress| progress.halted.is_none()),
            step: progress.and_then(Progress::current).map(|planned| planned.step.clone()),
            waits_for: progress.and_then(|progress| progress.waits_for.clone()),
            queue: None,
            slept: SleptView::of(instance, now),
            upcoming: progress.map(upcoming).unwrap_or_default(),
            cause: instance.state.cause().or_else(|| progress?.unwinding.as_ref()).cloned(),
            stuck_at: match &instance.state {
                State::Stuck { step, .. } => Some(step.clone()),
                _ => None,
            },
            advice: advice(instance),
            clean: instance.held.is_empty(),
            task: instance.held.task.as_ref().map(|task| task.id.clone()),
            endpoint: instance.held.endpoint.as_ref().map(wharf_domain::Endpoint::key),
            database: instance.held.database.clone(),
            address: instance.held.endpoint.clone(),
            target_groups: match &instance.service.route {
                RouteRule::TargetGroups { arns, .. } => arns.clone(),
                _ => Vec::new(),
            },
            is_on_ecs: matches!(instance.service.run, RunSpec::Ecs(_)),
        }
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.tenant
            .as_ref()
            .map_or(self.id.as_str(), |tenant| tenant.subdomain.as_str())
    }
}

fn advice(instance: &Instance) -> Option<String> {
    let name = instance.name();
    match &instance.state {
        State::Stuck { step, cause, .. } => Some(stuck_advice(name, step, cause)),
        State::Down { cause, .. } => Some(down_advice(name, cause)),
        _ => None,
    }
}

/// A step of the saga under way that has not been begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpcomingStep {
    pub step: String,
    /// It takes something down.
    pub undo: bool,
}

fn upcoming(progress: &Progress) -> Vec<UpcomingStep> {
    if progress.unwinding.is_some() || progress.halted.is_some() {
        return Vec::new();
    }
    let begun = progress.at + usize::from(progress.begun);
    progress
        .steps
        .iter()
        .skip(begun)
        .map(|planned| UpcomingStep {
            step: planned.step.clone(),
            undo: planned.way == Way::Undo,
        })
        .collect()
}

/// One step of an instance's life as it is shown: on the page, in `wharf show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    pub step: String,
    pub undo: bool,
    pub attempt: u32,
    pub started_at: Timestamp,
    /// `None` while it is under way.
    pub millis: Option<u64>,
    pub failed: Option<Failure>,
    pub waits_for: Option<String>,
}

/// Folds a history into its steps, in the order in which they were begun.
#[must_use]
pub fn steps(history: &[Numbered]) -> Vec<StepView> {
    let mut steps: Vec<StepView> = Vec::new();
    for Numbered { entry, .. } in history {
        let open = |steps: &mut Vec<StepView>, name: &str, undo: bool| {
            let index = steps
                .iter()
                .rposition(|step| step.step == name && step.undo == undo && step.millis.is_none());
            index.unwrap_or_else(|| {
                steps.push(StepView {
                    step: name.to_owned(),
                    undo,
                    attempt: entry.attempt,
                    started_at: entry.at,
                    millis: None,
                    failed: None,
                    waits_for: None,
                });
                steps.len() - 1
            })
        };
        match &entry.what {
            Happening::Started { step, undo } => {
                open(&mut steps, step, *undo);
            }
            Happening::Done { step, undo, millis } => {
                let index = open(&mut steps, step, *undo);
                steps[index].millis = Some(*millis);
                steps[index].failed = None;
                steps[index].waits_for = None;
            }
            Happening::Waits { step, undo, why } => {
                let index = open(&mut steps, step, *undo);
                steps[index].waits_for = Some(why.clone());
            }
            Happening::Failed { step, undo, cause, .. } => {
                let index = open(&mut steps, step, *undo);
                steps[index].failed = Some(cause.clone());
            }
            Happening::Began { .. } | Happening::State { .. } | Happening::Note { .. } => {}
        }
    }
    steps
}
