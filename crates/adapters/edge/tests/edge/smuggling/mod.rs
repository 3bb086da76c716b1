//! Request smuggling: inputs that two programs could read differently. Each known way of it is a row: either the edge refuses it and
//! closes, or it arrives at a strict backend as exactly the requests that the row says. Behind every row stands a request that must
//! never be taken for one.

mod framing;
mod lines;

use super::support::{
    backend::{Server, text},
    client::Client,
    strict::Strict,
    *,
};
use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What comes of a row.
#[derive(Debug)]
enum Outcome {
    /// This status, the connection closed, and nothing reached the backend.
    Refused(u16),
    /// No good answer, the connection closed, and nothing whole reached the backend: it went wrong in the middle of the body.
    CutOff,
    /// Answered by somebody else, and nothing reached the backend.
    Elsewhere(u16),
    /// Exactly these requests reached the backend: method, target and body.
    Arrives(&'static [(&'static str, &'static str)]),
}
use Outcome::{Arrives, CutOff, Elsewhere, Refused};

/// What an attacker wants to be taken for a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";

/// Sends a row as it is, and holds what came of it against the outcome.
async fn check(name: &str, request: &[u8], outcome: &Outcome) {
    let edge = edge_with(|config| config.cores = std::num::NonZeroUsize::new(1));
    let strict = Strict::start().await;
    serve(&edge, backend(&owner(1, 1), host("acme"), strict.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client.try_send(request).await;
    let answers = match outcome {
        Refused(_) | CutOff => client.rest().await,
        Elsewhere(_) | Arrives(_) => {
            let count = if let Arrives(expected) = outcome {
                expected.len()
            } else {
                1
            };
            let mut statuses = String::new();
            for _ in 0..count {
                let answer = client.answer(false).await;
                write!(statuses, "HTTP/1.1 {} ", answer.status).unwrap();
            }
            client
                .try_send("GET /behind HTTP/1.1\r\nHost: nobody.localhost\r\nConnection: close\r\n\r\n")
                .await;
            statuses + &client.rest().await
        }
    };
    let arrived = strict.arrived();
    for request in &arrived {
        assert_eq!(request.fault, None, "{name}: {arrived:#?}");
    }
    let arrived: Vec<(&str, &str)> = arrived
        .iter()
        .map(|arrived| (arrived.what.as_str(), arrived.body.as_str()))
        .collect();
    let good = answers.matches("HTTP/1.1 200 ").count();
    match outcome {
        Refused(status) => {
            assert_eq!(
                answers.split(' ').nth(1),
                Some(status.to_string().as_str()),
                "{name}: {answers}"
            );
            assert_eq!(
                (answers.matches("HTTP/1.").count(), arrived.len()),
                (1, 0),
                "{name}: {answers}\n{arrived:?}"
            );
        }
        CutOff => assert_eq!((good, arrived.len()), (0, 0), "{name}: {answers}\n{arrived:?}"),
        Elsewhere(status) => {
            assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answers}");
            assert_eq!((good, arrived.len()), (0, 0), "{name}: {answers}\n{arrived:?}");
        }
        Arrives(expected) => {
            assert_eq!(arrived, *expected, "{name}: {answers}");
            assert_eq!(good, expected.len(), "{name}: {answers}");
        }
    }
}

/// A POST with these further lines and this body.
fn post(lines: &str, body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: acme.localhost\r\n{lines}\r\n\r\n{body}").into_bytes()
}

/// The same with a chunked body.
fn chunked(body: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked", body)
}

/// A GET with these further lines.
fn get_with(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: acme.localhost\r\n{lines}\r\n\r\n").into_bytes()
}

async fn check_all(rows: Vec<(&str, Vec<u8>, Outcome)>) {
    let mut wrong = Vec::new();
    for (name, request, outcome) in rows {
        // All rows are told of that are wrong, not the first alone.
        let row = name.to_owned();
        let checked = tokio::spawn(async move { check(&row, &request, &outcome).await }).await;
        if checked.is_err() {
            wrong.push(name.to_owned());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// An edge with one backend that counts the requests that reach it, health checks aside.
async fn counted() -> (wharf_edge::Edge, Server, Arc<AtomicUsize>) {
    let edge = edge();
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    let server = Server::start(move |request| {
        if request.uri().path() != "/healthz" {
            counting.fetch_add(1, Ordering::SeqCst);
        }
        Box::pin(async move {
            use http_body_util::BodyExt;
            let body = request.into_body().collect().await.unwrap().to_bytes();
            text(String::from_utf8_lossy(&body).into_owned())
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    (edge, server, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_the_body_does_not_make_the_body_a_request() {
    let length = SMUGGLED.len();
    let to = |host: &str, lines: &str| {
        format!("POST /x HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: {length}\r\n\r\n{SMUGGLED}").into_bytes()
    };
    check_all(vec![
        ("a tenant that is not there", to("nobody.localhost", ""), Elsewhere(404)),
        (
            "the same, and it waits",
            to("nobody.localhost", "Expect: 100-continue\r\n"),
            Elsewhere(404),
        ),
        ("a host that is not here", to("evil.example", ""), Elsewhere(421)),
        (
            "a method that is not served",
            [b"TRACE".as_slice(), &to("acme.localhost", "")[4..]].concat(),
            Elsewhere(405),
        ),
        (
            "an expectation that nobody knows",
            to("acme.localhost", "Expect: 100-continued\r\n"),
            Arrives(&[("POST /x", SMUGGLED)]),
        ),
        (
            "an expectation in other words",
            to("acme.localhost", "Expect: x 100-continue\r\n"),
            Arrives(&[("POST /x", SMUGGLED)]),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_protocol_opens_no_way_past_the_edge() {
    let then = "GET /next HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
    let both: &[(&str, &str)] = &[("GET /", ""), ("GET /next", "")];
    let rows = [
        (
            "h2c",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        ),
        ("h2c in capitals", "Connection: upgrade\r\nUpgrade: H2C"),
        ("h2c in a list", "Connection: Upgrade\r\nUpgrade: websocket, h2c"),
        ("TLS", "Connection: Upgrade\r\nUpgrade: TLS/1.0"),
        ("another HTTP", "Connection: Upgrade\r\nUpgrade: HTTP/2.0"),
        ("one that Connection does not name", "Upgrade: websocket"),
        (
            "one that the backend does not take",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
        ),
    ];
    for (name, lines) in rows {
        check(name, &[get_with(lines), then.into()].concat(), &Outcome::Arrives(both)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_requests_on_one_connection_goes_to_its_own_tenant() {
    let edge = edge();
    let (acme, other) = (Strict::start().await, Strict::start().await);
    serve(&edge, backend(&owner(1, 1), host("acme"), acme.address)).await;
    serve(&edge, backend(&owner(2, 1), host("other"), other.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    let mut all = String::new();
    for number in 0..20 {
        let host = ["acme", "other"][number % 2];
        let body = ["", "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: acme.localhost\r\n\r\n"][number / 2 % 2];
        write!(
            all,
            "PUT /{number} HTTP/1.1\r\nHost: {host}.localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
    }
    client.send(&all).await;
    for _ in 0..20 {
        assert_eq!(client.answer(false).await.status, 200);
    }
    let whats = |strict: &Strict| -> Vec<String> { strict.arrived().into_iter().map(|arrived| arrived.what).collect() };
    let even: Vec<String> = (0..20).step_by(2).map(|number| format!("PUT /{number}")).collect();
    let odd: Vec<String> = (1..20).step_by(2).map(|number| format!("PUT /{number}")).collect();
    assert_eq!((whats(&acme), whats(&other)), (even, odd));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gets_the_body_of_a_get_is_not_asked_anything_else_on_that_connection() {
    let edge = edge_with(|config| config.cores = std::num::NonZeroUsize::new(1));
    let strict = Strict::start().await;
    serve(&edge, backend(&owner(1, 1), host("acme"), strict.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    for request in [
        "GET /1 HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 1\r\n\r\nx",
        "GET /2 HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
        "POST /3 HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 1\r\n\r\nx",
        "GET /4 HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
    ] {
        assert_eq!(client.ask(request).await.status, 200, "{request}");
    }
    let connections: Vec<usize> = strict.arrived().iter().map(|arrived| arrived.connection).collect();
    let [first, second, third, fourth] = connections.as_slice() else {
        panic!("{connections:?}");
    };
    assert_ne!(
        first, second,
        "a server that takes a GET's body for a request answers the next visitor with it"
    );
    assert!(second == third && third == fourth, "{connections:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let (edge, _server, count) = counted().await;
    let mut client = Client::connect(edge.local_addr()).await;
    let mut all = String::new();
    for number in 0..20 {
        let body = format!("body {number}");
        let request = if number % 2 == 0 {
            format!(
                "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        } else {
            format!(
                "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            )
        };
        all.push_str(&request);
    }
    client.send(&all).await;
    for number in 0..20 {
        let answer = client.answer(false).await;
        assert_eq!((answer.status, answer.body), (200, format!("body {number}")));
    }
    assert_eq!(count.load(Ordering::SeqCst), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_tells_two_lengths_reaches_the_client_with_one() {
    let edge = edge();
    let both = Server::script(
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    );
    let both = both.await;
    serve(&edge, backend(&owner(1, 1), host("both"), both.address)).await;
    let answer = get(&edge, "both.localhost", "/").await;
    assert_eq!((answer.body.as_str(), answer.header("content-length")), ("hi", ""));
    let twice = Server::script(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi").await;
    serve(&edge, backend(&owner(2, 1), host("twice"), twice.address)).await;
    let answer = get(&edge, "twice.localhost", "/").await;
    assert_eq!((answer.body.as_str(), answer.header("content-length")), ("hi", "2"));
}
