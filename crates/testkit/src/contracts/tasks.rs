//! The contract of [`Tasks`] and [`TaskEvents`]: what every platform does with a task, as checks that run one by one
//! against any adapter.
//!
//! A crate with an adapter writes an `async fn make() -> Fixture` and says `wharf_testkit::tasks_contract!(real make)`
//! (or `paused make`) in a test module of its own. What only its platform has (ports, memory, parents and children) it
//! tests itself.

use futures::{StreamExt, future::join_all, stream::BoxStream};
use std::{any::Any, collections::BTreeMap, fmt, sync::Arc, time::Duration};
use wharf_domain::{Attempt, Code, DeploymentId, Timestamp, instance::TaskRef, service::RunSpec};
use wharf_platform::{Owner, Stopping, TaskEvent, TaskEvents, TaskSpec, TaskStatus, Tasks};

use super::harness::{eventually, some_owner, soon};

/// Makes a `#[test]` of every check, with platforms that `$make` (an `async fn() -> Fixture`) gives; `$time` is `real`
/// or `paused`.
#[macro_export]
macro_rules! tasks_contract {
    ($time:ident $make:path) => {
        $crate::contract_tests! { tasks, $time $make:
            a_started_task_runs,
            a_start_said_again_is_the_same_task,
            starts_of_one_owner_at_once_are_one_task,
            each_attempt_is_a_task_of_its_own,
            a_started_task_is_found_by_its_owner,
            a_crash_is_told_with_exit_code_and_last_words,
            a_task_that_ended_is_not_started_again,
            an_end_is_told_as_an_event,
            a_stop_ends_a_task,
            a_stop_said_again_is_a_success,
            a_stop_of_what_never_ran_is_a_success,
            who_ignores_the_request_is_made_to_end,
            a_paused_task_stands_still_until_it_is_let_go_on,
            a_paused_task_can_be_stopped,
            what_has_ended_cannot_be_paused,
            every_running_task_is_listed_once_with_its_owner,
            what_cannot_run_is_known_before_the_start,
            another_deployments_owner_cannot_end_a_task,
            nothing_is_known_of_an_unknown_task,
        }
    };
}

/// What tasks are made of on a platform.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Runs until it is asked to end, and then ends.
    pub lasting: RunSpec,
    /// Prints [`LAST_WORDS`] and exits with [`EXIT_CODE`].
    pub crashing: RunSpec,
    /// Runs, and does not end when it is asked to.
    pub stubborn: RunSpec,
    /// Cannot be run at all: `check` says so with `task.command` or `task.image`.
    pub impossible: RunSpec,
}

/// What the crashing program prints before it ends.
pub const LAST_WORDS: &str = "cannot go on";
/// What the crashing program exits with.
pub const EXIT_CODE: i32 = 3;

/// A platform without tasks, and what must live as long as it does.
pub struct Fixture {
    pub tasks: Arc<dyn Tasks>,
    pub events: Arc<dyn TaskEvents>,
    pub deployment: DeploymentId,
    pub programs: Programs,
    /// Whether the crashing program's output can be had.
    pub tells_output: bool,
    pub keeps: Box<dyn Any + Send>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

impl Fixture {
    fn owner(&self) -> Owner {
        some_owner(&self.deployment)
    }

    async fn start(&self, owner: &Owner, run: &RunSpec) -> TaskRef {
        self.tasks.start(spec(owner, run)).await.expect("it starts")
    }

    async fn status(&self, owner: &Owner, task: &TaskRef) -> TaskStatus {
        self.tasks.look(owner, task).await.expect("it can be looked at")
    }

    async fn until_running(&self, owner: &Owner, task: &TaskRef) {
        eventually("the task runs", async || match self.status(owner, task).await {
            TaskStatus::Running { .. } => Some(()),
            TaskStatus::Pending { .. } => None,
            other => panic!("it ended: {other:?}"),
        })
        .await;
    }

    async fn until_over(&self, owner: &Owner, task: &TaskRef) -> TaskStatus {
        eventually("the task is over", async || match self.status(owner, task).await {
            TaskStatus::Running { .. } | TaskStatus::Pending { .. } => None,
            over => Some(over),
        })
        .await
    }

    async fn until_stopped(&self, owner: &Owner, task: &TaskRef, grace: Duration) {
        eventually("the task has stopped", async || {
            let stopping = self.tasks.stop(owner, task, grace).await.expect("it can be stopped");
            (stopping == Stopping::Stopped).then_some(())
        })
        .await;
    }

    /// Everything that a check starts.
    fn runs(&self) -> Vec<RunSpec> {
        vec![self.programs.lasting.clone()]
    }

    async fn is_listed(&self, owner: &Owner) -> bool {
        let all = self.tasks.all(&self.runs()).await.expect("they can be listed");
        all.iter().any(|(listed, _)| listed == owner)
    }
}

fn spec(owner: &Owner, run: &RunSpec) -> TaskSpec {
    TaskSpec {
        owner: owner.clone(),
        service: "contract".parse().expect("a name"),
        run: run.clone(),
        port: None,
        environment: BTreeMap::new(),
        public: false,
        intended_at: Timestamp(0),
    }
}

/// Long enough to be asked politely.
const GRACE: Duration = Duration::from_secs(10);
/// For those who do not listen.
const SHORT_GRACE: Duration = Duration::from_millis(50);

pub async fn a_started_task_runs(fixture: Fixture) {
    let owner = fixture.owner();
    let task = fixture.start(&owner, &fixture.programs.lasting).await;
    assert_eq!(task.attempt, owner.attempt);
    fixture.until_running(&owner, &task).await;
}

pub async fn a_start_said_again_is_the_same_task(fixture: Fixture) {
    let owner = fixture.owner();
    let first = fixture.start(&owner, &fixture.programs.lasting).await;
    assert_eq!(fixture.start(&owner, &fixture.programs.lasting).await, first);
    assert_eq!(
        fixture.tasks.all(&fixture.runs()).await.expect("listed"),
        [(owner, first)]
    );
}

pub async fn starts_of_one_owner_at_once_are_one_task(fixture: Fixture) {
    let owner = fixture.owner();
    let starts = (0..8).map(|_| fixture.start(&owner, &fixture.programs.lasting));
    let tasks = join_all(starts).await;
    assert!(tasks.iter().all(|task| *task == tasks[0]), "{tasks:?}");
    assert_eq!(fixture.tasks.all(&fixture.runs()).await.expect("listed").len(), 1);
}

pub async fn each_attempt_is_a_task_of_its_own(fixture: Fixture) {
    let owner = fixture.owner();
    let next = Owner {
        attempt: Attempt(2),
        ..owner.clone()
    };
    let first = fixture.start(&owner, &fixture.programs.lasting).await;
    let second = fixture.start(&next, &fixture.programs.lasting).await;
    assert_ne!(first, second);
    fixture.until_stopped(&owner, &first, GRACE).await;
    fixture.until_running(&next, &second).await;
}

pub async fn a_started_task_is_found_by_its_owner(fixture: Fixture) {
    let owner = fixture.owner();
    assert_eq!(
        fixture
            .tasks
            .find(&spec(&owner, &fixture.programs.lasting))
            .await
            .expect("looked for"),
        None
    );
    let task = fixture.start(&owner, &fixture.programs.lasting).await;
    assert_eq!(
        fixture
            .tasks
            .find(&spec(&owner, &fixture.programs.lasting))
            .await
            .expect("looked for"),
        Some(task)
    );
    let next = Owner {
        attempt: Attempt(2),
        ..owner
    };
    assert_eq!(
        fixture
            .tasks
            .find(&spec(&next, &fixture.programs.lasting))
            .await
            .expect("looked for"),
        None
    );
}

fn assert_crashed(status: &TaskStatus, tells_output: bool) {
    let TaskStatus::Stopped {
        cause,
        exit_code,
        output,
    } = status
    else {
        panic!("stopped, not {status:?}")
    };
    assert_eq!(cause.code, Code::TaskCrashed);
    assert!(cause.message.contains(&EXIT_CODE.to_string()), "{}", cause.message);
    assert_eq!(*exit_code, Some(EXIT_CODE));
    if tells_output {
        let output = output.as_deref().unwrap_or_default();
        assert!(output.contains(LAST_WORDS), "{output:?}");
        assert!(output.len() <= 4096, "at most 4 KiB");
    }
}

pub async fn a_crash_is_told_with_exit_code_and_last_words(fixture: Fixture) {
    let owner = fixture.owner();
    let task = fixture.start(&owner, &fixture.programs.crashing).await;
    let status = fixture.until_over(&owner, &task).await;
    assert_crashed(&status, fixture.tells_output);
}

pub async fn a_task_that_ended_is_not_started_again(fixture: Fixture) {
    let owner = fixture.owner();
    let task = fixture.start(&owner, &fixture.programs.crashing).await;
    let status = fixture.until_over(&owner, &task).await;
    assert_eq!(fixture.start(&owner, &fixture.programs.crashing).await, task);
    assert_eq!(fixture.status(&owner, &task).await, status);
}

async fn event_of_the_end(events: &mut BoxStream<'static, TaskEvent>) -> TaskEvent {
    soon("an event of the end", async {
        loop {
            let event = events.next().await.expect("events go on");
            if matches!(event.status, TaskStatus::Stopped { .. }) {
                return event;
            }
        }
    })
    .await
}

pub async fn an_end_is_told_as_an_event(fixture: Fixture) {
    let owner = fixture.owner();
    let mut events = fixture.events.subscribe();
    let task = fixture.start(&owner, &fixture.programs.crashing).await;
    let event = event_of_the_end(&mut events).await;
    assert_eq!((&event.instance, &event.task), (&owner.instance, &task));
    assert_crashed(&event.status, fixture.tells_output);
}

pub async fn a_stop_ends_a_task(fixture: Fixture) {
    let owner = fixture.owner();
    let task = fixture.start(&owner, &fixture.programs.lasting).await;
    fixture.until_running(&owner, &task).await;
    fixture.until_stopped(&owner, &task, GRACE).await;
    fixture.until_over(&owner, &task).await;
    assert!(!fixture.is_listed(&owner).await);
}

pub async fn a_stop_said_again_is_a_success(fixture: Fixture) {
    let owner = fixture.owner();
    let task = fixture.start(&owner, &fixture.programs.lasting).await;
    fixture.until_stopped(&owner, &task, GRACE).await;
    let again = fixture.tasks.stop(&owner, &task, GRACE).await;
    assert_eq!(again, Ok(Stopping::Stopped));
}

pub async fn a_stop_of_what_never_ran_is_a_success(fixture: Fixture) {
    let owner = fixture.owner();
    let task = TaskRef {
        id: "never-was".into(),
        attempt: owner.attempt,
    };
    assert_eq!(fixture.tasks.stop(&owner, &task, GRACE).await, Ok(Stopping::Stopped));
}

pub async fn who_ignores_the_request_is_made_to_end(fixture: Fixture) {
    let owner = fixture.owner();
    let task = fixture.start(&owner, &fixture.programs.stubborn).await;
    fixture.until_running(&owner, &task).await;
    let told = fixture.tasks.stop(&owner, &task, SHORT_GRACE).await;
    assert!(told.is_ok(), "{told:?}");
    // The platform ends it by itself: nobody says it again.
    fixture.until_over(&owner, &task).await;
    fixture.until_stopped(&owner, &task, SHORT_GRACE).await;
}

/// A task that runs and is paused; `None` where that cannot be had, and it says so.
async fn paused(fixture: &Fixture) -> Option<(Owner, TaskRef)> {
    let owner = fixture.owner();
    let task = fixture.start(&owner, &fixture.programs.lasting).await;
    fixture.until_running(&owner, &task).await;
    let paused = fixture.tasks.pause(&owner, &task).await;
    if !fixture.tasks.can_pause() {
        assert_eq!(paused.expect_err("it says so").code, Code::TaskPause);
        return None;
    }
    paused.expect("it can be paused");
    let status = fixture.status(&owner, &task).await;
    assert!(matches!(status, TaskStatus::Paused { .. }), "{status:?}");
    Some((owner, task))
}

pub async fn a_paused_task_stands_still_until_it_is_let_go_on(fixture: Fixture) {
    let Some((owner, task)) = paused(&fixture).await else {
        return;
    };
    let again = fixture.tasks.pause(&owner, &task).await;
    assert_eq!(again, Ok(()), "said again it is a success");
    assert!(fixture.is_listed(&owner).await);
    let used = fixture.tasks.memory(&owner, &task).await.expect("looked at");
    assert!(used.is_none_or(|bytes| bytes > 0), "{used:?}");
    for _ in 0..2 {
        fixture.tasks.unpause(&owner, &task).await.expect("it goes on");
        fixture.until_running(&owner, &task).await;
    }
    fixture.until_stopped(&owner, &task, GRACE).await;
}

pub async fn a_paused_task_can_be_stopped(fixture: Fixture) {
    let Some((owner, task)) = paused(&fixture).await else {
        return;
    };
    fixture.until_stopped(&owner, &task, GRACE).await;
    assert!(!fixture.is_listed(&owner).await);
}

pub async fn what_has_ended_cannot_be_paused(fixture: Fixture) {
    let owner = fixture.owner();
    let task = fixture.start(&owner, &fixture.programs.crashing).await;
    fixture.until_over(&owner, &task).await;
    if fixture.tasks.can_pause() {
        let failed = [
            fixture.tasks.pause(&owner, &task).await,
            fixture.tasks.unpause(&owner, &task).await,
        ];
        for failed in failed {
            assert_eq!(failed.expect_err("there is nothing to be paused").code, Code::TaskLost);
        }
    }
}

pub async fn every_running_task_is_listed_once_with_its_owner(fixture: Fixture) {
    let owners = [fixture.owner(), fixture.owner(), fixture.owner()];
    let mut expected = Vec::new();
    for owner in &owners {
        let task = fixture.start(owner, &fixture.programs.lasting).await;
        expected.push((owner.clone(), task));
    }
    let mut all = fixture.tasks.all(&fixture.runs()).await.expect("listed");
    all.sort_by(|(a, _), (b, _)| a.instance.cmp(&b.instance));
    assert_eq!(all, expected);
}

pub async fn what_cannot_run_is_known_before_the_start(fixture: Fixture) {
    let failure = fixture
        .tasks
        .check(&fixture.programs.impossible, None)
        .await
        .expect_err("known");
    assert!(!failure.code.is_passing(), "trying again does not help: {failure:?}");
    assert!(failure.hint.is_some(), "it says what to do: {failure:?}");
    let owner = fixture.owner();
    let started = fixture.tasks.start(spec(&owner, &fixture.programs.impossible)).await;
    assert_eq!(started.expect_err("it does not start").code, failure.code);
    assert!(!fixture.is_listed(&owner).await);
    fixture
        .tasks
        .check(&fixture.programs.lasting, None)
        .await
        .expect("this one can run");
}

pub async fn another_deployments_owner_cannot_end_a_task(fixture: Fixture) {
    let owner = fixture.owner();
    let task = fixture.start(&owner, &fixture.programs.lasting).await;
    let stranger = Owner {
        deployment: DeploymentId::new([99; 10]),
        ..owner.clone()
    };
    // A failure, or a success that did nothing.
    let _ = fixture.tasks.stop(&stranger, &task, Duration::ZERO).await;
    fixture.until_running(&owner, &task).await;
    assert!(fixture.is_listed(&owner).await);
}

pub async fn nothing_is_known_of_an_unknown_task(fixture: Fixture) {
    let owner = fixture.owner();
    let task = TaskRef {
        id: "never-was".into(),
        attempt: owner.attempt,
    };
    assert_eq!(fixture.status(&owner, &task).await, TaskStatus::Gone);
}
