//! A crash at every single call of a provision and of an end. Crowds and chance are the simulation's (`sim/`).

use std::time::Duration;
use wharf_domain::InstanceId;
use wharf_platform::RouteKey;
use wharf_provisioning::Caller;
use wharf_saga::{Store, store::Query};
use wharf_testkit::sim::{Edge, SimWharf, SimWorld, wharf::sign_up};

/// Everything that the registry knows of.
async fn instances(wharf: &SimWharf) -> Vec<InstanceId> {
    let query = Query {
        limit: 1000,
        ..Query::default()
    };
    let page = wharf.store.list(query).await.expect("a page");
    page.into_iter().map(|stored| stored.id).collect()
}

/// Waits until everything is at rest, takes up what is stuck, and gives what is not as it should be.
async fn complaints(wharf: &SimWharf) -> Vec<String> {
    // After a restart those that were Ready wait for their turn.
    tokio::time::sleep(Duration::from_mins(2)).await;
    let mut complaints = Vec::new();
    for id in instances(wharf).await {
        for _ in 0..5 {
            if wharf.at_rest(&id).await.status == "stuck" {
                wharf.wharf().resume(&id).await.expect("it can be resumed");
            }
        }
        let instance = wharf.record(&id).await.data;
        match instance.state.name() {
            "ready" => complaints.extend(wharf.serves(&instance).err()),
            "failed" | "ended" => complaints.extend(wharf.world.belongings(&id)),
            "stopped" | "down" => {}
            other => complaints.push(format!("{id} is {other}: {}", wharf.story(&id).await)),
        }
    }
    complaints.extend(wharf.leftovers().await);
    complaints
}

fn paused<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// How many calls Wharf makes until a sign-up is Ready, and then until it is ended.
async fn calls_of_a_life(adjust: fn(&SimWorld)) -> (u64, u64) {
    let wharf = SimWharf::with(1, |world, _| adjust(world)).await;
    let before = wharf.run.process.calls_begun();
    let id = wharf.ready("acme", "shop").await;
    let ready = wharf.run.process.calls_begun();
    wharf.wharf().end(&id).await.expect("ended");
    wharf.until(&id, "ended").await;
    (ready - before, wharf.run.process.calls_begun() - before)
}

async fn crash_at(call: u64, edge: Edge, adjust: fn(&SimWorld)) -> Vec<String> {
    let mut wharf = SimWharf::with(1, |world, _| adjust(world)).await;
    let before = wharf.run.process.calls_begun();
    wharf.run.process.kill_at(before + call, edge);
    let running = wharf.wharf().clone();
    tokio::spawn(async move {
        let accepted = running.provision(sign_up("acme", None), Caller::Visitor, None).await;
        let id = accepted.expect("accepted").id;
        running
            .wait_until(&id, Duration::from_mins(5), |state| state.name() == "ready")
            .await
            .expect("shown");
        running.end(&id).await.expect("asked for");
    });
    wharf.run.process.died().await;
    wharf.restart().await;
    complaints(&wharf).await
}

fn crash_everywhere(adjust: fn(&SimWorld)) {
    let (ready, ended) = paused(calls_of_a_life(adjust));
    assert!(ready > 15 && ended > ready + 5, "{ready} {ended}");
    let mut all = Vec::new();
    // Those that only look at the outbox or sweep are among them: they change nothing.
    for call in 1..=ended {
        for edge in [Edge::Before, Edge::After] {
            for complaint in paused(async { crash_at(call, edge, adjust).await }) {
                all.push(format!("killed {edge:?} call {call}: {complaint}"));
            }
        }
    }
    assert!(all.is_empty(), "{} complaints\n{}", all.len(), all.join("\n"));
}

#[test]
fn a_crash_at_any_call_of_a_life_is_gone_on_from() {
    crash_everywhere(|_| {});
}

#[test]
fn a_crash_that_takes_every_task_along_is_gone_on_from_too() {
    crash_everywhere(|world| world.embedded(true));
}

#[test]
fn a_crash_that_takes_every_route_along_is_gone_on_from_too() {
    crash_everywhere(|world| world.embedded_routes(true));
}

#[test]
fn a_crash_that_takes_every_route_along_is_gone_on_from_where_each_step_is_a_commit_of_its_own() {
    crash_everywhere(|world| {
        world.embedded_routes(true);
        // Calls that take so long leave too little of a lease for the next step: it is renewed first.
        world.set_latency(Duration::from_millis(1900));
    });
}

#[test]
fn two_machines_share_a_registry_and_the_work() {
    paused(async {
        let wharf = SimWharf::new(3).await;
        let clock = wharf.world.clock().ahead(Duration::from_mins(5));
        let other = wharf.join(9, clock);
        let mut ids = Vec::new();
        for index in 0..10 {
            let name = format!("tenant{index}");
            let machine = if index % 2 == 0 { wharf.wharf() } else { &other.wharf };
            let accepted = machine.provision(sign_up(&name, None), Caller::Visitor, None).await;
            ids.push(accepted.expect("accepted").id);
        }
        // One dies in the middle of it all.
        other.process.kill();
        tokio::time::sleep(Duration::from_mins(12)).await;
        for id in &ids {
            let instance = wharf.record(id).await.data;
            assert_eq!(instance.state.name(), "ready", "{}", wharf.story(id).await);
            wharf.serves(&instance).expect("it serves");
        }
        let host = RouteKey::Host {
            host: "tenant1.localhost".to_owned(),
        };
        assert_eq!(wharf.world.routes(&host).len(), 1);
    });
}
