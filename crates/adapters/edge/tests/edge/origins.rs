//! Which host leads where, and what is said where it leads nowhere.

use super::support::{
    backend::{Server, mirror, named},
    client::Client,
    *,
};
use std::time::Duration;
use wharf_platform::Standing;

const JSON: &str = "Accept: application/json\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn console_tenants_and_services_are_told_apart_by_host() {
    let edge = edge();
    let (acme, auth) = (named("acme").await, named("auth").await);
    serve(&edge, backend(&owner(1, 1), host("acme"), acme.address)).await;
    serve(&edge, backend(&owner(2, 1), prefix("/api/auth"), auth.address)).await;
    let port = edge.local_addr().port();
    for (host, path, body) in [
        ("localhost", "/x", "control /x for 127.0.0.1"),
        (&format!("127.0.0.1:{port}"), "/", "control / for 127.0.0.1"),
        ("acme.localhost", "/", "acme"),
        (&format!("ACME.localhost:{port}"), "/any/path?and=query", "acme"),
        ("services.localhost", "/api/auth/login", "auth"),
        ("services.localhost", "/api/auth", "auth"),
    ] {
        let answer = get(&edge, host, path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{host}{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_nowhere_is_told_as_a_page_and_as_json() {
    let edge = edge_with(|config| hold(config, Duration::from_millis(10)));
    for (name, standing) in [
        ("stopped", Standing::Stopped),
        ("down", Standing::Down),
        ("starting", Standing::Starting),
        ("waiting", Standing::Queued),
    ] {
        wharf_platform::Routes::announce(&edge, &owner(name.len() as u8, 1).instance, &host(name), standing);
    }
    for (name, status, code, words) in [
        ("nobody.localhost", 404, "instance.unknown", "nobody.localhost"),
        ("services.localhost", 404, "request.not_found", "No service"),
        ("example.com", 421, "host.unknown", "not served here"),
        ("a.b.localhost", 421, "host.unknown", "not served here"),
        ("stopped.localhost", 503, "instance.state", "stopped"),
        ("down.localhost", 503, "instance.state", "out of service"),
        ("starting.localhost", 503, "instance.state", "starting"),
        ("waiting.localhost", 503, "instance.state", "no room"),
    ] {
        let page = get(&edge, name, "/").await;
        assert_eq!(page.status, status, "{name}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{name}");
        assert_eq!(page.header("cache-control"), "no-store", "{name}");
        assert!(page.body.contains(words), "{name}: {}", page.body);
        assert_eq!(page.headers.contains_key("retry-after"), status == 503, "{name}");
        assert_eq!(
            page.headers.contains_key("refresh"),
            ["starting.localhost", "waiting.localhost"].contains(&name),
            "{name}"
        );
        let mut client = Client::connect(edge.local_addr()).await;
        let problem = client
            .ask(&format!("GET / HTTP/1.1\r\nHost: {name}\r\n{JSON}\r\n"))
            .await;
        assert_eq!(problem.header("content-type"), "application/problem+json", "{name}");
        assert_eq!(
            (problem.status, &problem.json()["code"]),
            (status, &code.into()),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_none_is_a_400() {
    let edge = edge();
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost:x\r\n",
        "GET / HTTP/1.1\r\nHost: acme.localhost\r\nHost: acme.localhost\r\n",
        "GET / HTTP/1.1\r\nHost: user@acme.localhost\r\n",
        "GET http://other.localhost/ HTTP/1.1\r\nHost: acme.localhost\r\n",
        "GET / HTTP/1.0\r\n",
    ] {
        let mut client = Client::connect(edge.local_addr()).await;
        let answer = client.ask(&format!("{head}{JSON}\r\n")).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (400, &"request.invalid".into()),
            "{head}"
        );
        assert!(client.is_closed().await, "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absolute_target_is_passed_on_as_a_path() {
    let edge = edge();
    let mirror = mirrored(&edge).await;
    let mut client = Client::connect(edge.local_addr()).await;
    let answer = client
        .ask("GET http://acme.localhost/a?b=c HTTP/1.1\r\nHost: acme.localhost\r\n\r\n")
        .await;
    assert!(answer.body.starts_with("GET /a?b=c\n"), "{}", answer.body);
    drop(mirror);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_gets_the_head_alone() {
    let edge = edge();
    let acme = named("acme").await;
    serve(&edge, backend(&owner(1, 1), host("acme"), acme.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    let answer = client.ask("HEAD / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("content-length")), (200, "4"));
    let answer = client.ask("HEAD / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n").await;
    assert_eq!(answer.status, 404);
    let answer = client.ask("GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await;
    assert_eq!(answer.body, "acme", "the connection goes on where it was");
}

async fn mirrored(edge: &wharf_edge::Edge) -> Server {
    let mirror = mirror().await;
    serve(edge, backend(&owner(1, 1), host("acme"), mirror.address)).await;
    mirror
}
