//! What a request's headers become on their way to a backend, and an answer's on their way back: hop-by-hop headers go, what
//! a client claims about itself is replaced by what the edge knows, and Wharf's own credentials are taken out.
//!
//! Each direction reads all names once and removes only what it found: looking up a dozen absent names would cost more than
//! the rest of the work.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, TE, TRANSFER_ENCODING, UPGRADE},
};
use ipnet::IpNet;
use parking_lot::Mutex;
use std::net::IpAddr;

use crate::credentials;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HTTP: HeaderValue = HeaderValue::from_static("http");

/// The client at the other end of a connection, as headers tell of it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its address alone, as `X-Forwarded-For` has it.
    address: HeaderValue,
    /// Its address as an element of `Forwarded` has it.
    node: String,
    /// Whether what it says of its own clients is believed.
    trusted: bool,
    /// The last `Forwarded` made, with the host that it was made for: the host rarely changes on a connection.
    made: Mutex<Option<(HeaderValue, HeaderValue)>>,
}

impl Peer {
    pub(crate) fn new(ip: IpAddr, trusted_proxies: &[IpNet]) -> Self {
        let ip = ip.to_canonical();
        let node = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("\"[{ip}]\""),
        };
        Self {
            address: text(ip.to_string()),
            node,
            trusted: trusted_proxies.iter().any(|network| network.contains(&ip)),
            made: Mutex::new(None),
        }
    }

    fn forwarded(&self, host: &HeaderValue) -> HeaderValue {
        let mut made = self.made.lock();
        if let Some((for_host, value)) = &*made
            && for_host == host
        {
            return value.clone();
        }
        let name = host.to_str().unwrap_or_default();
        let value = text(format!("for={};host=\"{name}\";proto=http", self.node));
        *made = Some((host.clone(), value.clone()));
        value
    }
}

/// A text of characters that a header may have: addresses, and hosts that were checked.
fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
}

/// What a request asks of the connection itself, beyond its answer.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The protocol to change to.
    pub(crate) upgrade: Option<HeaderValue>,
}

/// Makes a request's headers those that a backend gets. `upgradable`: the request has no body, so that it may become a tunnel.
pub(crate) fn for_backend(headers: &mut HeaderMap, peer: &Peer, upgradable: bool) -> Asked {
    let found = Found::in_request(headers, peer.trusted);
    let mut asked = Asked::default();
    if found.upgrade && upgradable && connection_names(headers, "upgrade") {
        asked.upgrade = headers
            .get(UPGRADE)
            .filter(|protocol| may_upgrade_to(protocol))
            .cloned();
    }
    let trailers = found.te
        && headers
            .get_all(TE)
            .iter()
            .any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    let named = if found.connection {
        named_by_connection(headers)
    } else {
        Vec::new()
    };
    for name in found.gone.into_iter().chain(named) {
        headers.remove(name);
    }
    if found.transfer_encoding {
        // The check has let it pass in any case of letters; not every program would.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    credentials::strip(headers, found.authorization, found.cookie);
    set_forwarded(headers, peer);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = &asked.upgrade {
        set_upgrade(headers, protocol.clone());
    } else if trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    asked
}

/// Makes an answer's headers those that the client gets. `length` is the body's, where it is known.
pub(crate) fn for_client(headers: &mut HeaderMap, length: Option<u64>) {
    let found = Found::in_answer(headers);
    if found.connection {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
    }
    for name in found.gone {
        headers.remove(name);
    }
    if found.cookie {
        credentials::strip_answer(headers);
    }
    // How long the body is was told by its chunks, or in several places: the client is told once, or by chunks.
    if found.transfer_encoding {
        headers.remove(CONTENT_LENGTH);
    } else if found.content_length && !is_told_once(headers) {
        headers.remove(CONTENT_LENGTH);
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
}

/// Says in an answer that the connection changes to this protocol.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(UPGRADE, protocol);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}

fn is_told_once(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let plain = |length: &HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
    lengths.next().is_some_and(plain) && lengths.next().is_none()
}

fn set_forwarded(headers: &mut HeaderMap, peer: &Peer) {
    let Some(host) = headers.get(HOST).cloned() else { return };
    let forwarded = peer.forwarded(&host);
    if peer.trusted {
        let address = appended(headers, &X_FORWARDED_FOR, &peer.address);
        headers.insert(X_FORWARDED_FOR, address);
        let forwarded = appended(headers, &FORWARDED, &forwarded);
        headers.insert(FORWARDED, forwarded);
        headers.entry(X_FORWARDED_PROTO).or_insert(HTTP);
        headers.entry(X_FORWARDED_HOST).or_insert(host);
    } else {
        headers.insert(X_FORWARDED_FOR, peer.address.clone());
        headers.insert(X_FORWARDED_PROTO, HTTP);
        headers.insert(X_FORWARDED_HOST, host);
        headers.insert(FORWARDED, forwarded);
    }
}

/// The list that a trusted proxy sent, with one element more.
fn appended(headers: &HeaderMap, name: &HeaderName, element: &HeaderValue) -> HeaderValue {
    let mut list: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    if list.is_empty() {
        return element.clone();
    }
    list.push(element.as_bytes());
    HeaderValue::from_bytes(&list.join(b", ".as_slice())).unwrap_or_else(|_| element.clone())
}

/// What one look at all names found.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent finding")]
struct Found {
    connection: bool,
    upgrade: bool,
    te: bool,
    authorization: bool,
    cookie: bool,
    transfer_encoding: bool,
    content_length: bool,
    /// To be removed whatever they say.
    gone: Vec<HeaderName>,
}

impl Found {
    fn in_request(headers: &HeaderMap, trusted: bool) -> Self {
        let mut found = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "connection" => found.connection = true,
                "upgrade" => found.upgrade = true,
                "te" => found.te = true,
                "authorization" => {
                    found.authorization = true;
                    continue;
                }
                "cookie" => {
                    found.cookie = true;
                    continue;
                }
                "transfer-encoding" => {
                    found.transfer_encoding = true;
                    continue;
                }
                // Of a request they are not passed on.
                "trailer" => {}
                // Answered by the edge itself, when the backend's turn for the body has come.
                "expect" => {}
                // Many programs would read it as the environment variable HTTP_PROXY.
                "proxy" => {}
                "keep-alive" | "proxy-connection" | "proxy-authorization" | "http2-settings" => {}
                name if is_claim(name) => {
                    if trusted {
                        continue;
                    }
                }
                // Many programs cannot tell `_` from `-` in a header's name.
                name if name.contains('_') && is_claim(&name.replace('_', "-")) => {}
                _ => continue,
            }
            found.gone.push(name.clone());
        }
        found
    }

    fn in_answer(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "connection" => found.connection = true,
                "transfer-encoding" => found.transfer_encoding = true,
                "keep-alive" | "proxy-connection" | "upgrade" | "te" => {}
                "content-length" => {
                    found.content_length = true;
                    continue;
                }
                "set-cookie" => {
                    found.cookie = true;
                    continue;
                }
                _ => continue,
            }
            found.gone.push(name.clone());
        }
        found
    }
}

/// Headers by which a client, or a proxy before us, says who it speaks for, or what it was asked: applications believe them, because
/// one proxy or the other sets them.
fn is_claim(name: &str) -> bool {
    const FAMILIES: [&str; 4] = ["x-forwarded", "x-original-", "x-amzn-oidc-", "x-amzn-mtls-"];
    matches!(
        name,
        "forwarded"
            | "x-real-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "cf-connecting-ipv6"
            | "fastly-client-ip"
            | "x-rewrite-url"
            | "x-url-scheme"
            | "front-end-https"
    ) || FAMILIES.iter().any(|family| name.starts_with(family))
}

/// The headers that `Connection` names as meant for this hop. What frames or addresses the message is never among them.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name))
        .collect()
}

fn connection_names(headers: &HeaderMap, option: &str) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|name| name.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
}

/// HTTP/2 and TLS by upgrade would carry requests past the edge's rules.
fn may_upgrade_to(protocol: &HeaderValue) -> bool {
    let protocol = protocol.as_bytes().trim_ascii().to_ascii_lowercase();
    let single = !protocol.is_empty() && !protocol.contains(&b',');
    single && protocol != b"h2c" && !protocol.starts_with(b"http/") && !protocol.starts_with(b"tls/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            })
    }

    fn listed(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    fn stranger() -> Peer {
        Peer::new([192, 0, 2, 7].into(), &[])
    }

    #[test]
    fn hop_by_hop_headers_and_those_that_connection_names_go() {
        let mut headers = map(&[
            ("host", "acme.localhost"),
            ("connection", "close, X-Private, host, content-length"),
            ("content-length", "3"),
            ("x-private", "1"),
            ("x-public", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("proxy", "http://evil"),
            ("te", "gzip"),
            ("expect", "100-continue"),
        ]);
        assert!(for_backend(&mut headers, &stranger(), true).upgrade.is_none());
        assert_eq!(
            listed(&headers),
            [
                "content-length: 3",
                "forwarded: for=192.0.2.7;host=\"acme.localhost\";proto=http",
                "host: acme.localhost",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: acme.localhost",
                "x-forwarded-proto: http",
                "x-public: 1",
            ]
        );
    }

    #[test]
    fn a_strangers_claims_are_replaced_however_they_are_spelled() {
        let mut headers = map(&[
            ("host", "acme.localhost"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x_forwarded_for", "10.0.0.3"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("forwarded", "for=10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("some_header", "stays"),
        ]);
        for_backend(&mut headers, &stranger(), true);
        assert_eq!(
            listed(&headers),
            [
                "forwarded: for=192.0.2.7;host=\"acme.localhost\";proto=http",
                "host: acme.localhost",
                "some_header: stays",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: acme.localhost",
                "x-forwarded-proto: http",
            ]
        );
    }

    #[test]
    fn a_trusted_proxys_claims_are_kept_and_added_to() {
        let proxy = Peer::new([10, 1, 2, 3].into(), &["10.0.0.0/8".parse().unwrap()]);
        let mut headers = map(&[
            ("host", "acme.localhost"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=203.0.113.9"),
        ]);
        for_backend(&mut headers, &proxy, true);
        assert_eq!(
            listed(&headers),
            [
                "forwarded: for=203.0.113.9, for=10.1.2.3;host=\"acme.localhost\";proto=http",
                "host: acme.localhost",
                "x-forwarded-for: 203.0.113.9, 10.1.2.3",
                "x-forwarded-host: acme.localhost",
                "x-forwarded-proto: https",
            ]
        );
    }

    #[test]
    fn forwarded_quotes_an_ipv6_address_and_follows_the_host() {
        let peer = Peer::new("2001:db8::1".parse().unwrap(), &[]);
        let first = peer.forwarded(&HeaderValue::from_static("a"));
        assert_eq!(first, "for=\"[2001:db8::1]\";host=\"a\";proto=http");
        assert_eq!(
            peer.forwarded(&HeaderValue::from_static("b")),
            "for=\"[2001:db8::1]\";host=\"b\";proto=http"
        );
        assert_eq!(peer.forwarded(&HeaderValue::from_static("a")), first);
    }

    #[test]
    fn only_a_whole_request_for_another_protocol_is_an_upgrade() {
        let asked = |upgrade, connection, upgradable| {
            let mut headers = map(&[("host", "a"), ("upgrade", upgrade), ("connection", connection)]);
            let asked = for_backend(&mut headers, &stranger(), upgradable);
            assert_eq!(asked.upgrade.is_some(), headers.contains_key(UPGRADE));
            assert_eq!(asked.upgrade.is_some(), headers.contains_key(CONNECTION));
            asked.upgrade
        };
        assert_eq!(asked("websocket", "keep-alive, Upgrade", true).unwrap(), "websocket");
        assert!(asked("websocket", "keep-alive", true).is_none());
        assert!(asked("websocket", "upgrade", false).is_none());
        assert!(asked("h2c", "upgrade", true).is_none());
        assert!(asked("websocket, h2c", "upgrade", true).is_none());
    }

    #[test]
    fn trailers_are_asked_for_again_on_the_next_hop() {
        let mut headers = map(&[("host", "a"), ("te", "trailers"), ("connection", "TE")]);
        for_backend(&mut headers, &stranger(), true);
        assert_eq!(headers.get(TE).unwrap(), "trailers");
        assert_eq!(headers.get(CONNECTION).unwrap(), "te");
    }

    #[test]
    fn an_answer_tells_its_length_once() {
        let mut headers = map(&[
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("x-other", "1"),
        ]);
        for_client(&mut headers, None);
        assert_eq!(listed(&headers), ["x-other: 1"]);
        for several in [
            &[("content-length", "5"), ("content-length", "5")][..],
            &[("content-length", "5, 5")],
        ] {
            let mut headers = map(several);
            for_client(&mut headers, Some(5));
            assert_eq!(listed(&headers), ["content-length: 5"]);
        }
    }
}
