//! How many of something each client address has at once: connections, and control requests. One address has a share and no more, so
//! that it cannot take all there is. What is remembered is no more than what is open.

use ipnet::IpNet;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// Counts by address. Proxies that are trusted come for many, and are not counted.
#[derive(Debug)]
pub(crate) struct Crowd {
    most: usize,
    trusted: Vec<IpNet>,
    of: Mutex<HashMap<IpAddr, usize>>,
}

/// One of what an address has; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat(Option<(Arc<Crowd>, IpAddr)>);

impl Crowd {
    pub(crate) fn new(most: usize, trusted: &[IpNet]) -> Arc<Self> {
        Arc::new(Self {
            most,
            trusted: trusted.to_vec(),
            of: Mutex::default(),
        })
    }

    /// One more, unless the address has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        let peer = peer.to_canonical();
        if self.trusted.iter().any(|network| network.contains(&peer)) {
            return Some(Seat(None));
        }
        let peer = network(peer);
        let mut of = self.of.lock();
        let own = of.entry(peer).or_default();
        if *own >= self.most {
            // It is there: `most` is never 0 in a configuration, and nothing is left behind if it is.
            if *own == 0 {
                of.remove(&peer);
            }
            return None;
        }
        *own += 1;
        drop(of);
        Some(Seat(Some((Arc::clone(self), peer))))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((crowd, peer)) = &self.0 else { return };
        let mut of = crowd.of.lock();
        if let Some(own) = of.get_mut(peer) {
            *own -= 1;
            if *own == 0 {
                of.remove(peer);
            }
        }
    }
}

/// An IPv4 address, or the /64 that one customer has.
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

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_leaves_others_theirs() {
        let crowd = Crowd::new(2, &["10.0.0.0/8".parse().unwrap()]);
        let first = crowd.enter(ip("192.0.2.1")).unwrap();
        let _second = crowd.enter(ip("::ffff:192.0.2.1")).unwrap();
        assert!(crowd.enter(ip("192.0.2.1")).is_none());
        assert!(crowd.enter(ip("192.0.2.2")).is_some());
        drop(first);
        assert!(crowd.enter(ip("192.0.2.1")).is_some());
        let proxied: Vec<_> = (0..10).map(|_| crowd.enter(ip("10.1.2.3")).unwrap()).collect();
        assert_eq!((proxied.len(), crowd.of.lock().len()), (10, 1));
    }

    #[test]
    fn a_customer_of_ipv6_is_one() {
        let crowd = Crowd::new(1, &[]);
        let _first = crowd.enter(ip("2001:db8:1:2::1")).unwrap();
        assert!(crowd.enter(ip("2001:db8:1:2:ffff::9")).is_none());
        assert!(crowd.enter(ip("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn nothing_is_remembered_of_who_has_nothing() {
        let crowd = Crowd::new(1, &[]);
        drop(crowd.enter(ip("192.0.2.1")));
        assert!(Crowd::new(0, &[]).enter(ip("192.0.2.1")).is_none());
        assert!(crowd.of.lock().is_empty());
    }
}
