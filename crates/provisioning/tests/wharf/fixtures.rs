//! Records of this and earlier releases, at every step of a provision and of a restore, both ways, and of an end: each is loaded into a world that is
//! as the record says, and goes on to its end. `WHARF_BLESS=1` writes those of this release; those of earlier ones stay as they are.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use wharf_domain::{Attempt, Code, Failure, Instance, InstanceId, State};
use wharf_platform::{Backend, Owner, TaskSpec};
use wharf_provisioning::{Caller, Message};
use wharf_saga::{
    Record,
    store::{Batch, Expect, Index, Kind, LeaseChange, RecordWrite, Reserve, Store, Wake},
};
use wharf_testkit::{
    battery::{Call, Rigging, Upset},
    sim::{self, Behaviour, SimStore, SimWharf, SimWorld, services},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
/// The format that this release writes.
const PRESENT: &str = "records-v1";

/// How a fixture came about: the saga that was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Provision,
    /// A provision whose task was lost on the way.
    Again,
    Restore,
    End,
}

/// A record that is under way: its name in the folder, and its body.
fn name(record: &Record<Instance>, kept: Kept, number: usize) -> Option<String> {
    let progress = record.progress.as_ref()?;
    let step = &progress.current()?.step;
    let way = match (progress.unwinding.is_some(), progress.halted.is_some()) {
        (_, true) => "halted",
        (true, _) => "undo",
        (false, _) => "run",
    };
    let kept = match kept {
        Kept::Provision => "provision",
        Kept::Again => "again",
        Kept::Restore => "restore",
        Kept::End => "end",
    };
    Some(format!("{kept}-{number:02}-{way}-{step}"))
}

/// The records that a life leaves in the journal, those under way.
async fn life(kept: Kept, upset: Option<Call>) -> Vec<(String, String)> {
    let rigging = Arc::new(Rigging::new(
        upset.map(|call| (call, Upset::FailsAfter)).into_iter().collect(),
    ));
    let around = rigging.clone();
    let wharf = SimWharf::with_steps(
        1,
        |world, settings| {
            world.lease_ports(20_000, 20_009);
            settings.heal.backoff_first = Duration::from_secs(10);
        },
        Arc::new(move |step| around.around(step)),
    )
    .await;
    // So slow that every step that can wait is met waiting.
    let second = Duration::from_secs(1);
    wharf.world.behave(
        "shop",
        Behaviour {
            runs_after: second,
            answers_after: second,
            ends_after: second,
            ..Behaviour::default()
        },
    );
    if kept == Kept::Provision {
        rigging.arm();
    }
    let accepted = wharf
        .wharf()
        .provision(sim::wharf::sign_up("acme", None), Caller::Visitor, None)
        .await;
    let id = accepted.expect("accepted").id;
    if kept == Kept::Again {
        tokio::time::sleep(second + second / 2).await;
    } else {
        wharf.at_rest(&id).await;
    }
    let mut from = 0;
    if kept != Kept::Provision {
        from = wharf.world.journal(&id).len();
        rigging.arm();
        let cause = Failure::new(Code::RouteUnhealthy, "it does not answer");
        let attempt = Attempt(1);
        let message = match kept {
            Kept::End => Message::End,
            Kept::Again => Message::Lost { attempt, cause },
            Kept::Provision | Kept::Restore => Message::Unhealthy { attempt, cause },
        };
        wharf.wharf().engine().send(&id, &message, None).await.expect("sent");
        wharf.at_rest(&id).await;
    }
    let bodies = wharf.world.journal(&id).split_off(from);
    let mut records: Vec<(String, String)> = Vec::new();
    let mut last = None;
    for body in bodies {
        let record: Record<Instance> = serde_json::from_str(&body).expect("a record");
        let Some(progress) = &record.progress else { continue };
        // After it was taken back a restore begins anew: that is the same again.
        if kept == Kept::Restore
            && progress.at == 0
            && progress.unwinding.is_none()
            && last.is_some_and(|(_, at, _)| at > 0)
        {
            break;
        }
        // Of a step that waits and waits again one record is enough.
        let place = (progress.unwinding.is_some(), progress.at, progress.waits_for.is_some());
        if last != Some(place) {
            records.extend(name(&record, kept, records.len()).map(|name| (name, body)));
        }
        last = Some(place);
    }
    records
}

/// Forward, and back from the last step that can fail.
async fn present() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for kept in [Kept::Provision, Kept::Again, Kept::Restore, Kept::End] {
        for upset in [None, Some("healthy").filter(|_| kept != Kept::End)] {
            let call = upset.map(|step| Call { step, undo: false });
            for (name, body) in life(kept, call).await {
                let pretty: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                let text = serde_json::to_string_pretty(&pretty).expect("JSON") + "\n";
                let known: &str = name.as_str();
                if upset.is_none() || known.contains("undo") {
                    all.insert(name, text);
                }
            }
        }
    }
    all
}

fn read(folder: &Path) -> BTreeMap<String, String> {
    let mut fixtures = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the fixtures are there").flatten() {
        let path: PathBuf = entry.path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        fixtures.insert(name, std::fs::read_to_string(&path).expect("readable"));
    }
    fixtures
}

#[tokio::test(start_paused = true)]
async fn this_release_writes_the_records_that_are_kept() {
    let (written, folder) = (present().await, Path::new(FOLDER).join(PRESENT));
    if std::env::var_os("WHARF_BLESS").is_some() {
        std::fs::create_dir_all(&folder).expect("a folder");
        for stale in read(&folder).keys() {
            std::fs::remove_file(folder.join(format!("{stale}.json"))).expect("removed");
        }
        for (name, text) in &written {
            std::fs::write(folder.join(format!("{name}.json")), text).expect("written");
        }
    }
    let kept = read(&folder);
    assert_eq!(
        kept.keys().collect::<Vec<_>>(),
        written.keys().collect::<Vec<_>>(),
        "WHARF_BLESS=1 writes them"
    );
    for (name, text) in &kept {
        assert!(
            *text == written[name],
            "{name} is not what this release writes:\n{}",
            written[name]
        );
    }
}

/// Makes the world as the record says that it is.
async fn furnish(
    world: &SimWorld,
    store: &SimStore,
    record: &Record<Instance>,
    settings: &wharf_provisioning::Settings,
) {
    let (instance, platform) = (&record.data, world.platform());
    let owner = |attempt| Owner {
        deployment: world.deployment_id().clone(),
        instance: instance.id.clone(),
        attempt,
    };
    let secret = |text: &str| text.to_owned().into();
    if instance.held.secrets {
        let values = ["APP_PASSWORD", "DATABASE_PASSWORD"].map(|name| (name.to_owned(), secret("kept")));
        platform.secrets.put(&instance.id, values.into()).await.expect("put");
    }
    if let Some(database) = &instance.held.database {
        platform
            .databases
            .create(&instance.id, database, &secret("kept"))
            .await
            .expect("created");
        world.write_row(database, "order", "1");
    }
    if let Some(task) = &instance.held.task {
        let spec = TaskSpec {
            owner: owner(task.attempt),
            service: instance.service.name.clone(),
            run: services::shop().run,
            port: instance.held.port,
            environment: BTreeMap::new(),
            public: false,
            intended_at: world.now(),
        };
        world.adopt_task(&task.id, &spec);
    }
    if let (true, Some(endpoint), Some(key)) = (
        instance.held.route,
        &instance.held.endpoint,
        settings.route_key(instance),
    ) {
        let attempt = instance
            .held
            .task
            .as_ref()
            .map_or(instance.attempt, |task| task.attempt);
        let backend = Backend {
            owner: owner(attempt),
            key,
            endpoint: endpoint.clone(),
            identity_header: None,
            health: instance.service.health.clone(),
        };
        platform.routes.register(backend).await.expect("registered");
    }
    let reserve = |kind, key: String| Reserve {
        kind,
        key,
        value: String::new(),
        until: None,
        now: world.now(),
    };
    let mut rights = vec![reserve(Kind::Name, instance.name().to_owned())];
    rights.extend(instance.held.port.map(|port| reserve(Kind::Port, port.to_string())));
    rights.extend(
        instance
            .held
            .endpoint
            .as_ref()
            .map(|endpoint| reserve(Kind::Endpoint, endpoint.key())),
    );
    let write = RecordWrite {
        body: serde_json::to_string(record).expect("a record"),
        index: index(instance),
        wake: Some(Wake {
            at: world.now(),
            seq: record.wake_seq,
        }),
    };
    let claim = Batch {
        record: Some(write),
        reserve: rights,
        ..Batch::new(instance.id.clone(), Expect::Absent, LeaseChange::Keep)
    };
    store.commit(claim).await.expect("an empty registry");
}

fn index(instance: &Instance) -> Index {
    Index {
        name: instance.tenant.as_ref().map(|tenant| tenant.subdomain.to_string()),
        service: instance.service.name.to_string(),
        state: instance.state.name(),
        live: true,
    }
}

/// Loads one record, lets Wharf go on from it, and gives what is not as it should be then.
async fn resume(text: &str) -> Vec<String> {
    let record: Record<Instance> = match serde_json::from_str(text) {
        Ok(record) => record,
        Err(error) => return vec![format!("it cannot be read any more: {error}")],
    };
    let id: InstanceId = record.data.id.clone();
    let (world, store) = (SimWorld::new(1), Arc::new(SimStore::new()));
    world.lease_ports(20_000, 20_009);
    let settings = sim::wharf::settings(&world, services::all());
    furnish(&world, &store, &record, &settings).await;
    let wharf = SimWharf::over(world, store, settings, Arc::new(|step| step)).await;
    let view = wharf.at_rest(&id).await;
    let mut complaints = wharf.leftovers().await;
    let instance = wharf.record(&id).await.data;
    let unwound = record.progress.is_some_and(|progress| progress.unwinding.is_some());
    let expected = match (&record.data.state, unwound) {
        (State::Provisioning { .. }, true) => "failed",
        (State::Stopping { .. }, _) => "ended",
        _ => "ready",
    };
    if view.status != expected {
        complaints.push(format!(
            "it is {} and not {expected}: {}",
            view.status,
            wharf.story(&id).await
        ));
    } else if expected == "ready" {
        complaints.extend(wharf.serves(&instance).err());
    } else {
        complaints.extend(wharf.world.belongings(&id));
    }
    let keeps_data = record.data.first_ready_at.is_some() && expected == "ready";
    if keeps_data
        && wharf
            .world
            .database("user_acme")
            .is_none_or(|database| database.rows.len() != 1)
    {
        complaints.push("its data is gone".to_owned());
    }
    complaints
}

#[tokio::test(start_paused = true)]
async fn every_record_that_was_ever_kept_is_gone_on_from() {
    let (mut all, mut count) = (Vec::new(), 0);
    for release in std::fs::read_dir(FOLDER).expect("the fixtures are there").flatten() {
        for (name, text) in read(&release.path()) {
            count += 1;
            for complaint in resume(&text).await {
                all.push(format!("{} {name}: {complaint}", release.file_name().display()));
            }
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    assert!(count >= 20, "{count}");
}

/// A record must not outgrow what other stores can keep in one item.
#[test]
fn a_record_is_small() {
    for (name, text) in read(&Path::new(FOLDER).join(PRESENT)) {
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let bytes = value.to_string().len();
        assert!(bytes < 8 * 1024, "{name} has {bytes} bytes");
    }
}
