//! Every saga stands the battery of `testkit`: here is how each begins, and what its end must look like.

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use wharf_domain::{Attempt, Code, Failure, Instance, InstanceId, State, service::SleepBy};
use wharf_provisioning::{Caller, Message};
use wharf_saga::{Context, Outcome, Step};
use wharf_testkit::{
    battery::{self, End, Heir, Rigging, Stage, Subject},
    sim::{
        Behaviour, SimWharf, services,
        tasks::SimTask,
        wharf::{sign_up, start},
    },
};

/// A saga, with a service to run it on.
struct Case {
    saga: Saga,
    service: &'static str,
    flaw: Option<(&'static str, Flaw)>,
}

/// What is wrong with a step: the battery has to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    UndoesNothing,
    RunsOnlyOnce,
    IsUndoneOnlyOnce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saga {
    Provision,
    /// Its task was lost on the way to its first Ready.
    ProvisionAgain,
    Stop,
    Start,
    Heal,
    TakeDown,
    /// Nobody uses it.
    Sleep,
    Wake,
    End,
}

impl Case {
    const fn new(saga: Saga, service: &'static str) -> Self {
        Self {
            saga,
            service,
            flaw: None,
        }
    }

    fn has_database(&self) -> bool {
        !matches!(self.service, "site" | "auth")
    }
}

/// A deployment in which the saga is about to begin, or has.
struct InPlay {
    saga: Saga,
    wharf: SimWharf,
    id: Option<InstanceId>,
    service: &'static str,
    has_database: bool,
}

const NAME: &str = "acme";
/// Between two looks at who is unused, at the most.
const LOOK: Duration = Duration::from_secs(30);

impl InPlay {
    async fn provision(&mut self) {
        let wharf = self.wharf.wharf();
        let accepted = if self.service == "auth" {
            wharf.start_service(start("auth"), Caller::Admin, None).await
        } else {
            wharf
                .provision(sign_up(NAME, Some(self.service)), Caller::Visitor, None)
                .await
        };
        self.id = Some(accepted.expect("it is accepted").id);
    }

    fn id(&self) -> &InstanceId {
        self.id.as_ref().expect("it was provisioned")
    }

    async fn send(&self, message: Message) {
        let engine = self.wharf.wharf().engine();
        engine
            .send(self.id(), &message, None)
            .await
            .expect("sent")
            .expect("there is such an instance");
    }

    async fn crash_task(&self) {
        let attempt = self.wharf.record(self.id()).await.data.attempt;
        self.wharf.world.exit(self.id(), 3);
        // The event says the same; whichever comes first counts.
        let cause = Failure::new(Code::TaskCrashed, "it ended with 3");
        self.send(Message::TaskStopped { attempt, cause }).await;
    }
}

#[async_trait]
impl Subject for Case {
    fn name(&self) -> String {
        format!("{:?} of {}", self.saga, self.service)
    }

    fn is_taken_back(&self) -> bool {
        matches!(self.saga, Saga::Provision | Saga::ProvisionAgain)
    }

    async fn stage(&self, rigging: Arc<Rigging>) -> Box<dyn Stage> {
        let flaw = self.flaw;
        let limit = if self.saga == Saga::TakeDown { 0 } else { 10 };
        let wharf = SimWharf::with_steps(
            1,
            |_, settings| {
                settings.heal.limit = limit;
                for by in [SleepBy::Stop, SleepBy::Pause] {
                    let sleeper = services::sleeper(by);
                    settings.services.insert(sleeper.name.clone(), sleeper);
                }
            },
            Arc::new(move |step| rigging.around(flawed(step, flaw))),
        )
        .await;
        let mut play = InPlay {
            saga: self.saga,
            wharf,
            id: None,
            service: self.service,
            has_database: self.has_database(),
        };
        if self.saga == Saga::ProvisionAgain {
            let slow = Behaviour {
                runs_after: Duration::from_mins(1),
                ..Behaviour::default()
            };
            play.wharf.world.behave_next(self.service, slow);
            play.provision().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        } else if self.saga != Saga::Provision {
            play.provision().await;
            let id = play.id().clone();
            play.wharf.until(&id, "ready").await;
            if play.has_database {
                assert!(play.wharf.world.write_row("user_acme", "order", "1"));
            }
            if self.saga == Saga::Wake {
                play.wharf.until(&id, "sleeping").await;
            }
            if self.saga == Saga::Start {
                play.wharf.wharf().stop(&id).await.expect("stopped");
                play.wharf.until(&id, "stopped").await;
            }
        }
        Box::new(play)
    }
}

#[async_trait]
impl Stage for InPlay {
    async fn begin(&mut self) {
        match self.saga {
            Saga::Provision => self.provision().await,
            Saga::ProvisionAgain => {
                let cause = Failure::new(Code::TaskLost, "it is gone");
                let attempt = Attempt(1);
                self.send(Message::Lost { attempt, cause }).await;
            }
            Saga::Stop => self.wharf.wharf().stop(self.id()).await.expect("asked for"),
            Saga::Start => self.wharf.wharf().start(self.id()).await.expect("asked for"),
            Saga::End => self.wharf.wharf().end(self.id()).await.expect("asked for"),
            Saga::Wake => self.wharf.wharf().wake(self.id()).await.expect("asked for"),
            // Who is unused for long enough is told to sleep.
            Saga::Sleep => tokio::time::sleep(services::SLEEPS_AFTER + 2 * LOOK).await,
            Saga::Heal | Saga::TakeDown => self.crash_task().await,
        }
    }

    async fn settle(&mut self) {
        // What is stuck again and again stays so, and is complained of.
        for _ in 0..5 {
            if self.saga == Saga::Sleep {
                // Where something went wrong it is awake, and is put to sleep again.
                tokio::time::sleep(services::SLEEPS_AFTER + 2 * LOOK).await;
            }
            let view = self.wharf.at_rest(self.id()).await;
            match &*view.status {
                "stuck" => self.wharf.wharf().resume(self.id()).await.expect("it can be resumed"),
                "ready" if self.saga == Saga::Sleep => {}
                _ => return,
            }
        }
    }

    async fn crash(&mut self, heir: Heir) {
        match heir {
            Heir::SameMachine => self.wharf.restart().await,
            Heir::AnotherMachine => self.wharf.hand_over().await,
        }
    }

    async fn complaints(&mut self, end: End) -> Vec<String> {
        let id = self.id().clone();
        let record = self.wharf.record(&id).await;
        let instance = &record.data;
        let expected = match (self.saga, end) {
            (Saga::Provision | Saga::ProvisionAgain, End::TakenBack) => "failed",
            (Saga::Provision | Saga::ProvisionAgain, End::Either) if matches!(instance.state, State::Failed { .. }) => {
                "failed"
            }
            (Saga::Provision | Saga::ProvisionAgain | Saga::Start | Saga::Heal | Saga::Wake, _) => "ready",
            (Saga::Sleep, _) => "sleeping",
            (Saga::Stop, _) if instance.tenant.is_some() => "stopped",
            (Saga::TakeDown, _) => "down",
            (Saga::Stop | Saga::End, _) => "ended",
        };
        let mut complaints = self.wharf.leftovers().await;
        if instance.state.name() != expected {
            complaints.push(format!(
                "it is {} and not {expected}: {}",
                instance.state.name(),
                self.wharf.story(&id).await
            ));
        }
        let belongings = self.wharf.world.belongings(&id);
        match expected {
            "ready" => complaints.extend(self.wharf.serves(instance).err()),
            "failed" | "ended" => complaints.extend(belongings.into_iter().map(|line| format!("{line} is left"))),
            "sleeping" if instance.held.task.is_some() => {
                let tasks = self.wharf.world.live_tasks(&id);
                let is_its = |task: &SimTask| task.is_paused && Some(&task.reference) == instance.held.task.as_ref();
                if tasks.len() != 1 || !tasks.iter().all(is_its) || self.service != "dozes" {
                    complaints.push(format!("its tasks are {tasks:?}"));
                }
                complaints.extend(belongings.into_iter().filter(|line| line.starts_with("route")));
            }
            _ => {
                let runs = |line: &&String| line.starts_with("task") || line.starts_with("route");
                complaints.extend(belongings.iter().filter(runs).map(|line| format!("{line} is left")));
            }
        }
        let keeps = matches!(expected, "ready" | "sleeping" | "stopped" | "down");
        if keeps && self.wharf.world.secrets(&id).is_none() {
            complaints.push("its secrets are gone".to_owned());
        }
        if keeps && self.has_database {
            let rows = self
                .wharf
                .world
                .database("user_acme")
                .map(|database| database.rows.len());
            let expected = usize::from(!matches!(self.saga, Saga::Provision | Saga::ProvisionAgain));
            if rows != Some(expected) {
                complaints.push(format!("its database has {rows:?} rows, not {expected}"));
            }
        }
        if keeps && instance.tenant.is_some() {
            match self.wharf.wharf().find(NAME).await {
                Ok(holder) if holder == id => {}
                other => complaints.push(format!("its name leads to {other:?}")),
            }
        }
        complaints
    }
}

macro_rules! stands_the_battery {
    ($($test:ident: $saga:ident of $service:literal;)*) => {
        $(
            #[test]
            fn $test() {
                battery::run(&Case::new(Saga::$saga, $service));
            }
        )*
    };
}

stands_the_battery! {
    a_provision_with_a_database_behind_a_host: Provision of "shop";
    a_provision_without_a_database: Provision of "site";
    a_provision_at_a_static_port_without_a_load_balancer: Provision of "direct";
    a_provision_without_a_tenant_behind_a_path: Provision of "auth";
    a_provision_whose_task_was_lost: ProvisionAgain of "shop";
    a_provision_at_a_static_port_whose_task_was_lost: ProvisionAgain of "direct";
    a_stop: Stop of "shop";
    a_stop_of_a_static_port: Stop of "direct";
    a_stop_without_a_tenant: Stop of "auth";
    a_start: Start of "shop";
    a_start_at_a_static_port: Start of "direct";
    a_heal: Heal of "shop";
    a_heal_without_a_tenant: Heal of "auth";
    a_take_down: TakeDown of "shop";
    a_sleep_by_a_stop: Sleep of "naps";
    a_sleep_by_a_pause: Sleep of "dozes";
    a_waking_from_a_stop: Wake of "naps";
    a_waking_from_a_pause: Wake of "dozes";
    an_end: End of "shop";
    an_end_of_a_static_port: End of "direct";
    an_end_without_a_tenant: End of "auth";
}

struct Flawed {
    step: Box<dyn Step<Instance>>,
    flaw: Flaw,
    called: Mutex<BTreeSet<(InstanceId, bool)>>,
}

fn flawed(step: Box<dyn Step<Instance>>, flaw: Option<(&'static str, Flaw)>) -> Box<dyn Step<Instance>> {
    match flaw {
        Some((name, flaw)) if name == step.name() => Box::new(Flawed {
            step,
            flaw,
            called: Mutex::default(),
        }),
        _ => step,
    }
}

#[async_trait]
impl Step<Instance> for Flawed {
    fn name(&self) -> &'static str {
        self.step.name()
    }

    fn has_effect(&self) -> bool {
        self.step.has_effect()
    }

    async fn run(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let again = !self.called.lock().insert((instance.id.clone(), false));
        if again && self.flaw == Flaw::RunsOnlyOnce {
            return Outcome::Fail(Failure::internal("it is there already"));
        }
        self.step.run(context, instance).await
    }

    async fn undo(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let again = !self.called.lock().insert((instance.id.clone(), true));
        match self.flaw {
            Flaw::UndoesNothing => Outcome::Done,
            Flaw::IsUndoneOnlyOnce if again => Outcome::Fail(Failure::internal("it is gone already")),
            _ => self.step.undo(context, instance).await,
        }
    }
}

#[test]
fn the_battery_finds_steps_that_are_not_as_they_should_be() {
    for flaw in [
        ("secrets", Flaw::UndoesNothing),
        ("task", Flaw::UndoesNothing),
        ("database", Flaw::RunsOnlyOnce),
        ("database", Flaw::IsUndoneOnlyOnce),
    ] {
        let case = Case {
            flaw: Some(flaw),
            ..Case::new(Saga::Provision, "shop")
        };
        let found = std::panic::catch_unwind(|| battery::run(&case));
        assert!(found.is_err(), "{flaw:?} was not found");
    }
}
