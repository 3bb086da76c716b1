//! A crash at every single call of a provision and of an end; faults by chance over a crowd of tenants; and one seed gives one course
//! of events, to the byte.

use std::{collections::BTreeMap, time::Duration};
use wharf_domain::{Code, InstanceId};
use wharf_platform::RouteKey;
use wharf_provisioning::Caller;
use wharf_saga::{Store, store::Query};
use wharf_testkit::sim::{
    Edge, Mishap, SimWharf, When,
    chance::Chance,
    store::Fault,
    wharf::{sign_up, start},
};

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
async fn calls_of_a_life() -> (u64, u64) {
    let wharf = SimWharf::new(1).await;
    let before = wharf.run.process.calls_begun();
    let id = wharf.ready("acme", "shop").await;
    let ready = wharf.run.process.calls_begun();
    wharf.wharf().end(&id).await.expect("ended");
    wharf.until(&id, "ended").await;
    (ready - before, wharf.run.process.calls_begun() - before)
}

async fn crash_at(call: u64, edge: Edge, embedded: bool) -> Vec<String> {
    let mut wharf = SimWharf::with(1, |world, _| world.embedded(embedded)).await;
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

fn crash_everywhere(embedded: bool) {
    let (ready, ended) = paused(calls_of_a_life());
    assert!(ready > 15 && ended > ready + 5, "{ready} {ended}");
    let mut all = Vec::new();
    // Those that only look at the outbox or sweep are among them: they change nothing.
    for call in 1..=ended {
        for edge in [Edge::Before, Edge::After] {
            for complaint in paused(async { crash_at(call, edge, embedded).await }) {
                all.push(format!("killed {edge:?} call {call}: {complaint}"));
            }
        }
    }
    assert!(all.is_empty(), "{} complaints\n{}", all.len(), all.join("\n"));
}

#[test]
fn a_crash_at_any_call_of_a_life_is_gone_on_from() {
    crash_everywhere(false);
}

#[test]
fn a_crash_that_takes_every_task_along_is_gone_on_from_too() {
    crash_everywhere(true);
}

/// A crowd comes and goes while all kinds of calls fail, are slow, are doubled and lose their answers.
async fn rough_hour(seed: u64) -> (SimWharf, Vec<String>) {
    let mut wharf = SimWharf::with(seed, |world, settings| {
        world.embedded(seed.is_multiple_of(2));
        settings.heal.limit = 6;
    })
    .await;
    let chance = Chance::new(seed);
    let faults = wharf.world.faults();
    for (mishap, often) in [
        (Mishap::Before(Code::DatabaseFailed), 0.04),
        (Mishap::After(Code::SecretsFailed), 0.04),
        (Mishap::Slow(Duration::from_millis(700)), 0.1),
        (Mishap::Slow(Duration::from_secs(25)), 0.01),
        (Mishap::Twice, 0.05),
    ] {
        faults.order("*", When::Chance(often), mishap);
    }
    let services = ["shop", "site", "direct"];
    // Those that were Ready once, and put something into their databases.
    let mut customers = BTreeMap::new();
    for turn in 0..30_u64 {
        let write_fault = [
            None,
            None,
            Some(Fault::Before),
            Some(Fault::LoseAnswer),
            Some(Fault::LoseRequest),
        ];
        if let Some(fault) = write_fault[chance.below(5) as usize] {
            wharf.store.fail_nth(1 + chance.below(4) as usize, fault);
        }
        match chance.below(10) {
            0..=4 => {
                let name = format!("tenant{turn}");
                let request = sign_up(&name, Some(services[(turn % 3) as usize]));
                // It may be refused, when every port is taken.
                let _ = wharf.wharf().provision(request, Caller::Visitor, None).await;
            }
            5 => {
                let _ = wharf.wharf().start_service(start("auth"), Caller::Admin, None).await;
            }
            6 if chance.below(2) == 0 => wharf.restart().await,
            6 => wharf.hand_over().await,
            _ => {
                let known = instances(&wharf).await;
                if known.is_empty() {
                    continue;
                }
                let id = &known[chance.below(known.len() as u64) as usize];
                // Whether that is possible just now is not the question here.
                match chance.below(5) {
                    0 => drop(wharf.wharf().stop(id).await),
                    1 => drop(wharf.wharf().start(id).await),
                    2 => drop(wharf.wharf().end(id).await),
                    3 => wharf.world.exit(id, 1),
                    _ => wharf.world.lose_events(chance.below(2) == 0),
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(chance.below(20_000))).await;
        for id in instances(&wharf).await {
            let instance = wharf.record(&id).await.data;
            let database = instance.held.database.filter(|_| instance.first_ready_at.is_some());
            if let Some(database) = database.filter(|database| wharf.world.write_row(database, "whose", id.as_str())) {
                customers.insert(id, database);
            }
        }
    }
    wharf.world.faults().clear();
    wharf.world.lose_events(false);
    let mut complaints = complaints(&wharf).await;
    for (id, database) in customers {
        let kept = wharf
            .world
            .database(&database)
            .map(|database| database.rows["whose"] == id.as_str());
        let is_over = wharf.record(&id).await.data.state.is_final();
        if !is_over && (kept != Some(true) || wharf.world.secrets(&id).is_none()) {
            complaints.push(format!("the data of {id} is gone: {}", wharf.story(&id).await));
        }
    }
    (wharf, complaints)
}

/// How many rough hours there are: `WHARF_SEEDS` for a longer night.
fn seeds() -> u64 {
    let asked = std::env::var("WHARF_SEEDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(24)
}

#[test]
fn whatever_goes_wrong_in_an_hour_nothing_is_left_behind() {
    let mut all = Vec::new();
    for seed in 0..seeds() {
        let (_, complaints) = paused(rough_hour(seed));
        all.extend(
            complaints
                .into_iter()
                .map(|complaint| format!("seed {seed}: {complaint}")),
        );
    }
    assert!(all.is_empty(), "{} complaints\n{}", all.len(), all.join("\n"));
}

#[test]
fn one_seed_gives_one_course_of_events() {
    let course = |seed| {
        paused(async {
            let (wharf, _) = rough_hour(seed).await;
            let mut journals = Vec::new();
            for id in instances(&wharf).await {
                journals.push((
                    wharf.world.journal(&id),
                    wharf.store.history(&id, 0, 1000).await.expect("a history"),
                ));
            }
            (wharf.world.trace().text(), journals)
        })
    };
    let (first, second) = (course(5), course(5));
    assert!(first.0.len() > 10_000, "there is something to compare");
    assert!(first.0 == second.0, "{}", first_difference(&first.0, &second.0));
    assert_eq!(first.1, second.1);
    assert_ne!(first.0, course(6).0);
}

fn first_difference(one: &str, other: &str) -> String {
    let pairs = one.lines().zip(other.lines()).enumerate();
    let different = pairs.into_iter().find(|(_, (one, other))| one != other);
    format!("the first difference: {different:#?}")
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
