//! Stuck at every step that can be undone: what is said of it, and both ways out. Resumed when its cause is gone it ends clean; given up, its name and port are free, and repair shows what is left.

use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use wharf_domain::{Code, Failure, Instance, InstanceId};
use wharf_provisioning::{
    Caller,
    repair::{Class, Finding},
};
use wharf_saga::{Context, Outcome, Step};
use wharf_testkit::sim::{SimWharf, wharf::sign_up};

use crate::repairing::{mend, plan};

/// The steps that take something away, in the order in which an end does it.
const STEPS: [&str; 6] = ["route", "endpoint", "task", "database", "secrets", "claim"];

/// A step whose undo fails as long as it is named.
struct Jammed {
    step: Box<dyn Step<Instance>>,
    jam: Arc<Mutex<Option<&'static str>>>,
}

#[async_trait::async_trait]
impl Step<Instance> for Jammed {
    fn name(&self) -> &'static str {
        self.step.name()
    }

    fn has_effect(&self) -> bool {
        self.step.has_effect()
    }

    fn timeout(&self) -> Duration {
        self.step.timeout()
    }

    async fn run(&self, context: &mut Context<'_>, data: &mut Instance) -> Outcome {
        self.step.run(context, data).await
    }

    async fn undo(&self, context: &mut Context<'_>, data: &mut Instance) -> Outcome {
        if *self.jam.lock() == Some(self.step.name()) {
            return Outcome::Fail(Failure::new(Code::ResourceForeign, "it is jammed").hint("take the wrench out"));
        }
        self.step.undo(context, data).await
    }
}

type Jam = Arc<Mutex<Option<&'static str>>>;

async fn jammed() -> (SimWharf, Jam) {
    let jam = Jam::default();
    let around = jam.clone();
    let wharf = SimWharf::with_steps(
        1,
        |_, settings| {
            settings.name_rest = Duration::from_mins(1);
            settings.direct_quarantine = Duration::from_mins(1);
        },
        Arc::new(move |step| {
            Box::new(Jammed {
                step,
                jam: around.clone(),
            })
        }),
    )
    .await;
    (wharf, jam)
}

/// How it comes to be stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Its first start failed, and is taken back.
    Unwinding,
    Ending,
    Stopping,
}

/// An instance that is stuck at this step; `None` where that saga does not come to it.
async fn stuck(wharf: &SimWharf, jam: &Jam, way: Way, step: &'static str) -> Option<InstanceId> {
    let is_on_the_way = match way {
        Way::Unwinding | Way::Ending => true,
        Way::Stopping => ["route", "endpoint", "task"].contains(&step),
    };
    if !is_on_the_way {
        return None;
    }
    let id = if way == Way::Unwinding {
        *jam.lock() = Some(step);
        wharf.world.behave(
            "direct",
            wharf_testkit::sim::Behaviour {
                answers: wharf_testkit::sim::Answers::Never,
                ..Default::default()
            },
        );
        let request = sign_up("acme", Some("direct"));
        let accepted = wharf.wharf().provision(request, Caller::Visitor, None).await;
        let id = accepted.expect("accepted").id;
        wharf.until(&id, "stuck").await;
        id
    } else {
        let id = wharf.ready("acme", "direct").await;
        *jam.lock() = Some(step);
        let asked = match way {
            Way::Stopping => wharf.wharf().stop(&id).await,
            Way::Ending | Way::Unwinding => wharf.wharf().end(&id).await,
        };
        asked.expect("asked for");
        wharf.until(&id, "stuck").await;
        id
    };
    Some(id)
}

fn cases() -> impl Iterator<Item = (Way, &'static str)> {
    [Way::Unwinding, Way::Ending, Way::Stopping]
        .into_iter()
        .flat_map(|way| STEPS.map(|step| (way, step)))
}

#[tokio::test(start_paused = true)]
async fn what_is_stuck_says_at_which_step_why_and_what_to_do() {
    for (way, step) in cases() {
        let (wharf, jam) = jammed().await;
        let Some(id) = stuck(&wharf, &jam, way, step).await else {
            continue;
        };
        let view = wharf.wharf().show(&id).await.expect("shown");
        assert_eq!(view.stuck_at.as_deref(), Some(step), "{way:?}");
        assert_eq!(view.cause.map(|cause| cause.message).as_deref(), Some("it is jammed"));
        let found = plan(&wharf).await;
        assert_eq!(found.len(), 1, "{way:?} {step}: {found:#?}");
        assert!(found[0].what.contains(&format!("stuck at step {step}")), "{found:?}");
        for advice in [view.advice, found[0].hint.clone()] {
            let advice = advice.expect("what a person can do");
            for part in [
                "take the wrench out",
                "wharf resume acme",
                "wharf abandon acme --reason",
            ] {
                assert!(advice.contains(part), "{way:?} {step}: {advice}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_stuck_anywhere_ends_clean_once_its_cause_is_gone() {
    for (way, step) in cases() {
        let (wharf, jam) = jammed().await;
        let Some(id) = stuck(&wharf, &jam, way, step).await else {
            continue;
        };
        wharf.wharf().resume(&id).await.expect("asked for");
        tokio::time::sleep(Duration::from_millis(1)).await;
        wharf.until(&id, "stuck").await;
        *jam.lock() = None;
        wharf.wharf().resume(&id).await.expect("asked for");
        tokio::time::sleep(Duration::from_millis(1)).await;
        let expected = match way {
            Way::Unwinding => "failed",
            Way::Ending => "ended",
            Way::Stopping => "stopped",
        };
        let view = wharf.until(&id, expected).await;
        assert_eq!(plan(&wharf).await, [], "{way:?} {step}");
        assert_eq!(wharf.leftovers().await, [""; 0], "{way:?} {step}");
        if way == Way::Stopping {
            wharf.wharf().start(&id).await.expect("asked for");
            tokio::time::sleep(Duration::from_millis(1)).await;
            wharf.until(&id, "ready").await;
            wharf.serves(&wharf.record(&id).await.data).expect("it serves");
        } else {
            assert!(view.clean, "{way:?} {step}: {view:?}");
            assert_eq!(wharf.world.belongings(&id), [""; 0], "{way:?} {step}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_lets_its_name_go_and_repair_shows_what_is_left_and_why() {
    for (way, step) in cases() {
        let (wharf, jam) = jammed().await;
        let Some(id) = stuck(&wharf, &jam, way, step).await else {
            continue;
        };
        let left = wharf.world.belongings(&id);
        wharf
            .wharf()
            .abandon(&id, "the disk is at the vendor's")
            .await
            .expect("asked for");
        tokio::time::sleep(Duration::from_millis(1)).await;
        let over = if way == Way::Unwinding { "failed" } else { "ended" };
        wharf.until(&id, over).await;
        assert_eq!(wharf.world.belongings(&id), left, "it is the operator's");
        let found = plan(&wharf).await;
        assert_eq!(found.len(), left.len(), "{way:?} {step}: {found:#?} {left:?}");
        let says_why = |finding: &Finding| {
            finding
                .cause
                .as_ref()
                .is_some_and(|cause| cause.contains(&format!("given up at step {step}: the disk is at the vendor's")))
        };
        assert!(found.iter().all(says_why), "{way:?} {step}: {found:#?}");
        assert!(
            found.iter().all(|finding| finding.class <= Some(Class::Asked)),
            "{found:#?}"
        );
        // Another can have the name: at once, or when it has rested.
        wharf.world.behave("direct", wharf_testkit::sim::Behaviour::default());
        *jam.lock() = None;
        mend(&wharf).await;
        assert_eq!(wharf.world.belongings(&id), [""; 0], "{way:?} {step}");
        tokio::time::sleep(Duration::from_mins(2)).await;
        let next = wharf.ready("acme", "direct").await;
        wharf.serves(&wharf.record(&next).await.data).expect("it serves");
        assert_eq!(plan(&wharf).await, [], "{way:?} {step}");
    }
}
