//! Who may ask for what: each operation is asked for as each kind of caller, and what it answers is held against the list in
//! `docs/access.md`; the list is held against the router, and against what is written here, so that none becomes public by a slip.

use axum::http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

use crate::{
    console,
    document::{Document, Operation},
    password,
    site::{Ask, ORIGIN, Plan, Site},
    webhooks,
};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/access.md");

/// What is not for the operator alone. Everything else is.
const PUBLIC: &[(&str, &str)] = &[
    ("asset", "anybody"),
    ("check_name", "anybody"),
    ("choose_name", "the bearer of the choice link"),
    ("choose_page", "the bearer of the choice link"),
    ("explain_error", "anybody"),
    ("health", "anybody"),
    ("login", "anybody"),
    ("login_page", "anybody"),
    ("logout", "anybody"),
    ("openapi", "anybody"),
    ("password_page", "the bearer of the password link"),
    ("provision", "anybody"),
    ("readiness", "anybody"),
    ("reveal_password", "the bearer of the password link"),
    ("signup_form", "anybody"),
    ("signup_page", "anybody"),
    ("status", "the bearer of the status link"),
    ("status_events", "the bearer of the status link"),
    ("webhook", "who signs with the webhook's secret"),
];

/// A line of the list.
#[derive(Debug)]
struct Row {
    method: Method,
    path: String,
    id: String,
    /// Anybody, status link, password link, choice link, signed webhook, foreign page, console, admin token.
    may: [bool; 8],
}

/// The list as it is committed.
fn list() -> Vec<Row> {
    let text = std::fs::read_to_string(COMMITTED).expect("docs/access.md");
    let rows: Vec<Row> = text.lines().filter_map(row).collect();
    assert!(rows.len() > 20, "{rows:?}");
    rows
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
    let [what, id, may @ ..] = cells.as_slice() else {
        return None;
    };
    let (method, path) = what.trim_end_matches('`').split_once(' ')?;
    let may: Vec<bool> = may[..8].iter().map(|cell| *cell == "yes").collect();
    Some(Row {
        method: method.parse().expect("a method"),
        path: path.to_owned(),
        id: id.trim_matches('`').to_owned(),
        may: may.try_into().expect("eight columns"),
    })
}

fn ask(site: &Site, operation: &Operation<'_>, word: &str) -> Ask {
    let ask = site.ask(operation.method(), &operation.path_with(word));
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
fn the_committed_list_is_the_one_that_the_router_is_made_from() {
    let generated = wharf_http::access();
    if std::env::var_os("WHARF_BLESS").is_some() {
        std::fs::write(COMMITTED, &generated).expect("docs/access.md is written");
        return;
    }
    let committed = std::fs::read_to_string(COMMITTED).expect("docs/access.md");
    assert!(
        committed == generated,
        "docs/access.md is not what the code says: run this test with WHARF_BLESS=1, and look at the difference"
    );
}

#[test]
fn what_is_public_is_known() {
    let document = Document::read();
    let public: Vec<(&str, &str)> = {
        let operations = document.operations();
        let mut public: Vec<_> = operations
            .iter()
            .filter(|operation| operation.needs_admin() != Some(true))
            .map(|operation| {
                let callers = operation.described["x-callers"].as_array().expect("callers");
                let [caller] = callers.as_slice() else {
                    panic!("{callers:?}")
                };
                (
                    operation.described["operationId"].as_str().expect("an id"),
                    caller.as_str().expect("a text"),
                )
            })
            .collect();
        public.sort_unstable();
        public
    };
    assert_eq!(public, PUBLIC);
}

#[tokio::test(start_paused = true)]
async fn the_list_has_every_operation_of_the_router_and_no_other() {
    let document = Document::read();
    let listed: BTreeSet<(String, String)> = list()
        .into_iter()
        .map(|row| (format!("{} {}", row.method, row.path), row.id))
        .collect();
    let documented: BTreeSet<(String, String)> = document
        .operations()
        .iter()
        .map(|operation| {
            (
                format!("{} {}", operation.method(), operation.path),
                operation.id().to_owned(),
            )
        })
        .collect();
    assert_eq!(listed, documented);
    // What the router takes is what the list has, method by method.
    let site = Site::new().await;
    let rows = list();
    for row in &rows {
        let path = row
            .path
            .split('/')
            .map(|part| if part.starts_with('{') { "nobody" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND"] {
            let method: Method = method.parse().expect("a method");
            let is_listed = rows
                .iter()
                .any(|other| other.path == row.path && other.method == method);
            if !is_listed {
                let reply = site.ask(method.clone(), &path).admin().send().await;
                assert_eq!(
                    (reply.status, reply.code().as_str()),
                    (405, "request.method"),
                    "{method} {path}"
                );
            }
        }
    }
}

/// Who asks, in the order of the list's columns.
const CALLERS: [&str; 8] = [
    "anybody",
    "status link",
    "password link",
    "choice link",
    "signed webhook",
    "foreign page",
    "console",
    "admin token",
];

/// Asks as one of the callers, on a site of its own with a tenant that is ready: what one asks for, another would find.
async fn as_caller(caller: &str, operation: &Operation<'_>) -> (u16, String) {
    let site = Site::with(Plan::default(), |_, settings| webhooks::senders(settings)).await;
    let (status, password) = links(&site).await;
    let choice = choice(&site).await;
    let to = |word: &str| ask(&site, operation, word);
    let is_token = operation.path.contains("{token}");
    let nobody = if is_token { "7dn3m0w9x4k2v8c1t5s6r7q8pz" } else { "acme" };
    let reply = match caller {
        "anybody" => to(nobody).send().await,
        // The token in its place; where it has none, as if it were a credential, which it is not.
        "status link" if is_token => to(&status).send().await,
        "password link" if is_token => to(&password).send().await,
        "choice link" if is_token => to(&choice).send().await,
        "signed webhook" if operation.id() == "webhook" => {
            let (_, body) = operation.example().expect("an example");
            webhooks::by_another(&site, &operation.path_with("acme"), "msg_2", &body.to_string())
                .send()
                .await
        }
        "signed webhook" => to(nobody).header("webhook-id", "msg_2").send().await,
        "choice link" => to(nobody).header("x-token", &choice).send().await,
        "status link" | "password link" => to(nobody).header("x-token", &status).send().await,
        "foreign page" => {
            let cookie = console::log_in(&site).await;
            // What a page can make a browser send: a simple request, with the cookie if the browser sent it.
            let ask = if operation.method() == Method::GET {
                to(nobody)
            } else {
                to(nobody).header("cookie", &cookie)
            };
            ask.header("origin", "http://acme.localhost:8080")
                .header("sec-fetch-site", "cross-site")
                .send()
                .await
        }
        "console" => {
            let cookie = console::log_in(&site).await;
            let ask = to(nobody).header("cookie", &cookie).header("origin", ORIGIN);
            // As the console's own script sends what has no body.
            let bare = operation.method() != Method::GET && operation.example().is_none();
            let ask = if bare {
                ask.header("content-type", "application/json")
            } else {
                ask
            };
            ask.send().await
        }
        "admin token" => to(nobody).admin().send().await,
        other => panic!("{other}"),
    };
    let allows = reply
        .headers
        .keys()
        .any(|name| name.as_str().starts_with("access-control-"));
    assert!(!allows, "{}: no other origin may read an answer", operation.id());
    let code = if reply.media() == "application/problem+json" {
        reply.code()
    } else {
        String::new()
    };
    (reply.status, code)
}

/// The tokens of a ready tenant's links: its status, and its first password.
async fn links(site: &Site) -> (String, String) {
    let password = password::link(site).await;
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    let status = site.sim.wharf().status_token(&id).reveal().to_owned();
    (status, password.rsplit('/').next().expect("a token").to_owned())
}

/// The token of a link to choose a name: somebody has paid for the one that acme has.
async fn choice(site: &Site) -> String {
    let event = json!({
        "type": "tenant.provision",
        "data": {"subdomain": "acme", "company_name": "Other", "admin_email": "eve@other.example", "contract": "other"}
    });
    let asked = webhooks::by_another(site, "/webhooks/acme", "msg_1", &event.to_string());
    assert_eq!(asked.send().await.status, 200);
    webhooks::choice_token(site).await
}

#[tokio::test(start_paused = true)]
async fn every_caller_is_answered_as_the_list_says() {
    let document = Document::read();
    let rows = list();
    for operation in document.operations() {
        let row = rows.iter().find(|row| row.id == operation.id()).expect("listed");
        for (caller, may) in CALLERS.into_iter().zip(row.may) {
            let (status, code) = as_caller(caller, &operation).await;
            // A handler may say for reasons of its own that something is not there: that is no refusal of the caller.
            let is_link = operation.path.contains("{token}");
            let refused = matches!(
                code.as_str(),
                "auth.missing" | "auth.denied" | "origin.refused" | "webhook.signature"
            ) || (is_link && matches!(status, 404 | 410));
            // The document's example of a login has a token that is none.
            let refused = refused && !(operation.id() == "login" && code == "auth.denied");
            assert_eq!(!refused, may, "{} as {caller}: {status} {code}", operation.id());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_opens_what_it_is_for_and_nothing_else() {
    let site = Site::new().await;
    let (status, password) = links(&site).await;
    assert_ne!(status, password);
    for path in [
        format!("/provision/{password}"),
        format!("/provision/{password}/events"),
    ] {
        assert_eq!(site.get(&path).send().await.status, 404, "{path}");
    }
    for ask in [
        site.get(&format!("/password/{status}")),
        site.post(&format!("/password/{status}")),
    ] {
        assert_eq!(ask.send().await.status, 410);
    }
    for token in [&status, &password] {
        for path in ["/instances", "/instances/acme", "/metrics", "/console"] {
            let bearer = site.get(path).bearer(token).send().await;
            assert_eq!((bearer.status, bearer.code().as_str()), (403, "auth.denied"), "{path}");
        }
        let cookie = site
            .get("/instances")
            .header("cookie", &format!("wharf_session={token}"));
        assert_eq!(cookie.send().await.status, 401);
        let by_id = site.delete(&format!("/instances/{token}")).bearer(token).send().await;
        assert_eq!(by_id.status, 403);
    }
    assert_eq!(site.get(&format!("/provision/{status}")).send().await.status, 200);
    assert_eq!(site.get(&format!("/password/{password}")).send().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn every_operation_asks_for_the_credentials_that_the_document_names() {
    let document = Document::read();
    for operation in document.operations() {
        // Each on a site of its own: what one asks for, another would find.
        let site = Site::new().await;
        let nobody = ask(&site, &operation, "nobody").send().await;
        let site = Site::new().await;
        let wrong = ask(&site, &operation, "nobody").bearer("wharf_wrong").send().await;
        let site = Site::new().await;
        let admin = ask(&site, &operation, "nobody").admin().send().await;
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
            let reply = ask(&site, &operation, "nobody")
                .admin()
                .header("origin", origin)
                .send()
                .await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (403, "origin.refused"),
                "{} from {origin}",
                operation.id()
            );
        }
        let site = Site::new().await;
        let own = ask(&site, &operation, "nobody")
            .admin()
            .header("origin", ORIGIN)
            .send()
            .await;
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
