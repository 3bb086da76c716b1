//! The embedded load balancer: one listener that serves the console, the services' path prefixes and every tenant's host.
//!
//! It implements [`Routes`](wharf_platform::Routes) over a table that each request reads without a lock, and
//! [`Prober`](wharf_platform::Prober). Proxying runs on one current-thread runtime a core; control requests are handed to
//! another runtime, so that neither can hold up the other.
//!
//! A request's way: `worker` accepts its connection, `connection` drives it, `wire` scans its bytes, `front` checks it
//! (`check`) and decides its origin (`host`), the `table` has its backend (`hold` waits for one that starts), `proxy` sends
//! it on (`headers`, `credentials`, `pool`, `connect`) and brings the answer back (`body`), or a `tunnel` takes its place.
//! What the edge says itself stands in `pages`.
//!
//! | file | what it is for |
//! |---|---|
//! | `edge`, `config` | what the owner holds, and tells it |
//! | `listener`, `holder` | the address: taken for one process, shared by its cores |
//! | `worker`, `core`, `signal` | one core's thread and what it works with |
//! | `connection`, `line`, `wire`, `scan` | one client connection: its time limits, its bytes |
//! | `crowd` | how much one client address may have at once |
//! | `front`, `check`, `host`, `hold` | one request: whether it may pass, and to whom |
//! | `table`, `registry`, `upstream` | the routes: read, changed, and what is behind them |
//! | `proxy`, `pool`, `connect`, `body`, `tunnel` | one request to one backend |
//! | `headers`, `credentials` | what is removed, replaced and added |
//! | `pages`, `accept` | what the edge itself answers |
//! | `control` | control requests, on their own runtime |
//! | `health`, `ask`, `prober` | asking backends whether they are there |
//! | `metrics` | what is counted |
//!
//! What must not be here: starting or stopping anything, the registry's store, and what an instance is beyond its id.

mod accept;
mod ask;
mod body;
mod check;
mod config;
mod connect;
mod connection;
mod control;
mod core;
mod credentials;
mod crowd;
mod edge;
mod front;
mod headers;
mod health;
mod hold;
mod holder;
mod host;
#[doc(hidden)]
pub mod inspect;
mod line;
mod listener;
mod metrics;
mod pages;
mod pool;
mod prober;
mod proxy;
mod registry;
mod scan;
mod signal;
mod table;
mod tunnel;
mod upstream;
mod wire;
mod worker;

pub use body::BodyError;
pub use config::{EdgeConfig, Limits, Timeouts};
pub use control::{ControlBody, ControlService};
pub use edge::Edge;
pub use ipnet::IpNet;
pub use metrics::Metrics;
pub use prober::{EdgeProber, Owns};
pub use registry::HealthChange;
