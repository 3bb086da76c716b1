//! Signing up, and what is told of it.

use futures::future::join_all;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use wharf_testkit::sim::{Behaviour, store::Fault};

use crate::site::{ORIGIN, Plan, Site, sign_up};

#[tokio::test(start_paused = true)]
async fn a_sign_up_is_taken_at_once_and_can_be_followed() {
    let site = Site::new().await;
    let reply = site.post("/provision").json(&sign_up("acme")).send().await;
    assert_eq!(reply.status, 202);
    let taken = reply.json();
    assert_eq!(taken["status"], "provisioning");
    assert_eq!(taken["message"], "acme is being set up");
    assert_eq!(taken["url"], "http://acme.localhost:8080/");
    let path = reply.header("location").to_owned();
    assert_eq!(taken["status_url"], format!("{ORIGIN}{path}"));
    assert!(
        !path.contains(taken["id"].as_str().expect("an id")),
        "the id grants nothing"
    );

    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    site.sim.until(&id, "ready").await;
    let status = site.get(&path).send().await.json();
    assert_eq!((&status["status"], &status["at_rest"]), (&json!("ready"), &json!(true)));
    assert_eq!(status["company_name"], "Acme Inc.");
    let steps: Vec<&str> = status["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|step| step["step"].as_str())
        .collect();
    assert_eq!(
        steps,
        [
            "claim", "secrets", "database", "task", "running", "endpoint", "route", "healthy", "ready"
        ]
    );
    assert!(
        status["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .all(|step| step["millis"].is_u64())
    );
    assert!(
        status.get("admin_email").is_none() && status.get("endpoint").is_none(),
        "not for visitors"
    );
}

#[tokio::test(start_paused = true)]
async fn a_static_port_is_told_at_once() {
    let site = Site::new().await;
    let mut body = sign_up("acme");
    body["service"] = "direct".into();
    let taken = site.post("/provision").json(&body).send().await.json();
    assert_eq!(taken["port"], 8000);
}

#[tokio::test(start_paused = true)]
async fn of_many_who_want_one_name_one_gets_it() {
    let site = Site::new().await;
    let asks = (0..500).map(|i| {
        let mut body = sign_up("acme");
        body["admin_email"] = format!("admin{i}@acme.example").into();
        site.post("/provision").json(&body).send()
    });
    let mut counts = BTreeMap::new();
    for reply in join_all(asks).await {
        if reply.status == 409 {
            assert_eq!(reply.code(), "name.taken");
            assert_eq!(
                reply.wrong_fields(),
                [("subdomain".to_owned(), "name.taken".to_owned())]
            );
            assert!(
                !reply.text().contains("/provision/"),
                "the first caller's token is nobody else's"
            );
        }
        *counts.entry(reply.status).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([(202, 1), (409, 499)]));
}

#[tokio::test(start_paused = true)]
async fn one_key_with_the_same_fields_is_one_request() {
    let site = Site::new().await;
    let asks = (0..500).map(|_| {
        site.post("/provision")
            .json(&sign_up("acme"))
            .header("idempotency-key", "k-1")
            .send()
    });
    let mut ids = BTreeSet::new();
    for reply in join_all(asks).await {
        assert_eq!(reply.status, 202, "{}", reply.text());
        let taken = reply.json();
        ids.insert((taken["id"].to_string(), taken["status_url"].to_string()));
    }
    assert_eq!(ids.len(), 1);

    let mut other = sign_up("acme");
    other["company_name"] = "Another Inc.".into();
    let reply = site
        .post("/provision")
        .json(&other)
        .header("idempotency-key", "k-1")
        .send()
        .await;
    assert_eq!((reply.status, reply.code().as_str()), (409, "key.reused"));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_one_callers_own() {
    let site = Site::new().await;
    let visitor = site
        .post("/provision")
        .json(&sign_up("acme"))
        .header("idempotency-key", "k")
        .send()
        .await;
    let admin = site
        .post("/provision")
        .json(&sign_up("other"))
        .header("idempotency-key", "k")
        .admin()
        .send()
        .await;
    assert_eq!((visitor.status, admin.status), (202, 202));
    assert_ne!(visitor.json()["id"], admin.json()["id"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_request_of_an_operator_gets_the_instance_and_no_link() {
    let site = Site::new().await;
    let first = site.post("/provision").json(&sign_up("acme")).admin().send().await;
    let again = site.post("/provision").json(&sign_up("acme")).admin().send().await;
    assert_eq!(again.status, 202);
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert!(again.json().get("status_url").is_none() && !again.headers.contains_key("location"));
    let visitor = site.post("/provision").json(&sign_up("acme")).send().await;
    assert_eq!(visitor.code(), "name.taken");
}

#[tokio::test(start_paused = true)]
async fn what_went_wrong_is_told_without_evidence() {
    let site = Site::new().await;
    let behaviour = Behaviour {
        exits_after: Some(std::time::Duration::from_millis(20)),
        exit_code: 7,
        last_words: Some("SECRET-TRACE at /srv/shop".into()),
        answers_after: std::time::Duration::from_mins(10),
        ..Behaviour::default()
    };
    site.sim.world.behave("shop", behaviour);
    let path = site.sign_up("acme").await;
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    site.sim.until(&id, "failed").await;

    let reply = site.get(&path).send().await;
    let status = reply.json();
    assert_eq!((&status["status"], &status["clean"]), (&json!("failed"), &json!(true)));
    assert_eq!(status["cause"]["code"], "task.crashed");
    assert!(!reply.text().contains("SECRET-TRACE"), "{}", reply.text());
    let page = site.get(&path).browser().send().await.text();
    assert!(page.contains("Everything was taken back") && page.contains("Try again"));
    assert!(!page.contains("SECRET-TRACE"));

    let shown = site.get(&format!("/instances/{id}")).admin().send().await;
    assert!(
        shown.text().contains("SECRET-TRACE"),
        "the operator is told: {}",
        shown.text()
    );
}

#[tokio::test(start_paused = true)]
async fn closed_sign_up_takes_the_admin_token() {
    let mut plan = Plan::default();
    plan.limits.open = false;
    let site = Site::with(plan, |_, _| {}).await;
    let visitor = site.post("/provision").json(&sign_up("acme")).send().await;
    assert_eq!((visitor.status, visitor.code().as_str()), (401, "auth.missing"));
    let admin = site.post("/provision").json(&sign_up("acme")).admin().send().await;
    assert_eq!(admin.status, 202);
    let page = site.get("/").browser().send().await.text();
    assert!(page.contains("Sign-up is closed here") && !page.contains("<form"));
}

#[tokio::test(start_paused = true)]
async fn a_full_deployment_says_so() {
    let site = Site::with(Plan::default(), |_, settings| settings.max_instances = 1).await;
    site.sign_up("acme").await;
    let reply = site.post("/provision").json(&sign_up("other")).send().await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "limit.instances"));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_has_as_many_as_it_may_is_told_so_and_not_who_it_is() {
    let site = Site::with(Plan::default(), |_, settings| {
        settings.limits.instances_per_email = Some(1)
    })
    .await;
    site.sign_up("acme").await;
    let mut body = sign_up("other");
    body["admin_email"] = sign_up("acme")["admin_email"]
        .as_str()
        .expect("an address")
        .to_uppercase()
        .into();
    let reply = site.post("/provision").json(&body).send().await;
    assert_eq!((reply.status, reply.code().as_str()), (409, "limit.email"));
    assert!(!reply.text().to_lowercase().contains("acme"), "{}", reply.text());
}

#[tokio::test(start_paused = true)]
async fn a_place_in_line_is_told_by_the_api_the_pages_and_the_figures() {
    let site = Site::with(Plan::default(), |world, settings| {
        settings.limits.starts_at_once = Some(1);
        world.behave(
            "shop",
            Behaviour {
                answers_after: Duration::from_secs(30),
                ..Behaviour::default()
            },
        );
    })
    .await;
    let mut links = Vec::new();
    for name in ["first", "second", "third"] {
        let accepted = site.post("/provision").json(&sign_up(name)).send().await.json();
        links.push(accepted["status_url"].as_str().expect("a link").to_owned());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let path = links[2].strip_prefix(ORIGIN).expect("ours");
    let status = site.get(path).send().await.json();
    let place = json!({"position": 2, "of": 2, "why": "its turn: others are being started"});
    assert_eq!((status["status"].as_str(), &status["queue"]), (Some("queued"), &place));
    let page = site.get(path).browser().send().await.text();
    assert!(
        page.contains("waits for its turn") && page.contains("Its place in line: <strong>2</strong> of 2"),
        "{page}"
    );
    let listed = site.get("/instances").admin().send().await.json();
    assert_eq!(listed["instances"][0]["queue"], place);
    assert_eq!(listed["instances"][2].get("queue"), None);
    let figures = site.get("/metrics").admin().send().await.text();
    for line in [
        "wharf_queue_length 2",
        "wharf_starting 1",
        "wharf_starting_limit 1",
        "wharf_booked_memory_bytes 0",
    ] {
        assert!(figures.lines().any(|told| told == line), "{line}\n{figures}");
    }
    // The page looks again by itself, and finds it moved up.
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(site.get(path).send().await.json()["queue"]["position"], 1);
    tokio::time::sleep(Duration::from_secs(70)).await;
    let status = site.get(path).send().await.json();
    assert_eq!((status["status"].as_str(), status.get("queue")), (Some("ready"), None));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_cannot_be_written_is_told_without_its_whereabouts() {
    let site = Site::new().await;
    site.sim.store.fail_always(Some(Fault::Full));
    let reply = site.post("/provision").json(&sign_up("acme")).send().await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "store.full"));
    assert_eq!(reply.json()["detail"], reply.json()["title"]);
    assert!(reply.json().get("evidence").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_link_that_leads_nowhere_is_a_404() {
    let site = Site::new().await;
    for token in ["x", "00000000000000000000000000", "inst_00000000000000000000000000"] {
        for path in [format!("/provision/{token}"), format!("/provision/{token}/events")] {
            let reply = site.get(&path).send().await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (404, "instance.unknown"),
                "{path}"
            );
        }
    }
    site.ready("acme").await;
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    assert_eq!(
        site.get(&format!("/provision/{id}")).send().await.status,
        404,
        "an id grants nothing"
    );
}
