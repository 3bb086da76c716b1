//! A tenant's whole life by the command line; a server that is killed; what belongs to others.

use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};
use wharf_aws::{ClientOptions, Clients};
use wharf_aws_simulator::{
    Fault, Inventory, Mishap, Options, SECURITY_GROUP, SUBNETS, Simulator, TargetGroup, TaskSeen,
};
use wharf_testkit::{emulator::Emulator, postgres::Postgres};

use crate::harness::{Deployment, Setup, eventually, text};

/// Simulated seconds in a real one.
const SPEED: f64 = 10.0;

struct Site {
    deployment: Deployment,
    simulator: Simulator,
    emulator: Emulator,
}

fn shipped() -> String {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/wharf.toml");
    fs::read_to_string(shipped).expect("the shipped configuration")
}

/// A server of its own, with a registry of its own.
fn setup(simulator: &Simulator, emulator: &Emulator, configuration: &str) -> Setup {
    let simulated = simulator.url();
    Setup::new()
        .configured(configuration)
        .with("WHARF_PLATFORM", "ecs")
        .with("AWS_REGION", "us-east-2")
        .with("AWS_ACCESS_KEY_ID", "test")
        .with("AWS_SECRET_ACCESS_KEY", "test")
        .with("AWS_ENDPOINT_URL", &emulator.url())
        .with("AWS_ENDPOINT_URL_ECS", &simulated)
        .with("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", &simulated)
        .with("AWS_ENDPOINT_URL_EC2", &simulated)
        .with("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", &simulated)
        .with("AWS_ENDPOINT_URL_STS", &simulated)
        .with("SUBNETS", SUBNETS[0])
        .with("SECURITY_GROUPS", SECURITY_GROUP)
        .with("TASK_POLL_INTERVAL", "1")
}

/// By the shipped configuration, and running.
async fn server(simulator: &Simulator, emulator: &Emulator) -> Deployment {
    setup(simulator, emulator, &shipped()).up().await
}

/// The documented account.
async fn account() -> (Simulator, Emulator) {
    let simulator = Simulator::start(Options {
        region: "us-east-2".to_owned(),
        ..Options::following(SPEED)
    })
    .await
    .expect("a simulator");
    let documented = Inventory::parse(Inventory::DOCUMENTED).expect("the documented account");
    simulator.put(&documented).expect("the documented account");
    // A load balancer that looks often, and drains no longer than it must: the server waits in real time.
    let group = TargetGroup::ip("auth-lb", 8080)
        .id("0123456789abcdef")
        .health_check("/healthz", Duration::from_secs(1), 2)
        .deregistration_delay(Duration::from_secs(2));
    simulator.target_group(&group);
    let emulator = Emulator::start(&[("MINISTACK_REGION", "us-east-2")]).await;
    (simulator, emulator)
}

impl Site {
    async fn new() -> Self {
        let (simulator, emulator) = account().await;
        let deployment = server(&simulator, &emulator).await;
        Self {
            deployment,
            simulator,
            emulator,
        }
    }

    async fn provision(&self, name: &str) -> Value {
        let email = format!("admin@{name}.example");
        let words = ["provision", name, "--email", &email, "--company", "Acme Inc.", "--json"];
        self.deployment.wharf(&words).await.exits(0);
        self.deployment.show(name).await
    }

    async fn says_that_registry_and_world_agree(&self) {
        self.deployment.wharf(&["repair"]).await.exits(0);
    }

    async fn live(&self, count: usize) -> Vec<TaskSeen> {
        eventually("so many live tasks", async || {
            let live = self.simulator.live_tasks();
            (live.len() == count).then_some(live)
        })
        .await
    }
}

#[tokio::test]
async fn a_tenant_on_ecs_is_provisioned_stopped_started_and_deleted_by_the_command_line() {
    let mut site = Site::new().await;
    let ready = site.provision("acme").await;
    let first = site.live(1).await.remove(0);
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["task"], first.arn.as_str());
    let (address, port) = first.address.expect("an address");
    assert_eq!(ready["url"], format!("http://acme.{address}.sslip.io:{port}"));
    site.says_that_registry_and_world_agree().await;

    site.deployment.wharf(&["stop", "acme"]).await.exits(0);
    site.live(0).await;
    site.deployment.wharf(&["start", "acme"]).await.exits(0);
    let second = site.live(1).await.remove(0);
    assert_ne!(first.arn, second.arn);
    assert_eq!(first.environment["APP_PASSWORD"], second.environment["APP_PASSWORD"]);
    site.says_that_registry_and_world_agree().await;

    site.deployment.wharf(&["delete", "acme"]).await.exits(0);
    site.live(0).await;
    site.says_that_registry_and_world_agree().await;
    site.deployment.end().await;
}

#[tokio::test]
async fn a_tenant_has_a_database_on_a_server_that_a_secret_tells_of() {
    let (simulator, emulator) = account().await;
    let postgres = Postgres::start(&[]);
    let secret = json!({"username": postgres.administrator().0, "password": postgres.administrator().1});
    let clients = Clients::new(ClientOptions {
        region: Some("us-east-2".to_owned()),
        ..ClientOptions::emulator(emulator.url())
    });
    let keeping = clients.secretsmanager().await.create_secret();
    let kept = keeping
        .name("wharf/postgres")
        .secret_string(secret.to_string())
        .send()
        .await;
    kept.expect("a secret");
    let own_data = "[services.crownmercado.environment]\nDATABASE_URL = \"sqlite:///data/shop.db\"\n";
    let configuration = shipped().replace(own_data, "").replace(
        "[services.crownmercado]\n",
        "[services.crownmercado]\ndatabase = true\n",
    );
    let deployment = setup(&simulator, &emulator, &configuration)
        .with("WHARF_AWS_POSTGRES_SECRET", "wharf/postgres")
        .with("WHARF_AWS_POSTGRES_ADDRESS", &format!("127.0.0.1:{}", postgres.port()))
        .up()
        .await;
    let mut site = Site {
        deployment,
        simulator,
        emulator,
    };
    let doctor = site.deployment.wharf(&["doctor"]).await;
    assert!(doctor.stdout.contains("a superuser"), "{}", doctor.stdout);
    site.provision("acme").await;
    let task = site.live(1).await.remove(0);
    let url = &task.environment["DATABASE_URL"];
    let said = postgres.try_ask(url, "", "SELECT current_user || '@' || current_database()");
    assert_eq!(said.as_deref(), Ok(["user_acme@user_acme".to_owned()].as_slice()));
    site.says_that_registry_and_world_agree().await;
    site.deployment.wharf(&["delete", "acme"]).await.exits(0);
    site.live(0).await;
    eventually("the end of its database", async || {
        let left = postgres.ask(
            "postgres",
            "SELECT count(*) FROM pg_database WHERE datname LIKE '%acme%'",
        );
        (left == ["0"]).then_some(())
    })
    .await;
    let log = site.deployment.log();
    assert!(
        !log.contains(postgres.administrator().1) && !log.contains("p%40ss"),
        "a password is in the log"
    );
    site.deployment.end().await;
}

#[tokio::test]
async fn a_server_that_is_killed_while_a_task_is_started_adopts_it_when_it_is_back() {
    let mut site = Site::new().await;
    let slow = Fault::on("RunTask", Mishap::Delayed(Duration::from_secs(2)));
    site.simulator.fault(slow.once());
    let accepted = site.deployment.provision("acme").await;
    eventually("a task that is being started", async || {
        (site.deployment.show("acme").await["step"] == "task").then_some(())
    })
    .await;
    site.deployment.kill().await;
    site.deployment.up().await;
    let ready = site.deployment.becomes(text(&accepted["id"]), "ready").await;
    let tasks = site.simulator.tasks();
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert_eq!((&ready["task"], &ready["attempt"]), (&json!(tasks[0].arn), &json!(1)));
    // And once more, when there is nothing left to do.
    site.deployment.kill().await;
    site.deployment.up().await;
    let still = site.deployment.becomes(text(&accepted["id"]), "ready").await;
    assert_eq!((&still["task"], &still["attempt"]), (&ready["task"], &ready["attempt"]));
    assert_eq!(site.simulator.tasks().len(), 1);
    site.says_that_registry_and_world_agree().await;
    site.deployment.end().await;
}

#[tokio::test]
async fn what_belongs_to_another_deployment_is_left_alone() {
    let mut site = Site::new().await;
    let mut other = server(&site.simulator, &site.emulator).await;
    site.deployment.wharf(&["start", "auth"]).await.exits(0);
    let theirs = site.live(1).await.remove(0);
    other.wharf(&["start", "auth"]).await.exits(0);
    site.live(2).await;
    assert_eq!(site.simulator.targets().len(), 2);
    other.wharf(&["repair", "--apply"]).await.exits(0);
    other.wharf(&["stop", "auth"]).await.exits(0);
    assert_eq!(site.live(1).await.remove(0).arn, theirs.arn);
    let left = eventually("one target", async || {
        let targets = site.simulator.targets();
        (targets.len() == 1).then_some(targets)
    })
    .await;
    assert_eq!(theirs.address, Some((left[0].id.clone(), left[0].port)));
    other.wharf(&["repair", "--apply"]).await.exits(0);
    assert_eq!(site.live(1).await.remove(0).arn, theirs.arn);
    site.says_that_registry_and_world_agree().await;
    other.end().await;
    site.deployment.end().await;
}
