//! The line before a task's start: so many at once and no more, so much memory and no more, in the order in which people came; told when it is their turn, and
//! refused in the end.

use futures::future::join_all;
use std::{sync::Arc, time::Duration};
use wharf_domain::{Code, InstanceId, Service, State, Timestamp, service::RunSpec};
use wharf_provisioning::{Caller, InstanceView, Limits};
use wharf_testkit::sim::{Behaviour, Edge, SimWharf, wharf::sign_up};

const MIB: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);
/// Where each task books 100 MiB, there is room for three.
const THREE: Limits = Limits {
    starts_at_once: None,
    memory: Some(350 * MIB),
    cpu_units: None,
    instances_per_email: None,
};

fn starts(most: usize) -> Limits {
    Limits {
        starts_at_once: Some(most),
        ..Limits::default()
    }
}

fn books(service: &mut Service, mebibytes: u64) {
    if let RunSpec::Process { memory, .. } = &mut service.run {
        *memory = Some(mebibytes * MIB);
    }
}

/// Every task takes a second until it answers, and books 100 MiB.
async fn machine(limits: Limits) -> SimWharf {
    let wharf = SimWharf::with(1, |_, settings| {
        settings.limits = limits;
        for service in settings.services.values_mut() {
            books(service, 100);
        }
    })
    .await;
    slowly(&wharf, SECOND);
    wharf
}

fn slowly(wharf: &SimWharf, answers_after: Duration) {
    wharf.world.behave(
        "shop",
        Behaviour {
            answers_after,
            ..Behaviour::default()
        },
    );
}

async fn came(wharf: &SimWharf, name: &str) -> InstanceId {
    wharf.sign_up(name).await.expect("accepted").id
}

/// They come one after the other, and all wait for whoever is first.
async fn came_all(wharf: &SimWharf, names: impl IntoIterator<Item = String>) -> Vec<InstanceId> {
    let mut ids = Vec::new();
    for name in names {
        ids.push(came(wharf, &name).await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    ids
}

/// The most that were being started at any moment: from the start of a task to the commit that made it Ready.
async fn most_at_once(wharf: &SimWharf, ids: &[InstanceId]) -> usize {
    let mut moments: Vec<(Timestamp, i8)> = Vec::new();
    for id in ids {
        let instance = wharf.record(id).await.data;
        for task in wharf.world.tasks(id) {
            let ready = instance.first_ready_at.expect("it is ready");
            moments.extend([(task.started_at, 1), (ready, -1)]);
        }
    }
    moments.sort_unstable();
    let mut now = 0_i64;
    let counts = moments.into_iter().map(|(_, change)| {
        now += i64::from(change);
        now
    });
    usize::try_from(counts.max().unwrap_or(0)).expect("none is Ready before it is started")
}

async fn place(wharf: &SimWharf, id: &InstanceId) -> Option<(usize, usize)> {
    let view = wharf.wharf().show(id).await.expect("shown");
    view.queue.map(|queue| (queue.position, queue.of))
}

async fn until_waiting(wharf: &SimWharf, id: &InstanceId) -> InstanceView {
    let queued = wharf.wharf().wait_until(id, Duration::from_mins(1), |state| {
        matches!(state, State::Queued { .. })
    });
    let view = queued.await.expect("shown");
    assert_eq!(view.status, "queued", "{}", wharf.story(id).await);
    view
}

#[tokio::test(start_paused = true)]
async fn of_five_hundred_at_once_eight_are_started_at_a_time_and_in_their_order() {
    let wharf = machine(starts(8)).await;
    let wharf = &wharf;
    let names: Vec<String> = (0..500).map(|index| format!("t{index}")).collect();
    let claims = join_all(names.iter().map(|name| wharf.sign_up(name))).await;
    let mut ids: Vec<InstanceId> = claims.into_iter().map(|claim| claim.expect("accepted").id).collect();
    ids.sort();
    let mut ready = Vec::new();
    for id in &ids {
        let view = wharf.until(id, "ready").await;
        assert_eq!(view.queue, None);
        ready.push(view.first_ready_at.expect("it is"));
    }
    assert_eq!(most_at_once(wharf, &ids).await, 8);
    // All came in one moment, and the first eight of them need not be those of the lowest ids. The others go by these.
    let started: Vec<Timestamp> = ids.iter().map(|id| wharf.world.tasks(id)[0].started_at).collect();
    let first = *started.iter().min().expect("some");
    let in_line: Vec<Timestamp> = started.iter().copied().filter(|at| *at > first).collect();
    assert!(in_line.len() == 492 && in_line.is_sorted(), "{in_line:?}");
    // Nobody waits for a look: a turn is told as soon as it is there.
    let took = ready.iter().max().expect("some").since(first);
    assert!(took < Duration::from_secs(70), "{took:?} for 63 times a second");
    let crowd = wharf.wharf().crowd();
    assert_eq!((crowd.starting, crowd.waiting), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_place_in_line_is_shown_and_moves_up() {
    let wharf = machine(starts(1)).await;
    slowly(&wharf, Duration::from_secs(20));
    let ids = came_all(&wharf, (0..4).map(|index| format!("t{index}"))).await;
    let view = until_waiting(&wharf, &ids[3]).await;
    let queue = view.queue.expect("a place");
    assert_eq!((queue.position, queue.of), (3, 3));
    assert_eq!(queue.why, "its turn: others are being started");
    assert_eq!(place(&wharf, &ids[0]).await, None);
    assert_eq!(place(&wharf, &ids[1]).await, Some((1, 3)));
    let crowd = wharf.wharf().crowd();
    assert_eq!((crowd.starting, crowd.waiting), (1, 3));
    wharf.until(&ids[0], "ready").await;
    assert_eq!(place(&wharf, &ids[3]).await, Some((2, 2)));
    let page = wharf.wharf().list(wharf_saga::store::Query {
        limit: 10,
        ..Default::default()
    });
    let listed: Vec<_> = page.await.expect("a page").instances;
    let places = listed
        .iter()
        .map(|view| view.queue.as_ref().map(|queue| queue.position));
    assert_eq!(places.collect::<Vec<_>>(), [Some(2), Some(1), None, None]);
    wharf.until(&ids[3], "ready").await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_does_not_come_is_refused_in_time_with_what_was_full_and_nothing_is_left() {
    let wharf = machine(THREE).await;
    for name in ["a", "b", "c"] {
        wharf.ready(&format!("{name}1"), "shop").await;
    }
    let id = came(&wharf, "late").await;
    let view = until_waiting(&wharf, &id).await;
    assert_eq!(view.queue.expect("a place").why, "its turn: all memory is booked");
    let view = wharf.until(&id, "failed").await;
    let cause = view.cause.expect("a cause");
    assert_eq!(cause.code, Code::LimitQueue);
    assert!(
        cause.message.contains("300 MiB of 350 MiB of memory are booked"),
        "{cause}"
    );
    assert!(cause.hint.is_some_and(|hint| hint.contains("limits.memory")));
    let waited = view.since.since(view.created_at);
    let allowed = wharf.wharf().settings().pace.capacity_wait;
    assert!(waited >= allowed && waited < allowed + SECOND, "{waited:?}");
    assert_eq!(wharf.world.belongings(&id), [""; 0]);
    assert_eq!(wharf.leftovers().await, [""; 0]);
    assert_eq!(wharf.world.tasks(&id).len(), 0);
    assert_eq!(wharf.wharf().crowd().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn memory_goes_to_the_next_in_line_as_soon_as_an_instance_has_gone() {
    let wharf = machine(THREE).await;
    let mut there = Vec::new();
    for name in ["a1", "b1", "c1"] {
        there.push(wharf.ready(name, "shop").await);
    }
    assert_eq!(wharf.wharf().crowd().booked.memory, 300 * MIB);
    let waiting = came_all(&wharf, (0..2).map(|index| format!("t{index}"))).await;
    until_waiting(&wharf, &waiting[1]).await;
    let asked = tokio::time::Instant::now();
    wharf.wharf().stop(&there[1]).await.expect("it can be");
    wharf.until(&waiting[0], "ready").await;
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(place(&wharf, &waiting[1]).await, Some((1, 1)));
    wharf.wharf().end(&there[0]).await.expect("it can be");
    wharf.until(&waiting[1], "ready").await;
    assert_eq!(wharf.wharf().crowd().booked.memory, 300 * MIB);
    // What rests has no room any more, waits for some like everybody, and is down rather than tried again and again.
    wharf.wharf().start(&there[1]).await.expect("it can be");
    let view = wharf.until(&there[1], "down").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::LimitQueue));
    assert!(view.advice.is_some_and(|advice| advice.contains("limits.memory")));
    assert_eq!(wharf.world.tasks(&there[1]).len(), 1, "no second attempt was made");
    wharf.wharf().end(&waiting[0]).await.expect("it can be");
    wharf.until(&waiting[0], "ended").await;
    wharf.wharf().start(&there[1]).await.expect("it can be");
    wharf.until(&there[1], "ready").await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_turn_can_be_stopped_and_leaves_the_line() {
    let wharf = machine(starts(1)).await;
    slowly(&wharf, Duration::from_secs(20));
    let ids = came_all(&wharf, (0..3).map(|index| format!("t{index}"))).await;
    until_waiting(&wharf, &ids[1]).await;
    wharf.wharf().stop(&ids[1]).await.expect("it can be");
    let view = wharf.until(&ids[1], "failed").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::InstanceCancelled));
    assert_eq!(place(&wharf, &ids[2]).await, Some((1, 1)));
    assert_eq!(wharf.leftovers().await, [""; 0]);
    wharf.until(&ids[2], "ready").await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_gives_its_place_to_the_next() {
    let wharf = machine(starts(1)).await;
    wharf.world.behave_next(
        "shop",
        Behaviour {
            exits_after: Some(SECOND),
            exit_code: 1,
            answers_after: Duration::from_mins(1),
            ..Behaviour::default()
        },
    );
    let ids = came_all(&wharf, (0..2).map(|index| format!("t{index}"))).await;
    wharf.until(&ids[0], "failed").await;
    wharf.until(&ids[1], "ready").await;
    assert_eq!(wharf.wharf().crowd().starting, 0);
}

#[tokio::test(start_paused = true)]
async fn what_people_have_comes_back_before_a_crowd_is_let_in() {
    let wharf = machine(starts(1)).await;
    let old = wharf.ready("old", "shop").await;
    slowly(&wharf, Duration::from_secs(5));
    let crowd = came_all(&wharf, (0..20).map(|index| format!("t{index}"))).await;
    until_waiting(&wharf, &crowd[19]).await;
    wharf.world.exit(&old, 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = tokio::time::Instant::now();
    wharf.until(&old, "ready").await;
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    for id in &crowd {
        wharf.until(id, "ready").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_died_finds_its_memory_where_it_left_it() {
    let wharf = machine(THREE).await;
    let mut there = Vec::new();
    for name in ["a1", "b1", "c1"] {
        there.push(wharf.ready(name, "shop").await);
    }
    let waiting = came(&wharf, "late").await;
    until_waiting(&wharf, &waiting).await;
    wharf.world.exit(&there[2], 1);
    tokio::time::sleep(SECOND).await;
    wharf.until(&there[2], "ready").await;
    assert_eq!(wharf.record(&there[2]).await.data.attempt.0, 2);
    assert_eq!(place(&wharf, &waiting).await, Some((1, 1)));
}

/// Whatever is killed in the middle of a crowd, on a machine whose tasks live on or on one where they end with it.
async fn killed_in_the_middle(embedded: bool) {
    let mut wharf = SimWharf::with(1, |world, settings| {
        world.embedded(embedded);
        settings.limits = Limits {
            starts_at_once: Some(2),
            memory: Some(1050 * MIB),
            ..Limits::default()
        };
        for service in settings.services.values_mut() {
            books(service, 100);
        }
    })
    .await;
    slowly(&wharf, SECOND);
    let ids = came_all(&wharf, (0..12).map(|index| format!("t{index}"))).await;
    for pause in [500, 1500, 1700, 10, 900] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        wharf.restart().await;
    }
    let crowd = wharf.wharf().crowd();
    assert!(crowd.booked.memory <= 1000 * MIB && crowd.starting <= 2, "{crowd:?}");
    // Ten have room, and nobody of those who came later has overtaken anybody.
    for id in &ids[..10] {
        wharf.until(id, "ready").await;
    }
    until_waiting(&wharf, &ids[11]).await;
    assert_eq!(place(&wharf, &ids[11]).await, Some((2, 2)));
    assert_eq!(wharf.wharf().crowd().booked.memory, 1000 * MIB);
    wharf.restart().await;
    assert_eq!(
        wharf.wharf().crowd().booked.memory,
        1000 * MIB,
        "what is there is counted"
    );
    assert_eq!(place(&wharf, &ids[10]).await, Some((1, 2)));
    for id in &ids[..10] {
        wharf.until(id, "ready").await;
    }
    for id in &ids[..2] {
        wharf.wharf().end(id).await.expect("it can be");
    }
    for id in &ids[10..] {
        wharf.until(id, "ready").await;
    }
    // Those that were Ready come back when it is their turn.
    let settled = async {
        while wharf.wharf().crowd().starting + wharf.wharf().crowd().waiting > 0 {
            tokio::time::sleep(SECOND).await;
        }
    };
    let settled = tokio::time::timeout(Duration::from_mins(1), settled).await;
    assert!(settled.is_ok(), "{:?}", wharf.wharf().crowd());
    assert_eq!(wharf.wharf().crowd().booked.memory, 1000 * MIB);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_outlives_the_kill_of_its_driver_in_its_order() {
    killed_in_the_middle(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_crowd_outlives_the_kill_of_its_driver_and_of_all_tasks() {
    killed_in_the_middle(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_started_and_never_written_down_is_counted_after_a_restart() {
    let mut found = None;
    for call in 1..60 {
        let wharf = machine(starts(1)).await;
        slowly(&wharf, Duration::from_secs(20));
        wharf.run.process.kill_at(call, Edge::After);
        let claimed = tokio::time::timeout(SECOND, wharf.sign_up("a1")).await;
        let Ok(Ok(claimed)) = claimed else { continue };
        tokio::time::sleep(SECOND).await;
        let is_written = wharf.record(&claimed.id).await.data.held.task.is_some();
        if wharf.world.live_tasks(&claimed.id).len() == 1 && !is_written {
            found = Some((wharf, claimed.id));
            break;
        }
    }
    let (mut wharf, first) = found.expect("there is such a moment");
    wharf.restart().await;
    assert_eq!(wharf.wharf().crowd().starting, 1);
    let second = came(&wharf, "b1").await;
    until_waiting(&wharf, &second).await;
    wharf.until(&first, "ready").await;
    wharf.until(&second, "ready").await;
    assert_eq!(most_at_once(&wharf, &[first, second]).await, 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_platform_keeps_nobody_from_his_turn() {
    let wharf = machine(starts(1)).await;
    wharf.world.behave(
        "shop",
        Behaviour {
            refused: Some(wharf_domain::Failure::new(Code::TaskCapacity, "RESOURCE:MEMORY")),
            ..Behaviour::default()
        },
    );
    let first = came(&wharf, "a1").await;
    until_waiting(&wharf, &first).await;
    let request = sign_up("b1", Some("site"));
    let other = wharf.wharf().provision(request, Caller::Visitor, None).await;
    wharf.until(&other.expect("accepted").id, "ready").await;
    assert_eq!(place(&wharf, &first).await, Some((1, 1)));
}

#[tokio::test(start_paused = true)]
async fn what_could_never_fit_is_refused_at_once_and_what_is_there_already_is_down() {
    let wharf = SimWharf::with(1, |_, settings| {
        settings.limits = THREE;
        for service in settings.services.values_mut() {
            books(service, if service.database { 400 } else { 100 });
        }
    })
    .await;
    let failure = wharf.sign_up("acme").await.expect_err("too large");
    assert_eq!(failure.code, Code::LimitBooking);
    assert!(failure.message.contains("400 MiB"), "{failure}");
    assert_eq!(wharf.leftovers().await, [""; 0]);
    let id = wharf.ready("site", "site").await;
    wharf.wharf().stop(&id).await.expect("it can be");
    wharf.until(&id, "stopped").await;

    // The limit is lower than it was.
    let settings = wharf_provisioning::Settings {
        limits: Limits {
            memory: Some(50 * MIB),
            ..THREE
        },
        ..wharf.settings.clone()
    };
    let SimWharf { world, store, .. } = wharf;
    let wharf = SimWharf::over(world, store, settings, Arc::new(|step| step)).await;
    wharf.wharf().start(&id).await.expect("it can be");
    let view = wharf.until(&id, "down").await;
    assert_eq!(view.cause.map(|cause| cause.code), Some(Code::LimitBooking));
}

fn per_email(most: u16) -> Limits {
    Limits {
        instances_per_email: Some(most),
        ..Limits::default()
    }
}

async fn signed_up(wharf: &SimWharf, name: &str, email: &str, caller: Caller) -> Result<InstanceId, Code> {
    let mut request = sign_up(name, None);
    request.tenant.admin_email = email.parse().expect("an address");
    let key = format!("key-{name}");
    let accepted = wharf.wharf().provision(request, caller, Some(&key)).await;
    accepted.map(|accepted| accepted.id).map_err(|failure| failure.code)
}

#[tokio::test(start_paused = true)]
async fn of_fifty_sign_ups_at_once_with_one_address_so_many_are_taken_as_it_may_have() {
    let wharf = SimWharf::with(1, |world, settings| {
        world.set_latency(Duration::from_millis(5));
        settings.limits = per_email(3);
    })
    .await;
    let wharf = &wharf;
    let claims = join_all((0..50).map(|index| async move {
        let email = if index % 2 == 0 {
            "jo@acme.example"
        } else {
            "Jo@ACME.example"
        };
        signed_up(wharf, &format!("t{index}"), email, Caller::Visitor).await
    }))
    .await;
    let taken: Vec<&InstanceId> = claims.iter().filter_map(|claim| claim.as_ref().ok()).collect();
    assert_eq!(taken.len(), 3);
    let refused = claims.iter().filter(|claim| **claim == Err(Code::LimitEmail)).count();
    assert_eq!(refused, 47);
    signed_up(wharf, "other", "jane@acme.example", Caller::Visitor)
        .await
        .expect("another address");
    for id in taken {
        wharf.until(id, "ready").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_has_its_place_again_when_an_instance_has_ended_and_not_before() {
    let wharf = SimWharf::with(1, |_, settings| settings.limits = per_email(1)).await;
    let email = "jo@acme.example";
    let first = signed_up(&wharf, "one", email, Caller::Visitor)
        .await
        .expect("accepted");
    wharf.until(&first, "ready").await;
    let refused = Err(Code::LimitEmail);
    assert_eq!(signed_up(&wharf, "two", email, Caller::Admin).await, refused);
    // The same request again is the same, and a taken name is told as that.
    assert_eq!(
        signed_up(&wharf, "one", email, Caller::Visitor).await,
        Ok(first.clone())
    );
    let again = wharf
        .wharf()
        .provision(sign_up("one", None), Caller::Visitor, None)
        .await;
    assert_eq!(again.map_err(|failure| failure.code).err(), Some(Code::NameTaken));
    wharf.wharf().stop(&first).await.expect("it can be");
    wharf.until(&first, "stopped").await;
    assert_eq!(signed_up(&wharf, "two", email, Caller::Visitor).await, refused);
    // Who has paid is not refused, and is not counted.
    signed_up(&wharf, "paid", email, Caller::Webhook)
        .await
        .expect("accepted");
    wharf.wharf().end(&first).await.expect("it can be");
    wharf.until(&first, "ended").await;
    let second = signed_up(&wharf, "two", email, Caller::Visitor)
        .await
        .expect("accepted");
    wharf.until(&second, "ready").await;
    // What fails gives its place back too.
    wharf.wharf().end(&second).await.expect("it can be");
    wharf.until(&second, "ended").await;
    wharf.world.behave_next(
        "shop",
        Behaviour {
            exits_after: Some(Duration::ZERO),
            exit_code: 1,
            ..Behaviour::default()
        },
    );
    let third = signed_up(&wharf, "three", email, Caller::Visitor)
        .await
        .expect("accepted");
    wharf.until(&third, "failed").await;
    assert_eq!(wharf.leftovers().await, [""; 0]);
    signed_up(&wharf, "four", email, Caller::Visitor)
        .await
        .expect("accepted");
}
