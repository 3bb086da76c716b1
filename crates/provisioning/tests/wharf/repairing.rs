//! Repair: every kind of difference between registry and world is found and mended, and nothing that is another's is touched.

use std::time::Duration;
use wharf_domain::Code;
use wharf_domain::{Attempt, DeploymentId, InstanceId};
use wharf_platform::{Backend, Owner, RouteKey};
use wharf_provisioning::{
    Caller,
    repair::{Class, Finding, Mend, Outcome, Subject},
};
use wharf_saga::store::{Batch, Expect, Kind, LeaseChange, Reserve, Store};
use wharf_testkit::{
    contracts::harness::{some_instance, some_owner},
    sim::{Behaviour, Mishap, SimWharf, When, services, wharf::start},
};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn plan(wharf: &SimWharf) -> Vec<Finding> {
    wharf.wharf().repair_plan().await.expect("compared")
}

pub(crate) fn texts(plan: &[Finding]) -> Vec<&str> {
    plan.iter().map(|finding| finding.what.as_str()).collect()
}

/// Applies the plan, twice over: what takes its time is over by the second time.
pub(crate) async fn mend(wharf: &SimWharf) {
    for _ in 0..2 {
        for mended in wharf.wharf().repair_apply(plan(wharf).await, Class::Unknown).await {
            assert_eq!(mended.outcome, Outcome::Done, "{}: {}", mended.mend, mended.text);
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
}

pub(crate) fn ours(wharf: &SimWharf, instance: InstanceId, attempt: u32) -> Owner {
    Owner {
        deployment: wharf.world.deployment_id().clone(),
        instance,
        attempt: Attempt(attempt),
    }
}

pub(crate) async fn ended(wharf: &SimWharf, name: &str) -> InstanceId {
    let id = wharf.ready(name, "shop").await;
    wharf.wharf().end(&id).await.expect("asked for");
    wharf.until(&id, "ended").await;
    id
}

pub(crate) fn host(name: &str) -> RouteKey {
    RouteKey::Host {
        host: format!("{name}.localhost"),
    }
}

pub(crate) fn plant_route(wharf: &SimWharf, owner: Owner, key: RouteKey) {
    let task = wharf.world.plant_task(owner.clone(), &services::plain("planted").name);
    let tasks = wharf.world.tasks(&owner.instance);
    let planted = tasks
        .into_iter()
        .find(|planted| planted.reference == task)
        .expect("it was planted");
    wharf.world.plant_route(Backend {
        owner,
        key,
        endpoint: planted.endpoint,
        identity_header: None,
        health: services::shop().health,
    });
}

#[tokio::test(start_paused = true)]
async fn where_nothing_differs_nothing_is_found() {
    let wharf = SimWharf::new(1).await;
    for (name, service) in [("acme", "shop"), ("bolt", "site"), ("cog", "direct")] {
        wharf.ready(name, service).await;
    }
    let stopped = wharf.ready("dot", "shop").await;
    wharf.wharf().stop(&stopped).await.expect("asked for");
    wharf.until(&stopped, "stopped").await;
    ended(&wharf, "elm").await;
    let started = wharf.wharf().start_service(start("auth"), Caller::Admin, None).await;
    wharf.until(&started.expect("accepted").id, "ready").await;
    assert_eq!(plan(&wharf).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_passed_over() {
    let wharf = SimWharf::new(1).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            runs_after: 5 * SECOND,
            ends_after: 5 * SECOND,
            ..Behaviour::default()
        },
    );
    let id = wharf.sign_up("acme").await.expect("accepted").id;
    for _ in 0..60 {
        assert_eq!(plan(&wharf).await, []);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    wharf.until(&id, "ready").await;
    wharf.wharf().end(&id).await.expect("asked for");
    for _ in 0..60 {
        assert_eq!(plan(&wharf).await, []);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    wharf.until(&id, "ended").await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_changes_nothing() {
    let wharf = SimWharf::new(1).await;
    let id = ended(&wharf, "acme").await;
    wharf.world.plant_secrets(&id);
    wharf
        .world
        .plant_task(ours(&wharf, id.clone(), 9), &services::shop().name);
    let before = (wharf.world.belongings(&id), wharf.store.commits());
    let (first, second) = (plan(&wharf).await, plan(&wharf).await);
    assert_eq!(first, second);
    assert_eq!(first.len(), 2);
    assert_eq!((wharf.world.belongings(&id), wharf.store.commits()), before);
}

#[tokio::test(start_paused = true)]
async fn what_an_instance_left_behind_is_found_and_taken_away() {
    for owner in ["ended", "unknown"] {
        let wharf = SimWharf::new(1).await;
        let kept = wharf.ready("kept", "shop").await;
        let id = if owner == "ended" {
            ended(&wharf, "acme").await
        } else {
            some_instance()
        };
        plant_route(&wharf, ours(&wharf, id.clone(), 7), host("acme"));
        wharf.world.plant_secrets(&id);
        wharf.world.plant_database(ours(&wharf, id.clone(), 0), "user_acme");
        let found = plan(&wharf).await;
        let kinds: Vec<&str> = found
            .iter()
            .map(|finding| match finding.mend {
                Some(Mend::StopTask { .. }) => "task",
                Some(Mend::WithdrawRoute { .. }) => "route",
                Some(Mend::RemoveSecrets { .. }) => "secrets",
                Some(Mend::RemoveDatabase { .. }) => "database",
                _ => "another",
            })
            .collect();
        let mut sorted = kinds.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["database", "route", "secrets", "task"], "{owner}: {found:?}");
        mend(&wharf).await;
        assert_eq!(wharf.world.belongings(&id), [""; 0], "{owner}");
        assert_eq!(plan(&wharf).await, []);
        wharf
            .serves(&wharf.record(&kept).await.data)
            .expect("the others are untouched");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_of_an_attempt_before_is_stopped_and_the_present_one_is_not() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    for _ in 0..2 {
        wharf.world.exit(&id, 1);
        tokio::time::sleep(Duration::from_mins(1)).await;
        wharf.until(&id, "ready").await;
    }
    // Started late, by a call of long ago.
    wharf.world.forget_ended(&id);
    let stray = wharf
        .world
        .plant_task(ours(&wharf, id.clone(), 1), &services::shop().name);
    let found = plan(&wharf).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(matches!(&found[0].mend, Some(Mend::StopTask { task, .. }) if *task == stray));
    mend(&wharf).await;
    assert_eq!(wharf.world.live_tasks(&id).len(), 1);
    wharf.serves(&wharf.record(&id).await.data).expect("it serves");
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_and_not_there_is_brought_back() {
    for lost in ["task", "route"] {
        let wharf = SimWharf::new(1).await;
        let id = wharf.ready("acme", "shop").await;
        assert!(wharf.world.write_row("user_acme", "order", "1"));
        if lost == "task" {
            wharf.world.lose_tasks();
        } else {
            let instance = wharf.record(&id).await.data;
            let owner = ours(&wharf, id.clone(), instance.attempt.0);
            let routes = wharf.world.platform().routes;
            assert_eq!(
                routes.withdraw(&owner, &host("acme"), None, Duration::ZERO).await,
                Ok(true)
            );
        }
        let found = plan(&wharf).await;
        assert!(
            texts(&found)
                .iter()
                .any(|text| text.contains("acme is ready in the registry")),
            "{found:?}"
        );
        mend(&wharf).await;
        wharf.until(&id, "ready").await;
        wharf.serves(&wharf.record(&id).await.data).expect("it serves");
        assert_eq!(wharf.world.database("user_acme").expect("a database").rows.len(), 1);
        assert_eq!(wharf.record(&id).await.data.crashes.len(), 0);
        assert_eq!(plan(&wharf).await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn lost_data_is_told_and_not_replaced_by_something_empty() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    wharf.world.lose_database("user_acme");
    wharf.world.lose_secrets(&id);
    let found = plan(&wharf).await;
    let told: Vec<bool> = ["the database user_acme of acme is gone", "the secrets of acme are gone"]
        .iter()
        .map(|text| texts(&found).contains(text))
        .collect();
    assert_eq!(told, [true, true], "{found:?}");
    assert!(
        found
            .iter()
            .all(|finding| finding.mend.is_none() && finding.hint.is_some() && finding.cause.is_some()),
        "a person decides"
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_person_is_told_with_what_he_can_do() {
    let wharf = SimWharf::with(1, |_, settings| settings.heal.limit = 0).await;
    let down = wharf.ready("down", "shop").await;
    wharf.world.exit(&down, 1);
    tokio::time::sleep(SECOND).await;
    wharf.until(&down, "down").await;
    let stuck = wharf.ready("stuck", "shop").await;
    wharf
        .world
        .faults()
        .order("tasks.stop", When::Always, Mishap::Before(Code::ResourceForeign));
    wharf.wharf().end(&stuck).await.expect("asked for");
    wharf.until(&stuck, "stuck").await;
    let found = plan(&wharf).await;
    let texts = texts(&found);
    assert!(
        texts[0].starts_with("down is down:") && texts[1].starts_with("stuck is stuck at step task:"),
        "{texts:?}"
    );
    assert!(
        found
            .iter()
            .all(|finding| finding.mend.is_none() && finding.hint.is_some())
    );
}

#[tokio::test(start_paused = true)]
async fn rights_of_what_is_over_are_given_back() {
    let wharf = SimWharf::new(1).await;
    let id = ended(&wharf, "acme").await;
    let reserve = |kind, key: &str| Reserve {
        kind,
        key: key.to_owned(),
        value: String::new(),
        until: None,
        now: wharf.world.now(),
    };
    let batch = Batch {
        reserve: vec![
            reserve(Kind::Port, "8002"),
            reserve(Kind::Endpoint, "10.0.0.9:80"),
            reserve(Kind::Name, "forgotten"),
        ],
        ..Batch::new(id.clone(), Expect::Anything, LeaseChange::Keep)
    };
    wharf.store.commit(batch).await.expect("committed");
    let found = plan(&wharf).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("port 8002") && found[0].what.contains("name forgotten"));
    mend(&wharf).await;
    assert_eq!(plan(&wharf).await, []);
    assert_eq!(wharf.leftovers().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_carries_another_deployments_mark_is_not_even_seen() {
    let wharf = SimWharf::new(1).await;
    let foreign = some_owner(&DeploymentId::new([9; 10]));
    plant_route(&wharf, foreign.clone(), host("theirs"));
    wharf.world.plant_database(foreign.clone(), "user_theirs");
    assert_eq!(plan(&wharf).await, []);
    mend(&wharf).await;
    assert_eq!(wharf.world.live_tasks(&foreign.instance).len(), 1);
    assert_eq!(wharf.world.routes(&host("theirs")).len(), 1);
    assert!(wharf.world.database("user_theirs").is_some());
}

/// Between the plan and its application somebody has acted: each mend looks once more.
#[tokio::test(start_paused = true)]
async fn a_plan_that_no_longer_fits_harms_nothing() {
    let wharf = SimWharf::new(1).await;
    let id = wharf.ready("acme", "shop").await;
    assert!(wharf.world.write_row("user_acme", "order", "1"));
    let instance = wharf.record(&id).await.data;
    let owner = ours(&wharf, id.clone(), 1);
    let task = instance.held.task.clone().expect("a task");
    let stale = [
        Mend::BringBack { instance: id.clone() },
        Mend::StopTask { owner, task },
        Mend::RemoveSecrets { instance: id.clone() },
        Mend::RemoveDatabase {
            instance: id.clone(),
            name: "user_acme".to_owned(),
        },
        Mend::Release {
            instance: id.clone(),
            rights: vec![(Kind::Name, "acme".to_owned())],
        },
        Mend::Reserve {
            instance: id.clone(),
            rights: vec![(Kind::Port, "8000".to_owned())],
        },
        Mend::Reroute { instance: id.clone() },
        Mend::Overtake {
            instance: id.clone(),
            attempt: Attempt(1),
            task: None,
        },
    ];
    let findings = stale.iter().map(|mend| Finding {
        subject: Subject::Task,
        instance: None,
        what: "it was so a moment ago".to_owned(),
        cause: None,
        mend: Some(mend.clone()),
        class: Some(Class::Safe),
        hint: None,
    });
    for mended in wharf.wharf().repair_apply(findings.collect(), Class::Safe).await {
        assert_eq!(mended.outcome, Outcome::PassedOver, "{}: {}", mended.mend, mended.text);
    }
    tokio::time::sleep(Duration::from_mins(5)).await;
    let after = wharf.record(&id).await.data;
    assert_eq!(after, instance, "it is exactly as it was");
    wharf.serves(&after).expect("it serves");
    assert_eq!(wharf.world.database("user_acme").expect("a database").rows.len(), 1);
    assert_eq!(plan(&wharf).await, []);
}

/// What the registry does not know may be what a newer one knew.
#[tokio::test(start_paused = true)]
async fn data_that_the_registry_does_not_know_is_removed_only_by_who_says_so() {
    let wharf = SimWharf::new(1).await;
    wharf.ready("kept", "shop").await;
    let (over, unknown) = (ended(&wharf, "acme").await, some_instance());
    for id in [&over, &unknown] {
        wharf.world.plant_secrets(id);
    }
    wharf.world.plant_database(ours(&wharf, over.clone(), 0), "user_over");
    wharf
        .world
        .plant_database(ours(&wharf, unknown.clone(), 0), "user_unknown");
    wharf
        .world
        .plant_task(ours(&wharf, unknown.clone(), 1), &services::shop().name);
    let left = async |allowed| {
        wharf.wharf().repair_apply(plan(&wharf).await, allowed).await;
        let database = |name| wharf.world.database(name).is_some();
        (
            wharf.world.live_tasks(&unknown).len(),
            [wharf.world.secrets(&over).is_some(), database("user_over")],
            [wharf.world.secrets(&unknown).is_some(), database("user_unknown")],
        )
    };
    assert_eq!(left(Class::Safe).await, (0, [true; 2], [true; 2]));
    assert_eq!(left(Class::Asked).await, (0, [false; 2], [true; 2]));
    assert_eq!(left(Class::Unknown).await, (0, [false; 2], [false; 2]));
}

/// An empty registry is rather the wrong one than the one of what is there.
#[tokio::test(start_paused = true)]
async fn with_an_empty_registry_everything_is_unknown() {
    let wharf = SimWharf::new(1).await;
    plant_route(&wharf, ours(&wharf, some_instance(), 1), host("acme"));
    let found = plan(&wharf).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|finding| finding.class == Some(Class::Unknown)),
        "{found:?}"
    );
    assert_eq!(wharf.wharf().repair_apply(found, Class::Asked).await, []);
}
