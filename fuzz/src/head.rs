//! A request as bytes: where its head ends, whether it may pass, and what of it reaches a tenant. What the edge lets pass has to read the same for a strict
//! reader behind it. The first byte says how the rest is cut.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};
use std::net::IpAddr;
use wharf_edge::{
    EdgeConfig,
    inspect::{self, Destination, Inspected},
};

use crate::strict::{self, Length};

/// hyper's default, and the edge's.
const HEADERS_MAX: usize = 100;
const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));
/// What only the edge may say.
const CLAIMS: &[&str] = &[
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-prefix",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
];
const HOP_BY_HOP: &[&str] = &[
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "http2-settings",
    "expect",
    "proxy",
];

pub fn run(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    chunks(*how, bytes);
    answer(bytes);
    let Some(head) = head(*how, bytes) else { return };
    let Some((request, length)) = parsed(&bytes[..head.end]) else {
        return;
    };
    forwarded(request, head, length);
}

fn cut(how: u8, bytes: &[u8]) -> [&[u8]; 3] {
    let first = usize::from(how) % (bytes.len() + 1);
    let (one, rest) = bytes.split_at(first);
    let second = (usize::from(how) / 2) % (rest.len() + 1);
    let (two, three) = rest.split_at(second);
    [one, two, three]
}

/// The head's end, for whom it makes no difference how the bytes came; and the parser's is the same.
fn head(how: u8, bytes: &[u8]) -> Option<inspect::Head> {
    let whole = inspect::head(&[bytes]);
    assert_eq!(
        inspect::head(&cut(how, bytes)),
        whole,
        "how it is cut makes a difference"
    );
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parser = httparse::Request::new(&mut headers);
    // Ahead of the parser the scan may be: then hyper wants more where it gets none, and what comes is refused. Behind it, never.
    if let Ok(httparse::Status::Complete(end)) = parser.parse(bytes) {
        let seen = whole.map(|head| head.end);
        assert!(
            seen.is_some_and(|seen| seen <= end),
            "the parser ends at {end}, the scan at {seen:?}"
        );
    }
    whole
}

/// What hyper makes of a head; `None` where it refuses it.
fn parsed(bytes: &[u8]) -> Option<(Request<()>, Length)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parser = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(end)) = parser.parse(bytes) else {
        return None;
    };
    assert_eq!(end, bytes.len(), "the parser ends before the scan");
    let mut request = Request::builder()
        .method(parser.method?)
        .uri(parser.path?)
        .version(if parser.version? == 0 {
            Version::HTTP_10
        } else {
            Version::HTTP_11
        })
        .body(())
        .ok()?;
    let mut length = Length::None;
    for header in parser.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(header.value).ok()?;
        match name.as_str() {
            "content-length" => {
                let said = value.to_str().ok()?;
                let said = said
                    .bytes()
                    .all(|byte| byte.is_ascii_digit())
                    .then(|| said.parse().ok())??;
                match length {
                    Length::None => length = Length::Bytes(said),
                    Length::Bytes(before) if before != said => return None,
                    _ => {}
                }
            }
            "transfer-encoding" => {
                let last = value.to_str().ok()?.rsplit(',').next()?.trim().to_ascii_lowercase();
                if last != "chunked" || request.version() == Version::HTTP_10 {
                    return None;
                }
                length = Length::Chunked;
            }
            _ => {}
        }
        request.headers_mut().append(name, value);
    }
    Some((request, length))
}

/// As hyper writes it.
fn written(request: &Request<()>) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn forwarded(request: Request<()>, head: inspect::Head, length: Length) {
    let edge = Inspected::new(EdgeConfig::new(([192, 0, 2, 1], 8080).into()));
    let method = request.method().to_string();
    let target = request.uri().path_and_query().map(ToString::to_string);
    let whole = matches!(length, Length::None | Length::Bytes(0));
    let (destination, out) = match edge.forward(request, head, STRANGER, whole) {
        Ok(passed) => passed,
        Err(status) => {
            assert!(
                (400..500).contains(&status),
                "a refusal is the client's fault: {status}"
            );
            return;
        }
    };
    if !matches!(destination, Destination::Tenant(_) | Destination::Services) {
        return;
    }
    let bytes = written(&out);
    // What is no ASCII in a value is the backend's to read; a strict reader of text would refuse it, and there is nothing to compare.
    if !bytes.is_ascii() {
        return;
    }
    let shown = || String::from_utf8_lossy(&bytes).into_owned();
    let read = strict::head(&bytes).unwrap_or_else(|why| panic!("a strict reader refuses it, {why}:\n{}", shown()));
    assert_eq!(read.method, method, "{}", shown());
    assert!(
        target.is_none_or(|target| target == read.target || target.is_empty()),
        "{}",
        shown()
    );
    let said = read.length().unwrap_or_else(|why| panic!("{why}:\n{}", shown()));
    assert_eq!(said, length, "how long its body is:\n{}", shown());
    let host = read
        .one("host")
        .unwrap_or_else(|why| panic!("host: {why}:\n{}", shown()));
    let host = host.unwrap_or_else(|| panic!("it has no host:\n{}", shown()));
    assert_eq!(edge.destination(host), Ok(destination), "{}", shown());
    for (name, value) in [
        ("x-forwarded-for", "198.51.100.7"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", host),
    ] {
        assert_eq!(read.one(name), Ok(Some(value)), "{}", shown());
    }
    let forwarded = format!("for=198.51.100.7;host=\"{host}\";proto=http");
    assert_eq!(read.one("forwarded"), Ok(Some(forwarded.as_str())), "{}", shown());
    for name in read.names() {
        let plain = name.replace('_', "-");
        let is_claimed = CLAIMS.contains(&plain.as_str()) || (name.contains('_') && plain.starts_with("x-forwarded-"));
        assert!(
            !is_claimed && !HOP_BY_HOP.contains(&name),
            "{name} is passed on:\n{}",
            shown()
        );
    }
    if let Some(connection) = read.values("connection").first() {
        assert!(matches!(connection.as_str(), "te" | "upgrade"), "{}", shown());
    }
    no_credentials(&read, &shown);
    // Another edge behind this one changes nothing more.
    let once = out.headers().clone();
    let again = edge
        .forward(out, plain_head(&bytes), STRANGER, whole)
        .map(|(_, request)| request.headers().clone());
    assert_eq!(again, Ok(once), "{}", shown());
}

fn plain_head(bytes: &[u8]) -> inspect::Head {
    inspect::head(&[bytes]).expect("it was read by a strict reader")
}

/// Neither the admin token nor the console's cookies.
fn no_credentials(read: &strict::Head, shown: &dyn Fn() -> String) {
    for value in read.values("authorization") {
        let (scheme, token) = value.split_once([' ', '\t']).unwrap_or((value, ""));
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        assert!(!(is_bearer && token.trim().starts_with("wharf_")), "{}", shown());
    }
    for value in read.values("cookie") {
        for pair in value.split(';') {
            let name = pair.trim().to_ascii_lowercase();
            assert!(
                !name.starts_with("wharf_") && !name.starts_with("__host-wharf"),
                "{}",
                shown()
            );
        }
    }
}

/// A chunked body ends where a strict reader says that it does, however it is cut.
fn chunks(how: u8, bytes: &[u8]) {
    let whole = inspect::chunked_end(&[bytes]);
    assert_eq!(
        inspect::chunked_end(&cut(how, bytes)),
        whole,
        "how it is cut makes a difference"
    );
    if let Some(end) = strict::chunked_end(bytes) {
        assert_eq!(whole, Ok(Some(end)), "{:?}", String::from_utf8_lossy(bytes));
    }
}

/// An answer with these headers, as its client gets it.
fn answer(bytes: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let Ok(httparse::Status::Complete((_, parsed))) = httparse::parse_headers(bytes, &mut headers) else {
        return;
    };
    let mut map = HeaderMap::new();
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(header.value)) {
            map.append(name, value);
        }
    }
    inspect::answer(&mut map, Some(5));
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "te",
    ] {
        assert!(!map.contains_key(name), "{name} reaches the client: {map:?}");
    }
    assert!(map.get_all("content-length").iter().count() <= 1, "{map:?}");
    let once = map.clone();
    inspect::answer(&mut map, Some(5));
    assert_eq!(map, once, "once more changes nothing");
}
