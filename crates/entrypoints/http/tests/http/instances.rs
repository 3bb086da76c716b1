//! The registry's list, one instance, its output, and what can be asked of it.

use futures::StreamExt;
use serde_json::json;
use std::collections::BTreeSet;

use crate::site::Site;

#[tokio::test(start_paused = true)]
async fn the_list_has_pages_and_filters() {
    let site = Site::new().await;
    for name in ["one", "two", "three"] {
        site.ready(name).await;
    }
    site.post("/services/auth/start")
        .admin()
        .json(&json!({"wait": true}))
        .send()
        .await;
    let all = site.get("/instances").admin().send().await.json();
    assert_eq!(all["instances"].as_array().expect("a list").len(), 4);
    assert_eq!(all["next"], json!(null));

    let mut seen = BTreeSet::new();
    let mut path = "/instances?limit=2&service=shop".to_owned();
    loop {
        let page = site.get(&path).admin().send().await.json();
        for instance in page["instances"].as_array().expect("a list") {
            assert!(seen.insert(instance["subdomain"].as_str().expect("a name").to_owned()));
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/instances?limit=2&service=shop&before={next}");
    }
    assert_eq!(seen.len(), 3);

    let count = async |query: &str| {
        let page = site.get(&format!("/instances?{query}")).admin().send().await.json();
        page["instances"].as_array().expect("a list").len()
    };
    assert_eq!(count("state=ready").await, 4);
    assert_eq!(count("state=down").await, 0);
    assert_eq!(count("live=true").await, 4);
    assert_eq!(count("live=false").await, 0);
    assert_eq!(count("service=").await, 4, "an empty filter is none");
}

#[tokio::test(start_paused = true)]
async fn a_query_that_cannot_be_understood_is_told_so() {
    let site = Site::new().await;
    for query in [
        "state=fine",
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=1&limit=2",
        "live=yes",
        "before=acme",
        "service=A.B",
        "sort=name",
    ] {
        let reply = site.get(&format!("/instances?{query}")).admin().send().await;
        assert!(matches!(reply.status, 400 | 422), "{query}: {}", reply.text());
        let field = query.split('=').next().expect("a name");
        assert_eq!(reply.wrong_fields()[0].0, field, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_shown_by_id_and_by_name_with_its_past() {
    let site = Site::new().await;
    site.ready("acme").await;
    let by_name = site.get("/instances/acme").admin().send().await.json();
    let id = by_name["id"].as_str().expect("an id");
    assert_eq!(
        site.get(&format!("/instances/{id}")).admin().send().await.json(),
        by_name
    );
    assert_eq!(by_name["admin_email"], "admin@acme.example");
    assert_eq!(by_name["steps"].as_array().expect("steps").len(), 9);
    assert_eq!(by_name["history"][0]["seq"], 1);
    assert_eq!(by_name["moving"], false);
    for nobody in ["nobody", "inst_00000000000000000000000000", "A.B", "%20"] {
        let reply = site.get(&format!("/instances/{nobody}")).admin().send().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (404, "instance.unknown"),
            "{nobody}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn stop_start_and_delete() {
    let site = Site::new().await;
    site.ready("acme").await;
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    let stop = site.post("/instances/acme/stop").admin().send().await;
    assert_eq!(
        (stop.status, &stop.json()["message"]),
        (202, &json!("acme is being stopped"))
    );
    site.sim.until(&id, "stopped").await;
    let start = site.post("/instances/acme/start").admin().json(&json!({})).send().await;
    assert_eq!(start.status, 202);
    site.sim.until(&id, "ready").await;
    let end = site.delete("/instances/acme").admin().send().await;
    assert_eq!((end.status, &end.json()["id"]), (202, &json!(id.as_str())));
    site.sim.until(&id, "ended").await;
    assert!(site.sim.leftovers().await.is_empty());

    let again = site.delete(&format!("/instances/{id}")).admin().send().await;
    assert_eq!(again.status, 202, "ended already");
    let start = site.post(&format!("/instances/{id}/start")).admin().send().await;
    assert_eq!((start.status, start.code().as_str()), (409, "instance.state"));
    let resume = site.post(&format!("/instances/{id}/resume")).admin().send().await;
    assert_eq!((resume.status, resume.code().as_str()), (409, "instance.state"));
    let abandon = site
        .post(&format!("/instances/{id}/abandon"))
        .admin()
        .json(&json!({"reason": "gone"}))
        .send()
        .await;
    assert_eq!((abandon.status, abandon.code().as_str()), (409, "instance.state"));
    let silent = site
        .post(&format!("/instances/{id}/abandon"))
        .admin()
        .json(&json!({}))
        .send()
        .await;
    assert_eq!(silent.wrong_fields()[0].0, "reason");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_ended_by_name_and_by_nothing_else() {
    let site = Site::new().await;
    site.ready("acme").await;
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    for other in [id.as_str(), "nobody", "A.B", "service:single"] {
        let reply = site.delete(&format!("/tenants/{other}")).admin().send().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (404, "instance.unknown"),
            "{other}"
        );
    }
    assert_eq!(site.delete("/tenants/acme").admin().send().await.status, 202);
    site.sim.until(&id, "ended").await;
    let again = site.delete("/tenants/acme").admin().send().await;
    assert_eq!(again.status, 404, "its name rests");
    let taken = site.post("/provision").json(&crate::site::sign_up("acme")).send().await;
    assert_eq!((taken.status, taken.code().as_str()), (409, "name.resting"));
}

#[tokio::test(start_paused = true)]
async fn output_is_read_and_followed() {
    let site = Site::new().await;
    site.ready("acme").await;
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    for line in ["first", "<b>second</b>", "third"] {
        site.sim.world.print(&id, line);
    }
    let reply = site.get("/instances/acme/logs?lines=2").admin().send().await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, "text/plain; charset=utf-8")
    );
    assert_eq!(reply.text(), "<b>second</b>\nthird\n");

    let response = site
        .get("/instances/acme/logs?lines=0&follow=true")
        .admin()
        .open()
        .await;
    let mut body = response.into_body().into_data_stream();
    site.sim.world.print(&id, "later");
    let chunk = body.next().await.expect("a chunk").expect("a chunk");
    assert_eq!(&chunk[..], b"later\n");
    site.stopping.cancel();
    assert!(body.next().await.is_none(), "it ends with the server");
    let bad = site.get("/instances/acme/logs?lines=999999").admin().send().await;
    assert_eq!(bad.wrong_fields()[0].0, "lines");
}

#[tokio::test(start_paused = true)]
async fn repair_shows_its_plan_and_applies_it_when_asked() {
    let site = Site::new().await;
    site.ready("acme").await;
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    let clean = site.post("/repair").admin().json(&json!({})).send().await.json();
    assert_eq!(clean, json!({"findings": [], "mended": []}));

    let stranger = "inst_00000000000000000000000000".parse().expect("an id");
    site.sim.world.plant_secrets(&stranger);
    let plan = site
        .post("/repair")
        .admin()
        .json(&json!({"apply": false}))
        .send()
        .await
        .json();
    assert_eq!(plan["findings"].as_array().expect("findings").len(), 1, "{plan}");
    assert_eq!(plan["mended"], json!([]));
    assert!(site.sim.world.secrets(&stranger).is_some(), "nothing was changed");
    let applied = site
        .post("/repair")
        .admin()
        .json(&json!({"apply": true}))
        .send()
        .await
        .json();
    assert_eq!(applied["mended"], json!([]), "{applied}");
    assert!(
        site.sim.world.secrets(&stranger).is_some(),
        "the registry does not know whose they are"
    );
    let applied = site
        .post("/repair")
        .admin()
        .json(&json!({"apply": true, "remove_unknown": true}))
        .send()
        .await
        .json();
    assert_eq!(applied["mended"][0]["outcome"], "done", "{applied}");
    assert!(site.sim.world.secrets(&stranger).is_none());
    assert!(site.sim.world.secrets(&id).is_some());
    let bad = site.post("/repair").admin().json(&json!({"apply": "yes"})).send().await;
    assert_eq!(bad.wrong_fields()[0].0, "apply");
}

#[tokio::test(start_paused = true)]
async fn health_readiness_and_metrics() {
    let site = Site::new().await;
    site.ready("acme").await;
    assert_eq!(site.get("/healthz").send().await.json(), json!({"status": "ok"}));
    assert_eq!(
        site.get("/readyz").send().await.json(),
        json!({"status": "ready", "restoring": 3})
    );
    let metrics = site.get("/metrics").admin().send().await;
    assert_eq!(
        metrics.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let text = metrics.text();
    for line in [
        "wharf_instances{service=\"shop\",state=\"ready\"} 1",
        "wharf_http_requests_total{method=\"POST\",path=\"/provision\",status=\"202\"} 1",
        "wharf_http_request_seconds_count{path=\"/healthz\"} 1",
        "wharf_http_streams 0",
        "wharf_restoring 3",
        "hooked_total 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    assert!(!text.contains("acme"), "no customer stands in the metrics");
}
