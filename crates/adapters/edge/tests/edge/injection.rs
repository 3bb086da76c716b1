//! Headers that would make a tenant, a visitor or Wharf itself believe something: what a visitor sends, as it arrives at a strict
//! backend; what a tenant answers, as it arrives at the visitor.

use super::support::{
    backend::Server,
    client::{Answer, Client},
    strict::Strict,
    *,
};
use http::HeaderName;
use wharf_edge::Edge;

/// The headers that arrive at the backend when a visitor sends these lines, without those that every request has.
async fn arriving(lines: &str) -> Vec<String> {
    let edge = edge();
    let strict = Strict::start().await;
    serve(&edge, backend(&owner(1, 1), host("acme"), strict.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    let answer = client
        .ask(&format!("GET / HTTP/1.1\r\nHost: acme.localhost\r\n{lines}\r\n\r\n"))
        .await;
    assert_eq!(answer.status, 200, "{lines}");
    let arrived = strict.arrived().remove(0);
    assert_eq!(arrived.fault, None, "{lines}");
    for (name, value) in [
        ("host", "acme.localhost"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "acme.localhost"),
        ("forwarded", "for=127.0.0.1;host=\"acme.localhost\";proto=http"),
    ] {
        assert_eq!(arrived.header(name), Some(value), "{lines}");
    }
    let ours = [
        "host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "forwarded",
    ];
    let mut rest: Vec<String> = arrived.headers;
    for name in ours {
        let at = rest
            .iter()
            .position(|line| line.starts_with(&format!("{name}: ")))
            .unwrap();
        rest.remove(at);
    }
    rest.sort();
    rest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_claims_nothing_for_itself() {
    for name in [
        "X-Forwarded-For",
        "X-FORWARDED-FOR",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded-Prefix",
        "X-Forwarded-Path",
        "X-Forwarded-Uri",
        "X-Forwarded-Scheme",
        "X-Forwarded-Ssl",
        "X-Forwarded-By",
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Forwarded-Groups",
        "X-Forwarded-Client-Cert",
        "X-Forwarded",
        "Forwarded",
        "X-Real-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Fastly-Client-IP",
        "X-Original-Forwarded-For",
        "X-Original-URL",
        "X-Original-Host",
        "X-Rewrite-URL",
        "X-URL-Scheme",
        "Front-End-Https",
        "X-Amzn-Oidc-Identity",
        "X-Amzn-Oidc-Data",
        "X-Amzn-Mtls-Clientcert-Subject",
        // Many programs cannot tell these from the ones above.
        "X_Forwarded_For",
        "X-Forwarded_For",
        "x_forwarded-for",
        "X_Real_IP",
        "X_Original_URL",
        "X_Amzn_Oidc_Data",
    ] {
        let none: [&str; 0] = [];
        assert_eq!(arriving(&format!("{name}: 6.6.6.6")).await, none, "{name}");
        assert_eq!(
            arriving(&format!("{name}: 6.6.6.6\r\n{name}: 7.7.7.7")).await,
            none,
            "{name} twice"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_this_hop_alone_goes_no_further() {
    for (sent, arrives) in [
        ("Connection: close", &[][..]),
        ("Connection: X-Hop\r\nX-Hop: 1\r\nX-Stays: 1", &["x-stays: 1"]),
        ("Connection: x-hop,, X-HOP ,\"x\"\r\nX-Hop: 1", &[]),
        (
            "Connection: X-Hop\r\nConnection: X-Other\r\nX-Hop: 1\r\nX-Other: 1",
            &[],
        ),
        // What the edge says itself, what frames the message and what addresses it is nobody's to take away.
        (
            "Connection: X-Forwarded-For, Forwarded, X-Forwarded-Host, X-Forwarded-Proto, Host",
            &[],
        ),
        ("Connection: Cookie\r\nCookie: cart=1", &[]),
        ("Connection: Authorization\r\nAuthorization: Bearer theirs", &[]),
        ("Keep-Alive: timeout=9", &[]),
        ("Proxy-Connection: keep-alive", &[]),
        ("Proxy-Authorization: Basic eDp5", &[]),
        ("Proxy: http://evil.example", &[]),
        ("TE: gzip, trailers", &[]),
        ("TE: trailers", &["connection: te", "te: trailers"]),
        ("Upgrade: h2c\r\nHTTP2-Settings: AAMA", &[]),
        ("Trailer: X-Forwarded-For", &[]),
        ("Expect: 200-maybe", &[]),
    ] {
        assert_eq!(arriving(sent).await, arrives, "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wharfs_credentials_stop_here_however_they_are_written() {
    for (sent, arrives) in [
        ("Authorization: Bearer wharf_secret", &[][..]),
        ("authorization: bearer  wharf_secret", &[]),
        ("AUTHORIZATION: BEARER\twharf_secret", &[]),
        (
            "Authorization: Bearer theirs\r\nAuthorization: Bearer wharf_secret",
            &[],
        ),
        ("Authorization: Bearer theirs", &["authorization: Bearer theirs"]),
        ("Cookie: wharf_session=secret", &[]),
        ("Cookie: a=1;wharf_session=secret;b=2", &["cookie: a=1; b=2"]),
        ("Cookie: a=1\r\nCookie: __Host-wharf_session=secret", &["cookie: a=1"]),
        ("Cookie: a=1; \t__HOST-WHARF_SESSION=secret", &["cookie: a=1"]),
        ("Cookie: a=1; wharf_session=one; wharf_session=two", &["cookie: a=1"]),
    ] {
        assert_eq!(arriving(sent).await, arrives, "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_trailer_of_a_request_gets_past_the_edge() {
    let edge = edge();
    let strict = Strict::start().await;
    serve(&edge, backend(&owner(1, 1), host("acme"), strict.address)).await;
    for name in [
        "X-Forwarded-For",
        "Authorization",
        "Cookie",
        "Host",
        "Content-Length",
        "X-Own",
    ] {
        let mut client = Client::connect(edge.local_addr()).await;
        let answer = client
            .ask(&format!(
                "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: {name}\r\nTE: trailers\r\n\r\n\
                 2\r\nhi\r\n0\r\n{name}: 6.6.6.6\r\n\r\n"
            ))
            .await;
        assert_eq!(answer.status, 200, "{name}");
    }
    for arrived in strict.arrived() {
        assert_eq!((arrived.fault, arrived.body.as_str()), (None, "hi"));
        assert!(
            arrived.trailers.is_empty() && arrived.header("trailer").is_none(),
            "{arrived:?}"
        );
    }
}

/// The edge before one tenant whose service names itself in `x-own`, and which answers each request so.
async fn answering(answer: &'static [u8]) -> (Edge, Server) {
    let edge = edge_with(|config| config.cores = std::num::NonZeroUsize::new(1));
    let server = Server::script(answer).await;
    let tenant = wharf_platform::Backend {
        identity_header: Some(HeaderName::from_static("x-own").to_string()),
        ..backend(&owner(1, 1), host("acme"), server.address)
    };
    serve(&edge, tenant).await;
    (edge, server)
}

/// All answers that come to two requests on one connection, the second to a tenant that is not there.
async fn answers(answer: &'static [u8], request: &str) -> (Option<Answer>, String) {
    let (edge, _server) = answering(answer).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client
        .send(format!("{request} / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n"))
        .await;
    let first = client.answer(request == "HEAD").await;
    let mut rest = String::new();
    if client
        .try_send("GET / HTTP/1.1\r\nHost: nobody.localhost\r\nConnection: close\r\n\r\n")
        .await
    {
        rest = client.rest().await;
    }
    (Some(first), rest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_answer_is_one_answer() {
    let split: &[(&str, &[u8])] = &[
        ("one behind the other", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        ("one in the body of another", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        ("a body where there is none (204)", b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        ("a body where there is none (304)", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        ("something behind the last chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil"),
        ("an interim answer with another in it", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\nevil"),
    ];
    for (name, answer) in split {
        for method in ["GET", "HEAD", "DELETE"] {
            let (first, rest) = answers(answer, method).await;
            let first = first.unwrap();
            assert!(matches!(first.status, 200 | 204 | 304 | 502), "{name}: {first:?}");
            assert!(
                !first.body.contains("evil") && !rest.contains("evil"),
                "{name}: {first:?} {rest}"
            );
            assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 404 "), "{name}: {rest}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_could_be_read_in_two_ways_is_none() {
    let bad: &[(&str, &[u8])] = &[
        (
            "lengths that differ",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nevil",
        ),
        (
            "a length that is none",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0x4\r\n\r\nevil",
        ),
        (
            "a length with a sign",
            b"HTTP/1.1 200 OK\r\ncontent-length: +4\r\n\r\nevil",
        ),
        (
            "a folded line",
            b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 4\r\n\r\nevil",
        ),
        (
            "a bare carriage return",
            b"HTTP/1.1 200 OK\r\nx: a\rset-cookie: evil=1\r\ncontent-length: 4\r\n\r\nevil",
        ),
        ("a NUL", b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 4\r\n\r\nevil"),
        (
            "a space before a colon",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding : chunked\r\ncontent-length: 4\r\n\r\nevil",
        ),
        ("no colon", b"HTTP/1.1 200 OK\r\nevil\r\ncontent-length: 4\r\n\r\nevil"),
        ("another version", b"HTTP/2.0 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
        (
            "a status that is none",
            b"HTTP/1.1 20 OK\r\ncontent-length: 4\r\n\r\nevil",
        ),
        ("no HTTP", b"evil\r\n\r\n"),
        (
            "a protocol that nobody asked for",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nevil",
        ),
        (
            "another instance",
            b"HTTP/1.1 200 OK\r\nx-own: inst_00000000000000000000000000\r\ncontent-length: 4\r\n\r\nevil",
        ),
    ];
    for (name, answer) in bad {
        let (first, rest) = answers(answer, "GET").await;
        let first = first.unwrap();
        assert_eq!(first.status, 502, "{name}: {first:?}");
        assert!(
            !first.body.contains("evil") && !rest.contains("evil"),
            "{name}: {first:?} {rest}"
        );
        assert!(first.header("set-cookie").is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_may_not_say_is_taken_out_of_its_answer() {
    let (edge, _server) = answering(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: cart=1\r\nSet-Cookie: wharf_session=evil; Domain=localhost\r\n\
          Set-Cookie: __Host-wharf_session=evil; Secure; Path=/\r\nConnection: x-hop\r\nX-Hop: evil\r\nUpgrade: h2c\r\n\
          Proxy-Connection: keep-alive\r\nX-Stays: 1\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let answer = get(&edge, "acme.localhost", "/").await;
    let told: Vec<(&str, &str)> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| *name != "date")
        .collect();
    assert_eq!(
        told,
        [("content-length", "2"), ("set-cookie", "cart=1"), ("x-stays", "1")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_bounded_by_its_head() {
    let edge = edge();
    let server = Server::accept(([127, 0, 0, 1], 0).into(), |mut stream| {
        Box::pin(async move {
            use tokio::io::AsyncWriteExt;
            let Some(head) = super::support::backend::read_head(&mut stream).await else {
                return;
            };
            if head.starts_with("GET /healthz ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            let line = format!("x-endless: {}\r\n", "x".repeat(1000));
            while stream.write_all(line.as_bytes()).await.is_ok() {}
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    assert_eq!(get(&edge, "acme.localhost", "/").await.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_who_names_an_instance_is_served_as_any_other() {
    let edge = edge();
    let strict = Strict::start().await;
    let tenant = wharf_platform::Backend {
        identity_header: Some("x-wharf-instance".to_owned()),
        ..backend(&owner(1, 1), host("acme"), strict.address)
    };
    serve(&edge, tenant).await;
    let mut client = Client::connect(edge.local_addr()).await;
    let answer = client
        .ask("GET / HTTP/1.1\r\nHost: acme.localhost\r\nX-Wharf-Instance: inst_00000000000000000000000000\r\n\r\n")
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
}
