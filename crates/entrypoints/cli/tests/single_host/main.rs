//! `examples/single-host/wharf.toml`, as it stands there, by the real program with real servers: Docker Engine, PostgreSQL, SMTP. From a payment to a shop in a
//! container with its own database and a mail, and through the sudden end of each of them.
//!
//! `cargo xtask test --suite single-host` brings the servers' programs, and says where they are. What must not be here: what the suites of one of them show.
#![cfg(target_os = "linux")]

#[path = "../program/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests of the program use all of it, these a part"
)]
mod harness;

#[path = "../docker/engine.rs"]
#[allow(dead_code, reason = "the tests of containers use all of it, these a part")]
mod engine;

mod apart;
mod machine;
mod own_server;
mod story;
