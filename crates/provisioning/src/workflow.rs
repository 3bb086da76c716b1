//! The decisions: what a message means for an instance in its state, and what a saga's end does to it. Pure: no call in here goes out.

mod sleeping;

use std::{collections::HashMap, sync::Arc};
use wharf_domain::{Attempt, Code, Failure, Instance, State, Timestamp, instance::TaskRef, service::AfterTrial};
use wharf_platform::Platform;
use wharf_saga::{
    Decision, Ending, Ids, Next, Progress, Step, Way, Workflow,
    step::Writes,
    store::{Documented, Field, Index},
    workflow::Plan,
};

use crate::{
    gate::Gate,
    message::Message,
    sagas,
    settings::Settings,
    steps::{self, World},
    tokens::TokenKey,
    trial, webhooks,
};

/// The workflow of an instance's whole life.
pub struct Provisioning {
    settings: Arc<Settings>,
    steps: HashMap<&'static str, Box<dyn Step<Instance>>>,
}

impl Provisioning {
    /// `around` is put around each step. A deployment puts nothing there; a test can make a step fail.
    #[must_use]
    pub(crate) fn new(
        platform: Platform,
        settings: Arc<Settings>,
        ids: Arc<dyn Ids>,
        tokens: TokenKey,
        gate: Arc<Gate>,
        around: impl Fn(Box<dyn Step<Instance>>) -> Box<dyn Step<Instance>>,
    ) -> Self {
        let world = Arc::new(World {
            platform,
            settings: settings.clone(),
            ids,
            tokens,
            gate,
        });
        let steps = steps::all(&world)
            .into_iter()
            .map(|step| (step.name(), around(step)))
            .collect();
        Self { settings, steps }
    }

    /// Its task runs no more: a new attempt, unless there were too many.
    fn bring_back(&self, instance: &mut Instance, cause: Failure, demise: Demise, now: Timestamp) -> Decision {
        let heal = &self.settings.heal;
        // No attempt brings back what is lost, nor makes room where there was none for as long as it may be waited for.
        let is_hopeless = [
            Code::DatabaseLost,
            Code::SecretsLost,
            Code::LimitQueue,
            Code::LimitBooking,
        ];
        if is_hopeless.contains(&cause.code) {
            return turn_to(instance, State::Restoring { since: now, cause }, sagas::take_down());
        }
        if demise == Demise::Lost {
            instance.losses.retain(|at| now.since(*at) < heal.within);
            instance.losses.push(now);
            let losses = instance.losses.len();
            if losses > heal.losses {
                return turn_to(instance, State::Restoring { since: now, cause }, sagas::take_down());
            }
            // The first one is brought back at once: it is nobody's fault.
            instance.pause_until = (losses > 1).then(|| now + self.settings.backoff(losses - 1));
        }
        if demise == Demise::Crashed {
            instance.crashes.retain(|at| now.since(*at) < self.settings.heal.within);
            instance.crashes.push(now);
            if instance.crashes.len() > self.settings.heal.limit {
                return turn_to(instance, State::Restoring { since: now, cause }, sagas::take_down());
            }
            instance.pause_until = Some(now + self.settings.backoff(instance.crashes.len()));
        }
        turn_to(instance, State::Restoring { since: now, cause }, sagas::restore())
    }

    /// The record goes on from the attempt of which there is something. What is left of its own one is of an earlier attempt then, and nobody's.
    fn overtaken(&self, instance: &mut Instance, attempt: Attempt, task: Option<TaskRef>, now: Timestamp) -> Decision {
        instance.attempt = attempt;
        let has_task = task.is_some();
        if has_task {
            instance.held.task = task;
        }
        let cause = || Failure::new(Code::TaskLost, "the registry is older than the task that was there");
        match &instance.state {
            State::Ready { .. } => self.bring_back(instance, cause(), Demise::Lost, now),
            State::Sleeping { .. } if has_task => Decision::Begin(sagas::sleep_on()),
            // It rests as before, once what was there is taken down.
            State::Stopped { .. } if has_task => {
                turn_to(instance, State::Stopping { since: now, end: false }, sagas::stop())
            }
            State::Down { cause, .. } if has_task => {
                let cause = cause.clone();
                turn_to(instance, State::Restoring { since: now, cause }, sagas::take_down())
            }
            _ => Decision::Continue,
        }
    }

    /// Going away on request outranks everything.
    fn go(instance: &mut Instance, end: bool, now: Timestamp) -> Decision {
        // An instance that nobody can ask for by name has nothing to come back to.
        let end = end || instance.tenant.is_none();
        let plan = if end { sagas::end() } else { sagas::stop() };
        turn_to(instance, State::Stopping { since: now, end }, plan)
    }

    /// What is stuck goes on: it is again in the state in which its saga halted.
    fn take_up(
        &self,
        instance: &mut Instance,
        saga: Option<&Progress>,
        now: Timestamp,
        decision: Decision,
    ) -> Decision {
        let cause = instance.state.cause().cloned().unwrap_or_else(cancelled);
        let saga = saga.map(|saga| saga.saga.as_str());
        let was = match (saga, instance.first_ready_at, self.settings.url(instance)) {
            (Some(sagas::STOP), ..) => State::Stopping { since: now, end: false },
            (Some(sagas::END), Some(_), _) => State::Stopping { since: now, end: true },
            (Some(sagas::SLEEP | sagas::SLEEP_ON), _, Some(url)) => State::Sleeping { since: now, url },
            (_, Some(_), _) => State::Restoring { since: now, cause },
            (_, None, _) => State::Provisioning { since: now },
        };
        match instance.transition(was) {
            Ok(()) => decision,
            Err(error) => {
                tracing::error!(instance = %instance.id, %error, "what is stuck cannot be taken up");
                Decision::Continue
            }
        }
    }

    fn one(
        &self,
        instance: &mut Instance,
        saga: Option<&Progress>,
        message: Message,
        now: Timestamp,
        writes: &mut Writes,
    ) -> Decision {
        let current = |attempt: Attempt| attempt == instance.attempt;
        match (&instance.state, message) {
            (State::Failed { .. } | State::Ended { .. }, _) => Decision::Continue,

            // Before its first Ready there is nothing to keep: a stop and an end are the same. What is taking something away goes on with that.
            (State::Provisioning { .. } | State::Queued { .. }, Message::Stop | Message::End) if takes_away(saga) => {
                if saga.is_some_and(|saga| saga.saga == sagas::END) {
                    Decision::Continue
                } else {
                    Decision::Begin(sagas::end())
                }
            }
            (State::Provisioning { .. } | State::Queued { .. }, Message::Stop | Message::End) => {
                Decision::Unwind(cancelled())
            }
            (
                State::Provisioning { .. } | State::Queued { .. } | State::Restoring { .. },
                Message::TaskStopped { attempt, .. }
                | Message::Lost { attempt, .. }
                | Message::Restarted { attempt, .. }
                | Message::Unhealthy { attempt, .. },
            ) if !(current(attempt) && wants_task(instance, saga)) => Decision::Continue,
            // Through no fault of its own: what was asked for is still wanted, and a new attempt goes on.
            (State::Provisioning { .. } | State::Queued { .. }, Message::Lost { cause, .. }) => {
                begin_again(instance, Demise::Lost, cause)
            }
            (State::Provisioning { .. } | State::Queued { .. }, Message::Restarted { cause, .. }) => {
                begin_again(instance, Demise::WithUs, cause)
            }
            (State::Restoring { .. }, Message::Lost { cause, .. }) => {
                self.bring_back(instance, cause, Demise::Lost, now)
            }
            (State::Restoring { .. }, Message::Restarted { cause, .. }) => {
                self.bring_back(instance, cause, Demise::WithUs, now)
            }
            (
                State::Provisioning { .. } | State::Queued { .. } | State::Restoring { .. },
                Message::TaskStopped { cause, .. } | Message::Unhealthy { cause, .. },
            ) => Decision::Unwind(cause),
            (State::Provisioning { .. } | State::Queued { .. }, Message::Start) => Decision::Continue,

            (State::Stopping { end: true, .. }, Message::Stop | Message::End) => Decision::Continue,
            (State::Stopping { end: false, .. } | State::Stopped { .. }, Message::Stop) => Decision::Continue,
            (
                State::Ready { .. } | State::Restoring { .. } | State::Sleeping { .. } | State::Down { .. },
                Message::Stop,
            ) => Self::go(instance, false, now),
            (
                State::Ready { .. }
                | State::Restoring { .. }
                | State::Sleeping { .. }
                | State::Down { .. }
                | State::Stopped { .. }
                | State::Stopping { .. },
                Message::End,
            ) => Self::go(instance, true, now),

            (State::Ready { .. }, Message::TaskStopped { attempt, cause } | Message::Unhealthy { attempt, cause })
                if current(attempt) =>
            {
                self.bring_back(instance, cause, Demise::Crashed, now)
            }
            (State::Ready { .. }, Message::Lost { attempt, cause }) if current(attempt) => {
                self.bring_back(instance, cause, Demise::Lost, now)
            }
            (State::Ready { .. }, Message::Restarted { attempt, cause }) if current(attempt) => {
                self.bring_back(instance, cause, Demise::WithUs, now)
            }

            (State::Ready { .. }, Message::Unrouted { attempt, cause }) if current(attempt) => {
                turn_to(instance, State::Restoring { since: now, cause }, sagas::reroute())
            }
            (State::Ready { .. }, Message::Sleep { attempt }) if current(attempt) && saga.is_none() => {
                self.fall_asleep(instance, now)
            }
            (State::Sleeping { .. }, Message::Wake) => Self::wake(instance, saga, now),
            (State::Sleeping { .. }, Message::Start) => {
                instance.crashes.clear();
                instance.losses.clear();
                Self::wake(instance, saga, now)
            }
            // Nobody misses its task while it sleeps; what ends it itself goes on with that.
            (
                State::Sleeping { .. },
                Message::TaskStopped { attempt, cause }
                | Message::Lost { attempt, cause }
                | Message::Restarted { attempt, cause },
            ) if current(attempt) && instance.held.task.is_some() && !takes_away(saga) => {
                writes
                    .notes
                    .push(format!("its task ended while it slept: {}", cause.message));
                Decision::Begin(sagas::sleep_on())
            }
            (
                State::Ready { .. } | State::Sleeping { .. } | State::Stopped { .. } | State::Down { .. },
                Message::Overtaken { attempt, task },
            ) if attempt > instance.attempt => self.overtaken(instance, attempt, task, now),

            // It was granted when the stop did not show yet, and came after it.
            (State::Down { .. } | State::Stopped { .. } | State::Stopping { end: false, .. }, Message::Start) => {
                instance.crashes.clear();
                instance.losses.clear();
                instance.pause_until = None;
                instance.asked_back = true;
                let cause = instance
                    .state
                    .cause()
                    .cloned()
                    .unwrap_or_else(|| Failure::new(Code::InstanceState, "it was stopped"));
                turn_to(instance, State::Restoring { since: now, cause }, sagas::restore())
            }

            (State::Stuck { .. }, Message::Resume) => self.take_up(instance, saga, now, Decision::Resume),
            // Of what was never Ready, and of what was ending, nothing is left to be stopped for.
            (State::Stuck { .. }, Message::End | Message::Stop) if instance.first_ready_at.is_none() => {
                self.take_up(instance, saga, now, Decision::Begin(sagas::end()))
            }
            (State::Stuck { .. }, Message::Stop) if saga.is_some_and(|saga| saga.saga == sagas::END) => {
                self.take_up(instance, saga, now, Decision::Resume)
            }
            (State::Stuck { .. }, Message::Stop) => Self::go(instance, false, now),
            // A stuck end is tried again from its beginning.
            (State::Stuck { .. }, Message::End) => Self::go(instance, true, now),
            (State::Stuck { step, .. }, Message::Abandon { reason }) => {
                writes.notes.push(format!("{GIVEN_UP} {step}: {reason}"));
                let cause = Failure::new(Code::InstanceAbandoned, format!("given up at step {step}: {reason}"));
                steps::give_back(&self.settings, now, writes, instance);
                steps::release_endpoint(&self.settings, now, writes, instance);
                instance.held = wharf_domain::Resources::default();
                // The rules have no way from Stuck to Ended but through Stopping.
                let next = if instance.first_ready_at.is_some() {
                    State::Ended { at: now }
                } else {
                    State::Failed { at: now, cause }
                };
                if matches!(next, State::Ended { .. }) {
                    let _ = instance.transition(State::Stopping { since: now, end: true });
                }
                let _ = instance.transition(next);
                writes.outbox.extend(webhooks::announce(&self.settings, instance, now));
                Decision::Drop
            }
            (_, _) => Decision::Continue,
        }
    }
}

/// How a task came to its end, where nobody asked for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demise {
    /// By itself: counts towards the limit of crashes.
    Crashed,
    /// With its host: counts towards a limit of its own, which only a platform reaches that loses everything.
    Lost,
    /// With Wharf, which ran it. Says nothing of the task, however often it is so: all that are there have it at the same time, and all would be given up together.
    WithUs,
}

/// How the note begins that says why somebody gave an instance up: `repair` tells it of what is left.
pub(crate) const GIVEN_UP: &str = "given up at step";

/// Attempts of one provision, at the most: a platform that loses every task is not asked for ever.
const ATTEMPTS_LOST: u32 = 10;

/// The provision begun again with a new attempt: its task was lost through no fault of its own, and what was asked for is still wanted.
fn again(instance: &Instance, demise: Demise) -> Option<(Plan, usize)> {
    let is_in_time = instance.attempt.0 < ATTEMPTS_LOST || demise == Demise::WithUs;
    (instance.state.is_new() && is_in_time).then(|| sagas::provision_again(&instance.service))
}

fn begin_again(instance: &Instance, demise: Demise, cause: Failure) -> Decision {
    match again(instance, demise) {
        Some((plan, done)) => Decision::BeginAfter(plan, done),
        None => Decision::Unwind(cause),
    }
}

fn cancelled() -> Failure {
    Failure::new(Code::InstanceCancelled, "it was stopped while it was being started")
}

/// Whether the saga under way is at a step that takes something away for good.
fn takes_away(saga: Option<&Progress>) -> bool {
    saga.is_some_and(|saga| saga.unwinding.is_none() && saga.current().is_some_and(|planned| planned.way == Way::Undo))
}

/// Whether the saga under way wants the instance's task to run. What takes it down awaits just its end.
fn wants_task(instance: &Instance, saga: Option<&Progress>) -> bool {
    let goes_up = saga
        .is_some_and(|saga| saga.unwinding.is_none() && saga.current().is_some_and(|planned| planned.way == Way::Run));
    goes_up && instance.held.task.is_some()
}

/// Changes the state and begins a saga; where the rules have no such way, nothing happens.
fn turn_to(instance: &mut Instance, next: State, plan: Plan) -> Decision {
    match instance.transition(next) {
        Ok(()) => Decision::Begin(plan),
        Err(error) => {
            tracing::error!(instance = %instance.id, %error, "a decision without a way; nothing is done");
            Decision::Continue
        }
    }
}

impl Workflow for Provisioning {
    type Data = Instance;
    type Message = Message;

    fn step(&self, name: &str) -> Option<&dyn Step<Instance>> {
        self.steps.get(name).map(Box::as_ref)
    }

    fn index(&self, instance: &Instance) -> Index {
        Index {
            name: instance.tenant.as_ref().map(|tenant| tenant.subdomain.to_string()),
            service: instance.service.name.to_string(),
            state: instance.state.name(),
            live: !instance.state.is_final(),
        }
    }

    fn documented(&self, instance: &Instance) -> Option<Documented> {
        let tenant = instance.tenant.as_ref()?;
        let text = |text: &dyn ToString| Field::Text(text.to_string());
        let status = match &instance.state {
            State::Ready { .. } => "RUNNING".to_owned(),
            state => state.name().to_uppercase(),
        };
        let port = instance.held.endpoint.as_ref().map(wharf_domain::Endpoint::port);
        let fields = [
            ("email", Some(text(&tenant.admin_email))),
            ("companyName", Some(text(&tenant.company_name))),
            (
                "port",
                port.or(instance.held.port).map(|port| Field::Number(port.into())),
            ),
            ("taskArn", instance.held.task.as_ref().map(|task| text(&task.id))),
            ("status", Some(Field::Text(status))),
            (
                "createdAt",
                Some(Field::Number(i64::try_from(instance.created_at.0).unwrap_or(i64::MAX))),
            ),
            ("accessUrl", self.settings.url(instance).map(Field::Text)),
        ];
        Some(Documented {
            key: tenant.subdomain.to_string(),
            fields: fields
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            live: !instance.state.is_final(),
        })
    }

    fn appointment(&self, instance: &Instance) -> Option<Timestamp> {
        trial::appointment(instance)
    }

    fn attempt(&self, instance: &Instance) -> u32 {
        instance.attempt.0
    }

    fn cause(&self, instance: &Instance) -> Option<Failure> {
        instance.state.cause().cloned()
    }

    fn decide(
        &self,
        instance: &mut Instance,
        saga: Option<&Progress>,
        messages: Vec<Message>,
        now: Timestamp,
        writes: &mut Writes,
    ) -> Decision {
        if messages.is_empty() {
            return match trial::due(&self.settings, instance, now, writes) {
                Some(AfterTrial::End) => Self::go(instance, true, now),
                Some(AfterTrial::Stop) => Self::go(instance, false, now),
                None => Decision::Continue,
            };
        }
        let mut messages = messages;
        for message in &mut messages {
            match message {
                Message::StopKeepingTargets => {
                    instance.keep_targets = true;
                    *message = Message::Stop;
                }
                Message::Stop | Message::Start | Message::End => instance.keep_targets = false,
                // Whatever else is decided, and whatever becomes of the other messages.
                Message::Extend { until } => trial::extend(&self.settings, instance, *until, now, writes),
                _ => {}
            }
        }
        // An end outranks a stop, and both outrank whatever else waits with them. Of a stop and a start, the later one counts.
        let is_start_or_stop = |message: &Message| matches!(message, Message::Stop | Message::Start);
        if let Some(last) = messages.iter().rposition(is_start_or_stop) {
            let mut index = 0;
            messages.retain(|message| {
                let overtaken = index < last && is_start_or_stop(message);
                index += 1;
                !overtaken
            });
        }
        let strongest = messages
            .iter()
            .position(|message| *message == Message::End)
            .or_else(|| messages.iter().position(|message| *message == Message::Stop));
        if let Some(index) = strongest {
            return self.one(instance, saga, messages.swap_remove(index), now, writes);
        }
        // Whoever waits for one that sleeps is not to be forgotten over what else is told of it.
        if matches!(instance.state, State::Sleeping { .. })
            && let Some(index) = messages
                .iter()
                .position(|message| matches!(message, Message::Wake | Message::Start))
        {
            return self.one(instance, saga, messages.swap_remove(index), now, writes);
        }
        for message in messages {
            let decision = self.one(instance, saga, message, now, writes);
            if decision != Decision::Continue {
                // What is left of this page speaks of the state before.
                return decision;
            }
        }
        Decision::Continue
    }

    fn again(&self, instance: &Instance, saga: &Progress, cause: &Failure) -> Option<(Plan, usize)> {
        let is_lost = saga.saga == sagas::PROVISION && cause.code == Code::TaskLost;
        is_lost.then(|| again(instance, Demise::Lost)).flatten()
    }

    fn ended(&self, instance: &mut Instance, saga: &str, ending: &Ending, now: Timestamp, writes: &mut Writes) -> Next {
        let (next, then) = match (saga, ending) {
            // The step `ready` has made it Ready.
            (sagas::PROVISION | sagas::RESTORE | sagas::REROUTE | sagas::WAKE, Ending::Done) => return Next::Rest,
            (sagas::SLEEP | sagas::SLEEP_ON, Ending::Done) => return Next::Rest,
            (sagas::SLEEP, Ending::Undone { cause }) => return self.stay_awake(instance, cause, now),
            (sagas::PROVISION, Ending::Undone { cause }) => (
                State::Failed {
                    at: now,
                    cause: cause.clone(),
                },
                Next::Rest,
            ),
            (sagas::RESTORE, Ending::Undone { cause }) if self.sleeps_on(instance, cause, now, writes) => {
                return Next::Rest;
            }
            (_, Ending::Undone { cause }) => {
                let demise = match cause.code {
                    // What did not survive its sleep says nothing of what it is like awake.
                    _ if saga == sagas::WAKE => Demise::WithUs,
                    Code::TaskLost => Demise::Lost,
                    _ => Demise::Crashed,
                };
                match self.bring_back(instance, cause.clone(), demise, now) {
                    Decision::Begin(plan) => return Next::Begin(plan),
                    _ => return Next::Rest,
                }
            }
            (sagas::STOP, Ending::Done) => (State::Stopped { since: now }, Next::Rest),
            (sagas::TAKE_DOWN, Ending::Done) => {
                let cause = instance
                    .state
                    .cause()
                    .cloned()
                    .unwrap_or_else(|| Failure::internal("it was taken down without a cause"));
                let name = instance.name();
                writes.notes.push(match cause.code {
                    Code::DatabaseLost | Code::SecretsLost | Code::LimitQueue | Code::LimitBooking => {
                        format!("given up: {}; `wharf start {name}` tries again", cause.message)
                    }
                    _ => format!(
                        "given up after {} crashes and {} losses; `wharf start {name}` tries again",
                        instance.crashes.len(),
                        instance.losses.len(),
                    ),
                });
                (State::Down { since: now, cause }, Next::Rest)
            }
            // It was stopped on its way to its first Ready.
            (_, Ending::Done) if instance.first_ready_at.is_none() => {
                let cause = cancelled();
                (State::Failed { at: now, cause }, Next::Rest)
            }
            (_, Ending::Done) => (State::Ended { at: now }, Next::Rest),
            (_, Ending::Halted { step, cause }) => (
                State::Stuck {
                    at: now,
                    step: step.clone(),
                    cause: cause.clone(),
                },
                Next::Rest,
            ),
        };
        if let Err(error) = instance.transition(next) {
            tracing::error!(instance = %instance.id, saga, %error, "a saga ended where it cannot");
        }
        writes.outbox.extend(webhooks::announce(&self.settings, instance, now));
        then
    }
}
