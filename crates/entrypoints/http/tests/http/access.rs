//! Who may ask for what: generated from the document, so that no operation is forgotten, and held against a list, so that none
//! becomes public by a slip.

use axum::http::Method;
use serde_json::Value;

use crate::{
    document::{Document, Operation},
    site::{Ask, ORIGIN, Plan, Site},
};

/// All that anybody may ask for.
const PUBLIC: &[&str] = &[
    "asset",
    "check_name",
    "explain_error",
    "health",
    "login",
    "login_page",
    "logout",
    "openapi",
    "password_page",
    "provision",
    "readiness",
    "reveal_password",
    "signup_form",
    "signup_page",
    "status",
    "status_events",
];

fn ask(site: &Site, operation: &Operation<'_>) -> Ask {
    let ask = site.ask(operation.method(), &operation.path_with("nobody"));
    match operation.example() {
        Some((media, body)) if media == "application/json" => ask.json(&body),
        Some((_, Value::Object(fields))) => {
            let pairs: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().expect("a text")))
                .collect();
            ask.form(&pairs)
        }
        _ => ask,
    }
}

#[test]
fn what_is_public_is_known() {
    let document = Document::read();
    let mut public: Vec<&str> = Vec::new();
    let operations = document.operations();
    for operation in &operations {
        if operation.needs_admin() != Some(true) {
            public.push(operation.id());
        }
    }
    public.sort_unstable();
    assert_eq!(public, PUBLIC);
}

#[tokio::test(start_paused = true)]
async fn every_operation_asks_for_the_credentials_that_the_document_names() {
    let document = Document::read();
    for operation in document.operations() {
        // Each on a site of its own: what one asks for, another would find.
        let site = Site::new().await;
        let nobody = ask(&site, &operation).send().await;
        let site = Site::new().await;
        let wrong = ask(&site, &operation).bearer("wharf_wrong").send().await;
        let site = Site::new().await;
        let admin = ask(&site, &operation).admin().send().await;
        let statuses = (nobody.status, wrong.status, admin.status);
        match operation.needs_admin() {
            None => assert!(
                nobody.status == wrong.status && wrong.status == admin.status,
                "{}: credentials make a difference: {statuses:?}",
                operation.id()
            ),
            Some(false) => {
                assert!(
                    nobody.status == admin.status && !matches!(nobody.status, 401 | 403),
                    "{}: {statuses:?}",
                    operation.id()
                );
                assert_eq!(
                    (wrong.status, wrong.code().as_str()),
                    (403, "auth.denied"),
                    "{}",
                    operation.id()
                );
            }
            Some(true) => {
                assert_eq!(
                    (nobody.status, nobody.code().as_str()),
                    (401, "auth.missing"),
                    "{}",
                    operation.id()
                );
                assert!(nobody.header("www-authenticate").starts_with("Bearer"));
                assert_eq!(
                    (wrong.status, wrong.code().as_str()),
                    (403, "auth.denied"),
                    "{}",
                    operation.id()
                );
                assert!(!matches!(admin.status, 401 | 403), "{}: {statuses:?}", operation.id());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_none_are_refused() {
    let site = Site::new().await;
    for value in ["Basic d2hhcmY6", "Bearer", "wharf_0123456789abcdef0123456789abcdef"] {
        let reply = site.get("/instances").header("authorization", value).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "auth.missing"), "{value}");
    }
    for token in [
        "",
        "wharf_0123456789abcdef0123456789abcde",
        "wharf_0123456789abcdef0123456789abcdeff",
    ] {
        let reply = site.get("/instances").bearer(token).send().await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "auth.denied"), "{token}");
    }
    let twice = site.get("/instances").admin().admin().send().await;
    assert_eq!((twice.status, twice.code().as_str()), (400, "request.invalid"));
    let lower = site
        .get("/instances")
        .header("authorization", &format!("bearer  {}", crate::site::TOKEN));
    assert_eq!(lower.send().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn no_change_is_taken_from_a_foreign_page() {
    let document = Document::read();
    for operation in document.operations() {
        if operation.method() == Method::GET {
            continue;
        }
        for origin in ["https://evil.example", "http://acme.localhost:8080", "null"] {
            let site = Site::new().await;
            let reply = ask(&site, &operation).admin().header("origin", origin).send().await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (403, "origin.refused"),
                "{} from {origin}",
                operation.id()
            );
        }
        let site = Site::new().await;
        let own = ask(&site, &operation).admin().header("origin", ORIGIN).send().await;
        assert!(
            own.status != 403 || own.code() != "origin.refused",
            "{}",
            operation.id()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_anywhere_else() {
    let site = Site::new().await;
    for path in ["/nothing", "/instances/a/b/c", "/provision/", "//", "/assets/app.js"] {
        let reply = site.get(path).send().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (404, "request.not_found"),
            "{path}"
        );
    }
    let page = site.get("/nothing").browser().send().await;
    assert_eq!((page.status, page.media()), (404, "text/html"));
    assert!(page.text().contains("There is nothing here"));
    let broken = site.get("/names/%ff%fe").send().await;
    assert_eq!((broken.status, broken.code().as_str()), (404, "request.not_found"));
}

#[tokio::test(start_paused = true)]
async fn other_methods_are_told_which_there_are() {
    let site = Site::new().await;
    let reply = site.ask(Method::PUT, "/provision").send().await;
    assert_eq!((reply.status, reply.code().as_str()), (405, "request.method"));
    assert_eq!(reply.header("allow"), "POST");
    let options = site.ask(Method::OPTIONS, "/instances/x").send().await;
    assert_eq!((options.status, options.body.len()), (204, 0));
    assert_eq!(options.header("allow"), "GET,HEAD,DELETE");
    let head = site.ask(Method::HEAD, "/healthz").send().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    // A head opens no stream that nobody reads.
    let path = site.ready("acme").await;
    let head = site.ask(Method::HEAD, &format!("{path}/events")).send().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn a_defect_is_a_problem_and_not_the_end() {
    let plan = Plan {
        panics: true,
        ..Plan::default()
    };
    let site = Site::with(plan, |_, _| {}).await;
    for _ in 0..2 {
        let reply = site.get("/readyz").send().await;
        assert_eq!((reply.status, reply.code().as_str()), (500, "internal"));
        assert!(!reply.text().contains("SECRET-PLACE"));
    }
    let page = site.get("/readyz").browser().send().await;
    assert_eq!((page.status, page.media()), (500, "text/html"));
    assert_eq!(site.get("/healthz").send().await.status, 200);
}
