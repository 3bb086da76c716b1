//! What an edge is told at its start: where it listens, whose hosts it serves, and its bounds. Plain values; nothing here
//! reads a file or an environment.

use ipnet::IpNet;
use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

/// The settings of one edge.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// The one address that serves everything. Port 0 takes a free one; [`crate::Edge::local_addr`] tells which.
    pub listen: SocketAddr,
    /// Sign-up, console and API, beside `localhost` and the bare address.
    pub console_host: String,
    /// The host whose path prefixes lead to services.
    pub services_host: String,
    /// `<subdomain>.<tenant_domain>` leads to a tenant.
    pub tenant_domain: String,
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed and passed on. Everybody else's are replaced.
    pub trusted_proxies: Vec<IpNet>,
    /// Threads that proxy; one for each core unless given.
    pub cores: Option<NonZeroUsize>,
    pub limits: Limits,
    pub timeouts: Timeouts,
}

impl EdgeConfig {
    /// The documented defaults, on this address.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            console_host: "localhost".to_owned(),
            services_host: "services.localhost".to_owned(),
            tenant_domain: "localhost".to_owned(),
            trusted_proxies: Vec::new(),
            cores: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// Bounds on what is held at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's head, its first line included. More is a 431.
    pub header_bytes: usize,
    /// Header lines of a request. More is a 431. Another number than 100 costs an allocation a request.
    pub header_count: usize,
    /// Bytes of a request's target. More is a 414.
    pub uri_bytes: usize,
    /// Bytes of a request's body to a proxied service; `None` leaves it to the service.
    pub body_bytes: Option<u64>,
    /// Bytes buffered in one direction of one connection, at most; never below 8 KiB.
    pub buffer_bytes: usize,
    /// Client connections of one core. Beyond, new ones wait in the kernel's queue.
    pub connections_per_core: usize,
    /// Connections of one client address (of IPv6, of its /64), over all cores, [`EdgeConfig::trusted_proxies`] excepted. Beyond, new ones
    /// are closed at once.
    pub connections_per_address: usize,
    /// Idle connections kept to one backend by one core.
    pub idle_per_backend: usize,
    /// Requests that wait for a backend to start, over all cores. Half of the places are for those that have not waited for [`Timeouts::hold`]
    /// yet: one that starts slowly keeps nobody from another's first moments.
    pub held_requests: usize,
    /// Control requests under way, over all cores. Beyond, they are a 503.
    pub control_requests: usize,
    /// Those of one client address, as with connections.
    pub control_requests_per_address: usize,
    /// Active health checks a second. With more backends than that allows, each is looked at less often than it asked for.
    pub checks_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            header_count: DEFAULT_HEADER_COUNT,
            uri_bytes: 8 * 1024,
            body_bytes: None,
            buffer_bytes: 64 * 1024,
            connections_per_core: 16 * 1024,
            connections_per_address: 1024,
            idle_per_backend: 64,
            held_requests: 4096,
            control_requests: 1024,
            control_requests_per_address: 512,
            checks_per_second: 100,
        }
    }
}

/// The number of header lines for which hyper needs no allocation.
pub(crate) const DEFAULT_HEADER_COUNT: usize = 100;

/// How long the edge waits, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the first byte of a request's head to its last.
    pub client_header: Duration,
    /// Between an answer and the next request on the same connection.
    pub client_idle: Duration,
    /// For a connection to a backend.
    pub connect: Duration,
    /// From the last byte of a request to the head of its answer: beyond, a 504.
    pub response_header: Duration,
    /// Between two pieces of a body, in either direction.
    pub stream_idle: Duration,
    /// Between two pieces of an upgraded connection (a WebSocket), in either direction.
    pub tunnel_idle: Duration,
    /// How long an unused connection to a backend is kept.
    pub backend_idle: Duration,
    /// How long a browser's visit to something that is starting is held before the page that waits.
    pub hold: Duration,
    /// How long any other request is held before its 503: a program has no page that asks again, and nobody to show one to.
    pub hold_programs: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            client_header: Duration::from_secs(10),
            client_idle: Duration::from_secs(75),
            connect: Duration::from_secs(5),
            response_header: Duration::from_mins(1),
            stream_idle: Duration::from_mins(5),
            tunnel_idle: Duration::from_hours(1),
            backend_idle: Duration::from_secs(30),
            hold: Duration::from_secs(1),
            hold_programs: Duration::from_secs(10),
        }
    }
}

impl Timeouts {
    /// The shortest of those that the watch over a client connection keeps.
    pub(crate) fn shortest(&self) -> Duration {
        self.client_header
            .min(self.client_idle)
            .min(self.response_header)
            .min(self.stream_idle)
    }
}
