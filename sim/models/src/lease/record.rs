//! An instance's record as the model has it, and what its workflow decides. How far a saga has come is `wharf_saga`'s own pure core, asked once for
//! every place that a saga can be at: what is checked is that code, and no copy of it.

use std::sync::LazyLock;
use wharf_domain::{Failure, Timestamp};
use wharf_saga::{
    Ending, Outcome, Progress, Way,
    plan::Action,
    record::{OnFailure, Planned},
};

/// `provision`, `restore` and `end`, without the steps that are like others for this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    Provision,
    /// `provision_again` too, which has the same steps.
    Restore,
    End,
}

/// What the model keeps of the steps: one with an effect, one that waits for the world, and one that changes the record alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Task,
    Running,
    Attempt,
}

impl Step {
    const ALL: [Self; 3] = [Self::Task, Self::Running, Self::Attempt];

    const fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Running => "running",
            Self::Attempt => "attempt",
        }
    }

    pub(super) const fn has_effect(self) -> bool {
        matches!(self, Self::Task)
    }
}

impl Plan {
    const ALL: [Self; 3] = [Self::Provision, Self::Restore, Self::End];

    const fn steps(self) -> &'static [(Step, Way)] {
        match self {
            Self::Provision => &[(Step::Task, Way::Run), (Step::Running, Way::Run)],
            Self::Restore => &[
                (Step::Task, Way::Undo),
                (Step::Attempt, Way::Run),
                (Step::Task, Way::Run),
                (Step::Running, Way::Run),
            ],
            Self::End => &[(Step::Task, Way::Undo)],
        }
    }
}

/// A saga under way: what of [`Progress`] differs from place to place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Saga {
    pub plan: Plan,
    pub at: u8,
    pub begun: bool,
    pub unwinding: bool,
}

/// What a saga wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Call(Step, Way),
    Done,
    Undone,
}

/// What the engine's core says of one place.
#[derive(Clone, Copy)]
struct Place {
    next: Next,
    after_done: Saga,
    unwound: Saga,
    goes_up: bool,
}

const LONGEST_PLAN: usize = 4;
/// By plan, by how far it is, by whether the step at hand is begun, by direction.
type Places = [[[[Place; 2]; 2]; LONGEST_PLAN + 1]; 3];

static PLACES: LazyLock<Places> = LazyLock::new(|| {
    Plan::ALL.map(|plan| {
        std::array::from_fn(|at| {
            [false, true].map(|begun| {
                [false, true].map(|unwinding| {
                    let at = at.min(plan.steps().len()) as u8;
                    Place::of(Saga {
                        plan,
                        at,
                        begun,
                        unwinding,
                    })
                })
            })
        })
    })
});

const THEN: Timestamp = Timestamp(0);

impl Place {
    fn of(saga: Saga) -> Self {
        let step = |name: &str| {
            let step = Step::ALL.into_iter().find(|step| step.name() == name);
            step.expect("a plan has the model's steps only")
        };
        let progress = saga.progress();
        let next = match progress.action() {
            Action::Call { step: name, way } => Next::Call(step(&name), way),
            Action::End(Ending::Done) => Next::Done,
            Action::End(Ending::Undone { .. }) => Next::Undone,
            Action::End(Ending::Halted { .. }) => unreachable!("no step of the model fails for good"),
        };
        let mut after_done = saga.progress();
        after_done.apply(Outcome::Done, THEN, 0);
        let mut unwound = saga.progress();
        unwound.unwind(Failure::internal("a stop"), THEN);
        Self {
            next,
            after_done: saga.at_place(&after_done),
            unwound: saga.at_place(&unwound),
            goes_up: !saga.unwinding && progress.current().is_some_and(|planned| planned.way == Way::Run),
        }
    }
}

impl Saga {
    pub(super) const fn begin(plan: Plan) -> Self {
        Self {
            plan,
            at: 0,
            begun: false,
            unwinding: false,
        }
    }

    fn progress(self) -> Progress {
        Progress {
            saga: String::new(),
            steps: self
                .plan
                .steps()
                .iter()
                .map(|(step, way)| Planned {
                    step: step.name().to_owned(),
                    way: *way,
                })
                .collect(),
            on_failure: OnFailure::Unwind,
            at: self.at.into(),
            begun: self.begun,
            since: THEN,
            tries: 0,
            expected: None,
            unattended: std::time::Duration::ZERO,
            unwinding: self.unwinding.then(|| Failure::internal("a stop")),
            waits_for: None,
            halted: None,
        }
    }

    fn at_place(self, progress: &Progress) -> Self {
        Self {
            plan: self.plan,
            at: progress.at as u8,
            begun: progress.begun,
            unwinding: progress.unwinding.is_some(),
        }
    }

    fn place(self) -> Place {
        PLACES[self.plan as usize][usize::from(self.at)][usize::from(self.begun)][usize::from(self.unwinding)]
    }

    /// `Progress::action`.
    pub(super) fn action(self) -> Next {
        self.place().next
    }

    /// `Progress::apply` of `Outcome::Done`.
    pub(super) fn apply_done(self) -> Self {
        self.place().after_done
    }

    /// `Progress::unwind`.
    pub(super) fn unwind(self) -> Self {
        self.place().unwound
    }

    /// Whether it is at a step of its way up.
    fn goes_up(self) -> bool {
        self.place().goes_up
    }
}

/// The states that the protocol tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Provisioning,
    Ready,
    Restoring,
    Stopping,
    Failed,
    Ended,
}

/// What is in the registry for the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub state: State,
    pub saga: Option<Saga>,
    pub attempt: u8,
    /// The record names the attempt's task.
    pub held: bool,
}

/// What can be in the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    End,
    /// The task of this attempt is gone.
    Lost(u8),
    /// What changes nothing in any state: it is read, and that is written.
    Note,
}

impl Record {
    pub(super) const fn claimed() -> Self {
        Self {
            state: State::Provisioning,
            saga: Some(Saga {
                begun: true,
                ..Saga::begin(Plan::Provision)
            }),
            attempt: 1,
            held: false,
        }
    }

    pub(super) const fn is_over(self) -> bool {
        matches!(self.state, State::Failed | State::Ended)
    }

    fn begin(&mut self, state: State, plan: Plan) {
        self.state = state;
        self.saga = Some(Saga::begin(plan));
    }

    /// `Workflow::decide`. Gives whether anything was decided.
    pub(super) fn decide(&mut self, messages: &[Message], forget_begun: bool) -> bool {
        // An end outranks whatever waits with it.
        if messages.contains(&Message::End) {
            return self.one(Message::End, forget_begun);
        }
        // What is left of a page after a decision speaks of the state before.
        messages.iter().any(|message| self.one(*message, forget_begun))
    }

    fn one(&mut self, message: Message, forget_begun: bool) -> bool {
        let goes_up = self.saga.is_some_and(Saga::goes_up);
        match (self.state, message) {
            (State::Failed | State::Ended | State::Stopping, _) | (_, Message::Note) => return false,
            // At a step that takes something away.
            (State::Provisioning, Message::End)
                if self
                    .saga
                    .is_some_and(|saga| !saga.unwinding && !goes_up && saga.action() != Next::Done) =>
            {
                self.begin(State::Stopping, Plan::End);
            }
            (State::Provisioning, Message::End) => {
                let Some(saga) = &mut self.saga else { return false };
                if saga.unwinding {
                    return false;
                }
                saga.begun &= !forget_begun;
                *saga = saga.unwind();
            }
            (State::Ready | State::Restoring, Message::End) => self.begin(State::Stopping, Plan::End),
            (_, Message::Lost(attempt)) if attempt != self.attempt => return false,
            (State::Ready, Message::Lost(_)) => self.begin(State::Restoring, Plan::Restore),
            (state, Message::Lost(_)) if goes_up && self.held => self.begin(state, Plan::Restore),
            (_, Message::Lost(_)) => return false,
        }
        true
    }

    /// `Workflow::ended`, for a saga that is at its end.
    pub(super) fn end(&mut self, undone: bool) {
        self.saga = None;
        match (self.state, undone) {
            (State::Provisioning, true) => self.state = State::Failed,
            (State::Stopping, _) => self.state = State::Ended,
            (_, true) => self.begin(State::Restoring, Plan::Restore),
            (_, false) => self.state = State::Ready,
        }
    }

    /// `tasks::is_stray`: whether a task that runs is not its instance's any more.
    pub(super) const fn is_stray(self, attempt: u8) -> bool {
        self.is_over() || attempt < self.attempt
    }
}
