//! Whose request it is, by address: what rates and bounds are counted by.

use axum::{
    extract::{ConnectInfo, Request},
    http::HeaderMap,
};
use ipnet::IpNet;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// The one whom rates are counted for: an IPv4 address, or the /64 that one IPv6 customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    network: IpAddr,
    /// On this machine, and not passed on by a proxy.
    pub(crate) is_local: bool,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.network.fmt(f)
    }
}

/// Finds the client behind proxies that are trusted.
#[derive(Debug)]
pub(crate) struct Clients {
    proxies: Vec<IpNet>,
}

impl Clients {
    pub(crate) const fn new(proxies: Vec<IpNet>) -> Self {
        Self { proxies }
    }

    pub(crate) fn of(&self, request: &Request) -> Client {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            // Without a peer all are one.
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
        self.find(peer, request.headers())
    }

    fn find(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let peer = peer.to_canonical();
        let is_forwarded = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
        let mut client = peer;
        if self.trusts(peer) {
            // Each proxy adds its peer at the end: from there, the first that we do not trust is the client, as the last one that
            // we trust saw it. What stands before that is the client's own say.
            let hops: Vec<&str> = headers
                .get_all("x-forwarded-for")
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .collect();
            for hop in hops.iter().rev() {
                let Some(address) = address(hop) else { break };
                client = address;
                if !self.trusts(address) {
                    break;
                }
            }
        }
        Client {
            network: network(client),
            is_local: peer.is_loopback() && !is_forwarded,
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(&address))
    }
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let address = hop
        .parse::<IpAddr>()
        .or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| hop.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>())
        .ok()?;
    Some(address.to_canonical())
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(peer: &str, forwarded: &[&str]) -> (String, bool) {
        let clients = Clients::new(vec![
            "10.0.0.0/8".parse().expect("a network"),
            "127.0.0.1/32".parse().expect("a network"),
        ]);
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("a header"));
        }
        let client = clients.find(peer.parse().expect("an address"), &headers);
        (client.network.to_string(), client.is_local)
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(find("203.0.113.9", &["198.51.100.1"]).0, "203.0.113.9");
        assert_eq!(find("10.0.0.1", &["198.51.100.1"]).0, "198.51.100.1");
        // What the client itself wrote stands first, and does not count.
        assert_eq!(find("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.9.9.9"]).0, "198.51.100.1");
        assert_eq!(find("10.0.0.1", &["6.6.6.6", "198.51.100.1"]).0, "198.51.100.1");
        assert_eq!(find("10.0.0.1", &["nonsense, 198.51.100.1:4711"]).0, "198.51.100.1");
        assert_eq!(find("10.0.0.1", &["nonsense"]).0, "10.0.0.1");
    }

    #[test]
    fn a_customer_has_one_network() {
        assert_eq!(find("2001:db8:1:2:3:4:5:6", &[]).0, find("2001:db8:1:2:ffff::1", &[]).0);
        assert_ne!(find("2001:db8:1:2::1", &[]).0, find("2001:db8:1:3::1", &[]).0);
        assert_eq!(find("::ffff:192.0.2.1", &[]).0, "192.0.2.1");
        assert_eq!(find("10.0.0.1", &["[2001:db8::1]:443"]).0, "2001:db8::");
    }

    #[test]
    fn local_is_loopback_that_nobody_passed_on() {
        assert!(find("127.0.0.1", &[]).1);
        assert!(find("::1", &[]).1);
        assert!(!find("127.0.0.1", &["198.51.100.1"]).1);
        assert!(!find("203.0.113.9", &[]).1);
    }
}
