//! Who gets in: many at once for one name, repeated requests, bad input, and who may ask for what.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{Answer, Deployment, Setup, eventually, text};

const CROWD: usize = 500;

/// The same request, so many times at once.
async fn at_once(deployment: &Deployment, key: Option<&str>) -> Vec<Answer> {
    let mut visitor = deployment.console();
    if let Some(key) = key {
        visitor = visitor.with("idempotency-key", key);
    }
    let body = Deployment::sign_up("acme");
    join_all((0..CROWD).map(|_| visitor.post("/provision", &body))).await
}

#[tokio::test]
async fn of_500_who_want_one_name_at_once_one_gets_it() {
    let deployment = Deployment::new().await;
    let mut outcomes: BTreeMap<u16, usize> = BTreeMap::new();
    for answer in at_once(&deployment, None).await {
        *outcomes.entry(answer.status).or_default() += 1;
        if answer.status == 409 {
            let problem = answer.problem(409, "name.taken").json();
            assert_eq!(
                problem.get("status_url"),
                None,
                "a name never yields the first caller's token"
            );
        }
    }
    assert_eq!(outcomes, BTreeMap::from([(202, 1), (409, CROWD - 1)]));
    deployment.becomes("acme", "ready").await;
    assert_eq!(deployment.tasks().len(), 1);
    deployment.agrees().await;
}

#[tokio::test]
async fn of_500_with_one_key_all_get_the_same_instance() {
    let deployment = Deployment::new().await;
    let answers: Vec<Value> = at_once(&deployment, Some("one-key"))
        .await
        .into_iter()
        .map(|answer| answer.is(202).json())
        .collect();
    let ids: BTreeSet<&str> = answers.iter().map(|answer| text(&answer["id"])).collect();
    let links: BTreeSet<&str> = answers.iter().map(|answer| text(&answer["status_url"])).collect();
    assert_eq!((ids.len(), links.len()), (1, 1));
    deployment.becomes("acme", "ready").await;
    assert_eq!(deployment.tasks().len(), 1);
}

#[tokio::test]
async fn a_key_with_other_fields_is_refused_over_a_restart_too() {
    let mut deployment = Deployment::new().await;
    let first = deployment
        .console()
        .with("idempotency-key", "k")
        .post("/provision", &Deployment::sign_up("acme"))
        .await
        .is(202)
        .json();
    deployment.kill().await;
    deployment.up().await;
    let keyed = deployment.console().with("idempotency-key", "k");
    keyed
        .post("/provision", &Deployment::sign_up("other"))
        .await
        .problem(409, "key.reused");
    assert!(deployment.find("other").await.is_none());
    let again = keyed
        .post("/provision", &Deployment::sign_up("acme"))
        .await
        .is(202)
        .json();
    assert_eq!(
        (&again["id"], &again["status_url"]),
        (&first["id"], &first["status_url"])
    );
    // Another caller's key of the same text is another key.
    deployment
        .admin()
        .with("idempotency-key", "k")
        .post("/provision", &Deployment::sign_up("other"))
        .await
        .is(202);
}

#[tokio::test]
async fn each_bad_field_is_refused_with_its_code() {
    let deployment = Deployment::new().await;
    let long = "a".repeat(59);
    let names = [
        ("", "name.invalid"),
        (long.as_str(), "name.invalid"),
        ("Acme", "name.invalid"),
        ("a_b", "name.invalid"),
        ("-acme", "name.invalid"),
        ("acme-", "name.invalid"),
        ("a--b", "name.invalid"),
        ("a.b", "name.invalid"),
        ("xn--nxasmq6b", "name.invalid"),
        ("192-0-2-1", "name.invalid"),
        ("www", "name.reserved"),
        ("api", "name.reserved"),
        ("admin", "name.reserved"),
        ("services", "name.reserved"),
    ];
    for (name, code) in names {
        let mut body = Deployment::sign_up("acme");
        body["subdomain"] = name.into();
        deployment.console().post("/provision", &body).await.problem(422, code);
    }
    let company = "x".repeat(10_000);
    let fields = [
        ("admin_email", "nobody", "email.invalid"),
        (
            "admin_email",
            "a@b.example\r\nBcc: everybody@b.example",
            "email.invalid",
        ),
        ("company_name", "", "company.invalid"),
        ("company_name", company.as_str(), "company.invalid"),
        ("company_name", "evil\u{202e}eman", "company.invalid"),
        ("company_name", "bell\u{7}", "company.invalid"),
    ];
    for (field, value, code) in fields {
        let mut body = Deployment::sign_up("acme");
        body[field] = value.into();
        deployment.console().post("/provision", &body).await.problem(422, code);
    }
    assert!(deployment.find("acme").await.is_none(), "nothing was claimed");
}

#[tokio::test]
async fn a_body_that_is_no_sign_up_is_refused() {
    let deployment = Deployment::new().await;
    let console = deployment.console();
    let post = |kind: &'static str, body: String| {
        let console = console.clone();
        async move {
            let request = console.request(Method::POST, "/provision").header("content-type", kind);
            console.send(request, body.into()).await.expect("an answer")
        }
    };
    post("application/json", "{\"subdomain\": ".into())
        .await
        .problem(400, "request.invalid");
    post("application/json", "[]".into())
        .await
        .problem(400, "request.invalid");
    post(
        "application/json",
        json!({"subdomain": "a".repeat(100_000)}).to_string(),
    )
    .await
    .problem(413, "request.too_large");
    post("text/plain", Deployment::sign_up("acme").to_string())
        .await
        .problem(415, "request.invalid");

    let mut body = Deployment::sign_up("acme");
    body["subdomian"] = "acme".into();
    body["admin_email"] = 7.into();
    let problem = console
        .post("/provision", &body)
        .await
        .problem(400, "request.invalid")
        .json();
    let wrong: BTreeSet<&str> = problem["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| text(&error["field"]))
        .collect();
    assert_eq!(
        wrong,
        BTreeSet::from(["admin_email", "subdomian"]),
        "everything that is wrong, at once"
    );
    console.get("/provision").await.problem(405, "request.method");
    console.get("/no-such-thing").await.problem(404, "request.not_found");
}

#[tokio::test]
async fn a_company_may_be_called_anything_and_is_escaped_wherever_it_stands() {
    let deployment = Deployment::new().await;
    let mut body = Deployment::sign_up("acme");
    body["company_name"] = "<script>alert(1)</script> & \"Söhne\"".into();
    let accepted = deployment.console().post("/provision", &body).await.is(202).json();
    deployment.becomes(text(&accepted["id"]), "ready").await;
    let shop = deployment.tenant("acme").get("/").await.is(200).text();
    let (_, path) = text(&accepted["status_url"]).split_once("/provision/").expect("a link");
    let status = deployment
        .console()
        .page(&format!("/provision/{path}"))
        .await
        .is(200)
        .text();
    for page in [shop, status] {
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    }
}

#[tokio::test]
async fn everything_but_sign_up_status_and_health_needs_the_admin_token() {
    let deployment = Deployment::new().await;
    deployment.ready("acme").await;
    let operations = [
        (Method::GET, "/instances"),
        (Method::GET, "/instances/acme"),
        (Method::GET, "/instances/acme/events"),
        (Method::GET, "/instances/acme/logs"),
        (Method::POST, "/instances/acme/stop"),
        (Method::POST, "/instances/acme/start"),
        (Method::DELETE, "/instances/acme"),
        (Method::DELETE, "/tenants/acme"),
        (Method::POST, "/services/storefront/stop"),
        (Method::POST, "/events"),
        (Method::POST, "/repair"),
        (Method::GET, "/metrics"),
    ];
    let wrong = deployment
        .console()
        .with("authorization", format!("Bearer wharf_{}", "0".repeat(48)));
    for (method, path) in operations {
        let body = (method == Method::POST).then(|| json!({}));
        deployment
            .console()
            .ask(method.clone(), path, body.as_ref())
            .await
            .problem(401, "auth.missing");
        wrong.ask(method, path, body.as_ref()).await.problem(403, "auth.denied");
    }
    assert_eq!(deployment.show("acme").await["status"], "ready");
    deployment.admin().get("/metrics").await.is(200);
}

#[tokio::test]
async fn a_page_of_somebody_else_cannot_ask_for_changes() {
    let deployment = Deployment::new().await;
    let foreign = deployment.admin().with(
        "origin",
        format!("http://acme.localhost:{}", deployment.listen().port()),
    );
    foreign
        .post("/provision", &Deployment::sign_up("acme"))
        .await
        .problem(403, "origin.refused");
    let own = deployment
        .console()
        .with("origin", format!("http://localhost:{}", deployment.listen().port()));
    own.post("/provision", &Deployment::sign_up("acme")).await.is(202);
}

#[tokio::test]
async fn there_are_no_more_instances_than_allowed() {
    let deployment = Setup::new().configured("[server]\nmax_instances = 1\n").up().await;
    deployment.ready("one").await;
    deployment
        .console()
        .post("/provision", &Deployment::sign_up("two"))
        .await
        .problem(503, "limit.instances");
    assert!(deployment.find("two").await.is_none());
}

#[tokio::test]
async fn a_full_machine_has_a_line_and_a_place_in_it_is_shown_until_there_is_room() {
    // The storefront books 256 MiB.
    let limits = "[limits]\nmemory = \"500MiB\"\n";
    let mut deployment = Setup::new().configured(limits).up().await;
    let before = deployment.ready("one").await;
    for name in ["two", "three"] {
        let visitor = deployment.console();
        visitor.post("/provision", &Deployment::sign_up(name)).await.is(202);
        eventually("it waits in line", async || {
            (deployment.show(name).await["status"] == "queued").then_some(())
        })
        .await;
    }
    let place = |of| json!({"position": of, "of": 2, "why": "its turn: all memory is booked"});
    assert_eq!(deployment.show("three").await["queue"], place(2));
    let listed = deployment.wharf(&["list"]).await.exits(0).shown();
    assert!(
        listed.contains("queued (1 of 2)") && listed.contains("queued (2 of 2)"),
        "{listed}"
    );
    let shown = deployment.wharf(&["show", "three"]).await.exits(0).shown();
    assert!(shown.contains("in line    2 of 2"), "{shown}");

    deployment.kill().await;
    deployment.up().await;
    deployment.back("one", &before).await;
    assert_eq!(deployment.show("two").await["queue"], place(1));
    deployment.ask("one", "stop").await;
    deployment.becomes("two", "ready").await;
    assert_eq!(deployment.show("three").await["queue"]["of"], 1);
    deployment.wharf(&["delete", "two"]).await.exits(0);
    deployment.becomes("three", "ready").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn strangers_sign_up_only_so_often() {
    let deployment = Setup::new()
        .configured("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[signup]\nrate = \"2/1h\"\n")
        .up()
        .await;
    let stranger = deployment.console().with("x-forwarded-for", "203.0.113.9");
    for name in ["one", "two"] {
        stranger.post("/provision", &Deployment::sign_up(name)).await.is(202);
    }
    let refused = stranger
        .post("/provision", &Deployment::sign_up("three"))
        .await
        .problem(429, "limit.rate");
    assert!(refused.header("retry-after").is_some());
    deployment
        .console()
        .with("x-forwarded-for", "203.0.113.10")
        .post("/provision", &Deployment::sign_up("three"))
        .await
        .is(202);
    for name in ["four", "five", "six"] {
        deployment.provision(name).await;
    }
}
