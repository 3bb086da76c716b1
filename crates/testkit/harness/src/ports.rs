//! Ports that no other test uses at the same time: a stretch of them, held by whoever listens on its first one.
//!
//! Tests are processes of their own, and each runs a deployment that leases ports from a range. Two with the same range would find
//! each other's tasks on their ports.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::RangeInclusive,
};

/// Outside what the system takes for outgoing connections, and above where a deployment without a configuration begins.
const FIRST: u16 = 21_000;
const END: u16 = 29_900;
const STRETCH: u16 = 50;
/// Of a stretch: the first is the guard, the second is where the server listens, then come those for static ranges.
const STATIC: u16 = 2;
const DYNAMIC: u16 = 10;

pub struct Ports {
    first: u16,
    /// As long as it listens, the stretch is taken.
    _guard: TcpListener,
}

impl Ports {
    pub fn claim() -> Self {
        let stretches = (END - FIRST) / STRETCH;
        // Processes that start one after another have numbers one after another: they begin to look at different places.
        let begin = (std::process::id() % u32::from(stretches)) as u16;
        (0..stretches)
            .map(|step| FIRST + (begin + step) % stretches * STRETCH)
            .find_map(|first| {
                let guard = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
                let all_free =
                    (first + 1..first + STRETCH).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
                all_free.then_some(Self { first, _guard: guard })
            })
            .expect("a stretch of ports that nobody uses")
    }

    pub fn listen(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.first + 1))
    }

    /// A range of so many ports, for a service with static ones.
    pub fn fixed(&self, count: u16) -> String {
        assert!(
            (1..=DYNAMIC - STATIC).contains(&count),
            "a stretch has no {count} of these"
        );
        let first = self.first + STATIC;
        format!("{first}-{}", first + count - 1)
    }

    pub fn dynamic(&self) -> String {
        let all = self.all_dynamic();
        format!("{}-{}", all.start(), all.end())
    }

    pub fn all_dynamic(&self) -> RangeInclusive<u16> {
        self.first + DYNAMIC..=self.first + STRETCH - 1
    }

    /// The first of the dynamic ones: what a first instance is leased.
    pub fn first_dynamic(&self) -> u16 {
        self.first + DYNAMIC
    }
}
