//! What looks at a running Wharf from outside: the tests of the program, and chaos, stand on it.
//!
//! | file | what it is for |
//! |---|---|
//! | `client` | HTTP to any of a deployment's hosts, with the `Host` header under control |
//! | `events` | server-sent events |
//! | `processes` | which processes there are, and whose |
//! | `ports` | ports that no other test uses |
//! | `shop` | a customer of the bundled storefront |
//! | `dockerd` | a Docker Engine that may be taken away |
//! | `disk` | a file system that is small, and what fills it |
//! | `seed` | chance that repeats |
//! | `wait` | waiting for facts |
//!
//! What must not be here: anything that reaches into Wharf's crates, and how a deployment is started, which is for those who know where
//! its program is.
#![cfg(target_os = "linux")]

mod client;
pub mod disk;
pub mod dockerd;
mod events;
mod ports;
pub mod processes;
mod seed;
mod shop;
pub mod wait;

pub use client::{Answer, Client};
pub use events::{Event, Events};
pub use ports::Ports;
pub use processes::Process;
pub use seed::Seed;
pub use shop::Customer;
