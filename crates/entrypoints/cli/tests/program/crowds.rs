//! Many at once: each gets what is its own, nothing of it twice, and what was asked for more than once is there once. Many who want one name, and
//! many with one key, are in `admission`.

use futures::future::join_all;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt::Debug, fs, path::PathBuf};

use crate::{
    harness::{Answer, Deployment, Setup, eventually, text},
    service,
};

/// More than a deployment of these tests has ports.
const TENANTS: usize = 60;
/// It has forty, and another program may have taken a few.
const READY_AT_LEAST: usize = 30;
const DELIVERIES: usize = 100;

/// The mails that were handed over.
fn mails(deployment: &Deployment) -> Vec<PathBuf> {
    let files = fs::read_dir(deployment.data().join("mail"))
        .into_iter()
        .flatten()
        .flatten();
    let paths = files.map(|file| file.path());
    paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "eml"))
        .collect()
}

/// So many mails come, and no more than that when everything has come to rest.
async fn are_written_to(deployment: &Deployment, tenants: usize) {
    eventually("the mails", async || (mails(deployment).len() >= tenants).then_some(())).await;
    deployment.agrees().await;
    assert_eq!(mails(deployment).len(), tenants, "{:?}", mails(deployment));
}

fn are_distinct<T: Ord + Debug>(what: &str, values: impl IntoIterator<Item = T>, count: usize) {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort();
    assert_eq!(values.len(), count, "{what}: {values:?}");
    values.dedup();
    assert_eq!(values.len(), count, "{what} twice: {values:?}");
}

/// What these instances hold: to each one name, port, address, database and process, and nothing to two of them.
fn hold_their_own(deployment: &Deployment, instances: &[Value]) {
    let count = instances.len();
    let of = |field: &'static str| instances.iter().map(move |instance| instance[field].to_string());
    for field in ["id", "subdomain", "port", "endpoint", "database"] {
        are_distinct(field, of(field), count);
    }
    let tasks = deployment.tasks();
    let owners = tasks.iter().map(|task| task.variable("WHARF_INSTANCE_ID"));
    are_distinct("a task's owner", owners, count);
    let ports = tasks.iter().map(|task| task.variable("PORT"));
    are_distinct("a task's port", ports, count);
    let databases = fs::read_dir(deployment.data().join("databases")).expect("databases");
    assert_eq!(databases.count(), count, "a database for each");
}

/// The same thing, so many times at once.
async fn delivered(deployment: &Deployment, event: &Value) -> Vec<Value> {
    let bus = deployment.admin();
    let answers = join_all((0..DELIVERIES).map(|_| bus.post("/events", event))).await;
    let well = |answer: Answer| {
        assert!(matches!(answer.status, 200 | 202), "{answer:?}");
        answer.json()
    };
    answers.into_iter().map(well).collect()
}

#[tokio::test]
async fn each_of_60_who_sign_up_at_once_gets_its_own_or_is_told_why_not() {
    let deployment = Deployment::new().await;
    let visitor = deployment.console();
    let names: Vec<String> = (0..TENANTS).map(|number| format!("tenant-{number}")).collect();
    let bodies: Vec<Value> = names.iter().map(|name| Deployment::sign_up(name)).collect();
    let answers = join_all(bodies.iter().map(|body| visitor.post("/provision", body))).await;
    let mut accepted = Vec::new();
    for (name, answer) in names.iter().zip(answers) {
        if answer.status == 202 {
            accepted.push((name, answer.json()));
        } else {
            answer.problem(503, "port.exhausted");
            assert!(deployment.find(name).await.is_none(), "nothing is left of a refusal");
        }
    }
    assert!(accepted.len() >= READY_AT_LEAST, "{} were accepted", accepted.len());
    let mut instances = Vec::new();
    for (_, one) in &accepted {
        instances.push(deployment.becomes(text(&one["id"]), "ready").await);
    }
    hold_their_own(&deployment, &instances);
    for (name, _) in &accepted {
        let page = deployment.tenant(name).get("/").await.is(200).text();
        assert!(page.contains(&format!("The {name} Company")), "its own shop: {page}");
    }
    are_written_to(&deployment, accepted.len()).await;
    assert_eq!(deployment.live().await.len(), accepted.len());
}

#[tokio::test]
async fn a_tenants_event_delivered_100_times_at_once_is_one_of_each() {
    let deployment = Deployment::new().await;
    delivered(&deployment, &Deployment::sign_up("acme")).await;
    let instance = deployment.becomes("acme", "ready").await;
    hold_their_own(&deployment, &[instance]);
    are_written_to(&deployment, 1).await;
    assert_eq!(deployment.live().await.len(), 1);
}

#[tokio::test]
async fn a_start_event_delivered_100_times_at_once_is_one_task() {
    let auth = format!(
        "[services.auth]\nroute = {{ kind = \"path\", prefix = \"/api/auth\" }}\nhealth = {{ interval = \"50ms\", timeout = \"500ms\" }}\n{}\n",
        service::runs("answer")
    );
    let deployment = Setup::new().configured(&auth).up().await;
    let event = json!({
        "id": "5f1e9f0c-0b6e-4a57-9a5e-6d1d7c1c2f10", "source": "custom.app",
        "detail-type": "Start ECS Task", "detail": {"service": "auth"},
    });
    let answers = delivered(&deployment, &event).await;
    let ids: BTreeSet<&str> = answers.iter().map(|answer| text(&answer["taskId"])).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let id = text(&answers[0]["taskId"]);
    deployment.becomes(id, "ready").await;
    deployment.agrees().await;
    assert_eq!((deployment.tasks().len(), deployment.live().await.len()), (1, 1));
}
