//! SIGKILL in the middle of a provision, at many points of it. After a restart the instance is Ready, or it was never claimed, and
//! then its name is free: a sign-up that was taken is carried out. Whatever was Ready before is Ready again.

use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Deployment, Event, Seed, Setup, eventually, spin, text};

/// In each of the tests with a seed. There are four.
const POINTS: u32 = 12;

/// Sends a sign-up, does `then` as soon as it is sent, and gives the answer, if one came.
async fn sign_up_and(deployment: &Deployment, name: &str, then: impl AsyncFnOnce()) -> Option<Value> {
    let body = Deployment::sign_up(name).to_string();
    let request = format!(
        "POST /provision HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut connection = TcpStream::connect(deployment.listen()).await.expect("a connection");
    connection.set_nodelay(true).expect("a socket");
    connection.write_all(request.as_bytes()).await.expect("sent");
    then().await;
    let mut answer = String::new();
    // An answer that breaks off is none.
    connection.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 202"), "{answer}");
    serde_json::from_str(body).ok()
}

/// The name's instance is whole, or there is none and the name is free.
async fn is_whole(deployment: &Deployment, name: &str, accepted: Option<Value>) {
    let found = deployment
        .find(name)
        .await
        .map(|instance| text(&instance["id"]).to_owned());
    let id = found.or_else(|| Some(text(&accepted?["id"]).to_owned()));
    let settled = match &id {
        Some(id) => Some(deployment.rests(id).await),
        None => None,
    };
    match settled.as_ref().map(|instance| text(&instance["status"])) {
        Some("ready") => {
            let id = id.expect("an instance has an id");
            // It may have been Ready before the kill, and be on its way back.
            let page = eventually("it answers", async || {
                let answer = deployment.tenant(name).get("/").await;
                (answer.status != 503).then(|| answer.is(200).text())
            })
            .await;
            assert!(page.contains(&format!("The {name} Company")), "{page}");
            assert_eq!(deployment.tasks_of(&id).len(), 1, "one process, and no other attempt's");
            assert!(deployment.secrets_of(&id).exists() && deployment.databases_of(&id).exists());
        }
        None => {
            deployment.ready(name).await;
        }
        Some(other) => panic!("{name} is {other}: {settled:#?}\n{}", deployment.log()),
    }
}

/// Every tenant has one mail, however often the server died before it was written down that it was sent.
async fn each_has_its_mail(deployment: &Deployment) {
    let tenants = deployment.live().await.len();
    let folder = deployment.data().join("mail");
    let mails = async || {
        let files = std::fs::read_dir(&folder).expect("mails").filter_map(Result::ok);
        let mails = files
            .filter(|file| file.path().extension().is_some_and(|kind| kind == "eml"))
            .count();
        (mails >= tenants).then_some(mails)
    };
    assert_eq!(eventually("every tenant has a mail", mails).await, tenants);
}

async fn survives_kills_anywhere(seed: u64) {
    let mut seed = Seed(seed);
    let mut deployment = Deployment::new().await;
    let begun = Instant::now();
    deployment.ready("measure").await;
    // A little beyond the whole of it, so that some kills come right after Ready.
    let whole = begun.elapsed() * 5 / 4;
    for point in 0..POINTS {
        let name = format!("t{point}");
        let delay = (whole * point + seed.up_to(whole)) / POINTS;
        let server = deployment.pid();
        let accepted = sign_up_and(&deployment, &name, async || {
            spin(delay).await;
            deployment.signal(rustix::process::Signal::KILL);
        })
        .await;
        deployment.ended().await;
        eventually("no child outlives its server", async || {
            deployment.tasks().is_empty().then_some(())
        })
        .await;
        deployment.up().await;
        assert_ne!(deployment.pid(), server);
        is_whole(&deployment, &name, accepted).await;
    }
    deployment.agrees().await;
    for instance in deployment.live().await {
        assert_eq!(instance["status"], "ready", "{instance:#}");
    }
    each_has_its_mail(&deployment).await;
}

#[tokio::test]
async fn kills_spread_by_the_first_seed_leave_it_whole_or_never_asked_for() {
    survives_kills_anywhere(1).await;
}

#[tokio::test]
async fn kills_spread_by_the_second_seed_leave_it_whole_or_never_asked_for() {
    survives_kills_anywhere(2).await;
}

#[tokio::test]
async fn kills_spread_by_the_third_seed_leave_it_whole_or_never_asked_for() {
    survives_kills_anywhere(3).await;
}

#[tokio::test]
async fn kills_spread_by_the_fourth_seed_leave_it_whole_or_never_asked_for() {
    survives_kills_anywhere(4).await;
}

/// Signs up, and kills the server at the moment that the history tells what `moment` waits for. Gives the sign-up's answer;
/// `None` if that moment never came.
async fn kill_at(deployment: &mut Deployment, name: &str, moment: impl Fn(&Event) -> bool) -> Option<Value> {
    let accepted = deployment.provision(name).await;
    let mut events = deployment
        .admin()
        .events(&format!("/instances/{}/events", text(&accepted["id"])))
        .await;
    loop {
        let event = events.next().await?;
        if moment(&event) {
            deployment.kill().await;
            return Some(accepted);
        }
    }
}

#[tokio::test]
async fn a_kill_at_the_begin_of_any_step_leaves_it_whole() {
    let mut deployment = Deployment::new().await;
    for step in [
        "secrets", "database", "task", "running", "endpoint", "route", "healthy", "ready",
    ] {
        let accepted = kill_at(&mut deployment, step, |event| event.started().as_deref() == Some(step)).await;
        let accepted = accepted.unwrap_or_else(|| panic!("{step} was never begun"));
        deployment.up().await;
        is_whole(&deployment, step, Some(accepted)).await;
    }
    deployment.agrees().await;
}

#[tokio::test]
async fn a_kill_while_everything_is_taken_back_leaves_nothing() {
    let broken = r#"
        [services.broken]
        tenant = true
        database = true
        process = { command = ["/bin/sh", "-c", "exit 3"] }
    "#;
    let mut deployment = Setup::new().configured(broken).up().await;
    let mut killed = 0;
    for step in [
        "undo route",
        "undo endpoint",
        "undo task",
        "undo database",
        "undo secrets",
        "undo claim",
    ] {
        let name = step.replace(' ', "-");
        let begun = |event: &Event| event.started().as_deref() == Some(step) || event.done().as_deref() == Some(step);
        // Steps without effects are not always begun apart from the next.
        if let Some(accepted) = kill_at(&mut deployment, &name, begun).await {
            killed += 1;
            deployment.up().await;
            let instance = deployment.becomes(text(&accepted["id"]), "failed").await;
            assert_eq!(instance["cause"]["code"], "task.crashed", "{instance:#}");
            deployment.is_gone(text(&accepted["id"])).await;
        }
    }
    assert!(killed >= 4, "{killed}");
    deployment.agrees().await;
}

#[tokio::test]
async fn a_kill_while_the_server_starts_loses_nothing() {
    let mut seed = Seed(5);
    let mut deployment = Deployment::new().await;
    deployment.ready("acme").await;
    deployment.end().await;
    let begun = Instant::now();
    deployment.up().await;
    let whole = begun.elapsed() * 3 / 2;
    deployment.kill().await;
    for _ in 0..10 {
        deployment.up_for(seed.up_to(whole) + Duration::from_micros(100)).await;
    }
    deployment.up().await;
    deployment.agrees().await;
    assert_eq!(deployment.tasks().len(), 1);
    deployment.tenant("acme").get("/").await.is(200);
}
