//! What nobody should send, and what is said about it.

use axum::body::Body;
use serde_json::{Value, json};

use crate::site::{Site, percent, sign_up};

fn with(field: &str, value: impl Into<Value>) -> Value {
    let mut body = sign_up("acme");
    body[field] = value.into();
    body
}

#[tokio::test(start_paused = true)]
async fn each_bad_name_is_refused_with_its_reason() {
    let site = Site::new().await;
    site.sign_up("taken").await;
    let too_long = "a".repeat(59);
    let cases = [
        ("", 422, "name.invalid"),
        (too_long.as_str(), 422, "name.invalid"),
        ("Acme", 422, "name.invalid"),
        ("a_b", 422, "name.invalid"),
        ("a.b", 422, "name.invalid"),
        ("-acme", 422, "name.invalid"),
        ("acme-", 422, "name.invalid"),
        ("a--b", 422, "name.invalid"),
        ("1acme", 422, "name.invalid"),
        ("10-0-0-1", 422, "name.invalid"),
        ("shop-10-0-0-1", 422, "name.invalid"),
        ("xn--bcher-kva", 422, "name.invalid"),
        ("bücher", 422, "name.invalid"),
        ("a b", 422, "name.invalid"),
        ("a\u{0}b", 422, "name.invalid"),
        ("../etc", 422, "name.invalid"),
        ("<script>", 422, "name.invalid"),
        ("www", 422, "name.reserved"),
        ("api", 422, "name.reserved"),
        ("admin", 422, "name.reserved"),
        ("ours", 422, "name.reserved"),
        ("taken", 409, "name.taken"),
    ];
    for (name, status, code) in cases {
        let reply = site.post("/provision").json(&with("subdomain", name)).send().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, code),
            "{name:?}: {}",
            reply.text()
        );
        assert_eq!(
            reply.wrong_fields(),
            [("subdomain".to_owned(), code.to_owned())],
            "{name:?}"
        );
        assert!(reply.json()["hint"].is_string(), "{name:?} has no hint");
        if status == 422 {
            let verdict = site.get(&format!("/names/{}", percent(name))).send().await;
            if verdict.status == 200 {
                assert_eq!(verdict.json()["valid"], false, "{name:?}");
                assert_eq!(verdict.json()["code"], code, "{name:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_name_is_told_its_address_and_not_whether_it_is_taken() {
    let site = Site::new().await;
    let free = site.get("/names/acme").send().await.json();
    assert_eq!(
        free,
        json!({"name": "acme", "valid": true, "address": "http://acme.localhost:8080/"})
    );
    site.sign_up("acme").await;
    assert_eq!(site.get("/names/acme").send().await.json(), free);
    let better = site.get("/names/Acme%20Inc.").send().await.json();
    assert_eq!(better["suggestion"], "acme-inc");
}

#[tokio::test(start_paused = true)]
async fn each_bad_address_and_company_is_refused() {
    let site = Site::new().await;
    let long = "x".repeat(10_000);
    let cases = [
        ("admin_email", "", "email.invalid"),
        ("admin_email", "nobody", "email.invalid"),
        ("admin_email", "a@b\r\nBcc: victim@example.com", "email.invalid"),
        ("admin_email", "a@b.example\n", "email.invalid"),
        ("admin_email", "<a@b.example>", "email.invalid"),
        ("admin_email", long.as_str(), "email.invalid"),
        ("company_name", "", "company.invalid"),
        ("company_name", "  ", "company.invalid"),
        ("company_name", long.as_str(), "company.invalid"),
        ("company_name", "Acme\u{0}", "company.invalid"),
        ("company_name", "Acme\nInc", "company.invalid"),
        ("company_name", "evil\u{202e}eman", "company.invalid"),
    ];
    for (field, value, code) in cases {
        let reply = site.post("/provision").json(&with(field, value)).send().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (422, code),
            "{field} {value:.40?}"
        );
        assert_eq!(reply.wrong_fields(), [(field.to_owned(), code.to_owned())]);
    }
    let unknown = site.post("/provision").json(&with("service", "nothing")).send().await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "service.unknown"));
    let other = site.post("/provision").json(&with("service", "auth")).send().await;
    assert_eq!((other.status, other.code().as_str()), (400, "service.tenant"));
}

#[tokio::test(start_paused = true)]
async fn every_wrong_field_is_told_at_once() {
    let site = Site::new().await;
    let body = json!({"subdomain": "A.B", "admin_email": "nobody", "company_name": ""});
    let reply = site.post("/provision").json(&body).send().await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "request.invalid"));
    let codes = [
        ("subdomain", "name.invalid"),
        ("admin_email", "email.invalid"),
        ("company_name", "company.invalid"),
    ];
    assert_eq!(
        reply.wrong_fields(),
        codes.map(|(field, code)| (field.to_owned(), code.to_owned()))
    );

    let body = json!({"subdomain": ["acme"], "adminEmail": "a@b.c", "company_name": {"a": 1}});
    let reply = site.post("/provision").json(&body).send().await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "request.invalid"));
    let fields: Vec<String> = reply.wrong_fields().into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["subdomain", "admin_email", "company_name", "adminEmail"]);
    assert!(
        reply.text().contains("perhaps \\\"admin_email\\\" is meant"),
        "{}",
        reply.text()
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_json_object_is_told_so() {
    let site = Site::new().await;
    let cases: [(&[u8], &str); 9] = [
        (b"", "missing"),
        (b"{", "line 1"),
        (b"not json", "line 1"),
        (b"[1, 2]", "not a JSON object"),
        (b"\"text\"", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"\xff\xfe", "not JSON"),
        (b"{\"subdomain\": \"acme\"} trailing", "line 1"),
        (b"{\"subdomain\": \"\\ud800\"}", "line 1"),
    ];
    for (body, part) in cases {
        let ask = site.post("/provision").header("content-type", "application/json");
        let reply = ask.body(Body::from(body.to_vec())).send().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "request.invalid"),
            "{part}"
        );
        assert!(reply.text().contains(part), "{part}: {}", reply.text());
    }
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let ask = site.post("/provision").header("content-type", "application/json");
    assert_eq!(ask.body(deep).send().await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_marked_as_json_is_not_read() {
    let site = Site::new().await;
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
        "",
    ] {
        let ask = site.post("/provision").header("content-type", media);
        let reply = ask.body(sign_up("acme").to_string()).send().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (415, "request.invalid"),
            "{media}"
        );
    }
    let unmarked = site.post("/provision").body(sign_up("acme").to_string()).send().await;
    assert_eq!(unmarked.status, 415);
    let marked = site
        .post("/provision")
        .header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(marked.body(sign_up("acme").to_string()).send().await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_not_read_to_its_end() {
    let site = Site::new().await;
    let large = json!({"subdomain": "acme", "company_name": "x".repeat(64 * 1024)}).to_string();
    let whole = site
        .post("/provision")
        .header("content-type", "application/json")
        .body(large.clone());
    let announced = site
        .post("/provision")
        .header("content-type", "application/json")
        .header("content-length", "10000000000");
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(" ".repeat(1024)));
    let streamed = site
        .post("/provision")
        .header("content-type", "application/json")
        .body(Body::from_stream(endless));
    for ask in [whole, announced, streamed] {
        let reply = ask.send().await;
        assert_eq!((reply.status, reply.code().as_str()), (413, "request.too_large"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_waited_for_so_long() {
    let site = Site::new().await;
    let never = futures::stream::pending::<Result<String, std::io::Error>>();
    let ask = site.post("/provision").header("content-type", "application/json");
    let reply = ask.body(Body::from_stream(never)).send().await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "request.invalid"));
    let broken = futures::stream::iter([Ok("{"), Err(std::io::Error::other("reset"))]);
    let ask = site.post("/provision").header("content-type", "application/json");
    assert_eq!(ask.body(Body::from_stream(broken)).send().await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn each_bad_key_is_refused() {
    let site = Site::new().await;
    let long = "k".repeat(256);
    for key in ["", " ", "a b", long.as_str(), "schlüssel"] {
        let ask = site
            .post("/provision")
            .json(&sign_up("acme"))
            .header("idempotency-key", key);
        let reply = ask.send().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "request.invalid"),
            "{key:.20?}"
        );
    }
    let twice = site
        .post("/provision")
        .json(&sign_up("acme"))
        .header("idempotency-key", "a")
        .header("idempotency-key", "b");
    assert_eq!(twice.send().await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn html_from_users_is_text_on_every_page() {
    let site = Site::new().await;
    let company = "<script>alert(1)</script> & \"Söhne\"";
    let mut body = sign_up("acme");
    body["company_name"] = company.into();
    let reply = site.post("/provision").json(&body).send().await;
    let path = reply.header("location").to_owned();
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    site.sim.until(&id, "ready").await;
    let form = site.post("/signup").browser().form(&[
        ("subdomain", "\"><img src=x>"),
        ("admin_email", "\"'><b>"),
        ("company_name", company),
    ]);
    let pages = [
        site.get(&path).browser().send().await,
        site.get("/console").browser().admin().send().await,
        site.get("/?subdomain=%22%3E%3Cimg%20src%3Dx%3E&company_name=%3Cscript%3E")
            .browser()
            .send()
            .await,
        form.send().await,
        site.get("/%3Cscript%3Ealert(1)%3C%2Fscript%3E").browser().send().await,
        site.get("/provision/%3Cscript%3E").browser().send().await,
    ];
    for page in pages {
        let text = page.text();
        assert_eq!(page.media(), "text/html");
        for raw in ["<script>", "<img src=x", "'><b>"] {
            assert!(!text.contains(raw), "{raw} in {text}");
        }
    }
}
