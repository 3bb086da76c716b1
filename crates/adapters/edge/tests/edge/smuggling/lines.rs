//! Lines and hosts: where one ends, and which a request is for.

use super::{
    Outcome::{Arrives, Elsewhere, Refused},
    *,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_one_to_everybody_or_refused() {
    let good = Arrives(&[("GET /", "")]);
    let first = |line: &str| format!("{line}\r\nHost: acme.localhost\r\n\r\n").into_bytes();
    let mut rows: Vec<(&str, Vec<u8>, Outcome)> = vec![
        (
            "bare line feeds",
            b"GET / HTTP/1.1\nHost: acme.localhost\n\n".into(),
            Refused(400),
        ),
        (
            "a bare line feed after the first line",
            b"GET / HTTP/1.1\nHost: acme.localhost\r\n\r\n".into(),
            Refused(400),
        ),
        (
            "a bare line feed at the end",
            b"GET / HTTP/1.1\r\nHost: acme.localhost\r\nX: y\r\n\n".into(),
            Refused(400),
        ),
        (
            "a bare line feed before it",
            [b"\n".as_slice(), &first("GET / HTTP/1.1")].concat(),
            Refused(400),
        ),
        (
            "an empty line before it",
            [b"\r\n".as_slice(), &first("GET / HTTP/1.1")].concat(),
            good,
        ),
        (
            "a space before it",
            [b" ".as_slice(), &first("GET / HTTP/1.1")].concat(),
            Refused(400),
        ),
        ("a second carriage return", get_with("X: y\r"), Refused(400)),
        (
            "a space before the first name",
            b"GET / HTTP/1.1\r\n Host: acme.localhost\r\n\r\n".into(),
            Refused(400),
        ),
        ("no HTTP/1", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), Refused(400)),
        ("HTTP/0.9", b"GET /\r\n\r\n".into(), Refused(400)),
    ];
    for (name, line) in [
        ("a bare line feed in a value", "X: a\nb"),
        ("a bare carriage return in a value", "X: a\rb"),
        ("a bare carriage return before a name", "X: a\r\n\rY: b"),
        ("a folded line", "X: a\r\n folded"),
        ("a line folded by a tab", "X: a\r\n\tfolded"),
        ("a space before a colon", "X : a"),
        ("a tab before a colon", "X\t: a"),
        ("a space in a name", "X Y: a"),
        ("no colon", "X"),
        ("no name", ": a"),
        ("a NUL in a value", "X: a\0b"),
        ("a NUL in a name", "X\0: a"),
        ("a bell in a value", "X: a\x07b"),
        ("a delete in a value", "X: a\x7fb"),
        ("brackets in a name", "X(y): a"),
        ("a slash in a name", "X/y: a"),
        ("an at sign in a name", "X@y: a"),
        ("a quote in a name", "\"X\": a"),
        ("other letters in a name", "X\u{e9}: a"),
    ] {
        rows.push((name, get_with(line), Refused(400)));
    }
    for (name, line) in [
        ("two spaces", "GET  / HTTP/1.1"),
        ("two spaces behind", "GET /  HTTP/1.1"),
        ("a tab", "GET\t/\tHTTP/1.1"),
        ("a tab behind", "GET /\tHTTP/1.1"),
        ("a vertical tab", "GET /\x0bHTTP/1.1"),
        ("a space at the end", "GET / HTTP/1.1 "),
        ("a space in the target", "GET /a b HTTP/1.1"),
        ("two versions", "GET / HTTP/1.1 HTTP/1.1"),
        ("a version of another minor", "GET / HTTP/1.2"),
        ("a version of another major", "GET / HTTP/2.0"),
        ("a version in small letters", "GET / http/1.1"),
        ("a version with a zero", "GET / HTTP/01.1"),
        ("a version of two digits", "GET / HTTP/1.10"),
        ("brackets in the method", "G(T / HTTP/1.1"),
        ("a NUL in the target", "GET /\0 HTTP/1.1"),
        ("a bare carriage return in the target", "GET /\ra HTTP/1.1"),
        ("a line feed in the target", "GET /\n HTTP/1.1"),
        ("no target", "GET HTTP/1.1"),
        ("a target that is no path", "GET acme.localhost/x HTTP/1.1"),
        ("a target that is a host", "GET acme.localhost HTTP/1.1"),
        ("a star for something else than OPTIONS", "GET * HTTP/1.1"),
    ] {
        rows.push((name, first(line), Refused(400)));
    }
    rows.push((
        "a star for OPTIONS",
        first("OPTIONS * HTTP/1.1"),
        Arrives(&[("OPTIONS *", "")]),
    ));
    rows.push((
        "two slashes",
        first("GET //other.localhost/x HTTP/1.1"),
        Arrives(&[("GET //other.localhost/x", "")]),
    ));
    rows.push((
        "dots",
        first("GET /a/../../b/%2e%2e/c?x=../y HTTP/1.1"),
        Arrives(&[("GET /a/../../b/%2e%2e/c?x=../y", "")]),
    ));
    check_all(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_one_to_everybody_or_refused() {
    let of = |target: &str, hosts: &str| format!("GET {target} HTTP/1.1\r\n{hosts}\r\n\r\n").into_bytes();
    let mut rows: Vec<(&str, Vec<u8>, Outcome)> = vec![
        (
            "two, different",
            of("/", "Host: acme.localhost\r\nHost: other.localhost"),
            Refused(400),
        ),
        (
            "two, the same",
            of("/", "Host: acme.localhost\r\nHost: acme.localhost"),
            Refused(400),
        ),
        (
            "two, one with a space",
            of("/", "Host: acme.localhost\r\n Host: other.localhost"),
            Refused(400),
        ),
        ("none", of("/", "X: y"), Refused(400)),
        ("none on HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n".into(), Refused(400)),
        (
            "a target that says another",
            of("http://other.localhost/", "Host: acme.localhost"),
            Refused(400),
        ),
        (
            "a target that says another port",
            of("http://acme.localhost:81/", "Host: acme.localhost:80"),
            Refused(400),
        ),
        (
            "a target with somebody's name",
            of("http://x@acme.localhost/", "Host: acme.localhost"),
            Refused(400),
        ),
        (
            "a target with a name that is a host",
            of("http://acme.localhost@other.localhost/", "Host: acme.localhost"),
            Refused(400),
        ),
        (
            "both with somebody's name",
            of("http://x@acme.localhost/", "Host: x@acme.localhost"),
            Refused(400),
        ),
        (
            "a target of another scheme",
            of("ftp://acme.localhost/", "Host: acme.localhost"),
            Refused(400),
        ),
        (
            "a target that says the same",
            of("http://acme.localhost/a?b", "Host: acme.localhost"),
            Arrives(&[("GET /a?b", "")]),
        ),
        (
            "a target without a path",
            of("http://acme.localhost", "Host: acme.localhost"),
            Arrives(&[("GET /", "")]),
        ),
        (
            "in capitals, with a port",
            of("/", "Host: ACME.localhost:8080"),
            Arrives(&[("GET /", "")]),
        ),
        ("one that is not here", of("/", "Host: evil.example"), Elsewhere(421)),
        (
            "one with a dot at its end",
            of("/", "Host: acme.localhost."),
            Elsewhere(421),
        ),
        (
            "one below a tenant's",
            of("/", "Host: x.acme.localhost"),
            Elsewhere(421),
        ),
        (
            "one that ends like ours",
            of("/", "Host: acmelocalhost"),
            Elsewhere(421),
        ),
        (
            "a tenant's that is not there",
            of("/", "Host: nobody.localhost"),
            Elsewhere(404),
        ),
    ];
    for (name, host) in [
        ("nothing", ""),
        ("a list", "acme.localhost, other.localhost"),
        ("somebody's name", "x@acme.localhost"),
        ("somebody's name and a port", "x:80@acme.localhost"),
        ("a path", "acme.localhost/x"),
        ("a backslash", "acme.localhost\\@other.localhost"),
        ("a fragment", "acme.localhost#other.localhost"),
        ("a query", "acme.localhost?other.localhost"),
        ("two ports", "acme.localhost:80:80"),
        ("a port that is none", "acme.localhost:x"),
        ("a port beyond 16 bits", "acme.localhost:99999"),
        ("a port with a sign", "acme.localhost:+80"),
        ("a port with a space", "acme.localhost: 80"),
        ("a space", "acme.localhost other.localhost"),
        ("a percent sign", "%61cme.localhost"),
        ("quotes", "\"acme.localhost\""),
        ("a scheme", "http://acme.localhost"),
        ("other letters", "acm\u{e9}.localhost"),
        ("a semicolon", "acme.localhost;x"),
        ("half a literal", "[::1"),
    ] {
        rows.push((name, of("/", &format!("Host: {host}")), Refused(400)));
    }
    check_all(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_line_feed_is_noticed_on_every_request_of_a_connection() {
    let (edge, _server, count) = counted().await;
    let good = "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
    let sized = "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 3\r\n\r\na\nb";
    let chunked = "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n";
    let bad = "GET / HTTP/1.1\r\nHost: acme.localhost\nX: y\r\n\r\n";
    for before in [good, sized, chunked] {
        // In one piece, and byte by byte.
        for piece in [usize::MAX, 1] {
            let mut client = Client::connect(edge.local_addr()).await;
            let all = format!("{before}{bad}");
            for piece in all.as_bytes().chunks(piece.min(all.len())) {
                client.send(piece).await;
            }
            assert_eq!(client.answer(false).await.status, 200, "{before:?}");
            assert_eq!(client.answer(false).await.status, 400, "{before:?}");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 6);
}
