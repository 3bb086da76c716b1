//! `wharf up` with tenants' databases in PostgreSQL, a server of the test's own or one that Wharf runs: signed up, bought from, killed, and looked at from outside.
//! `cargo xtask test --suite postgres` says where PostgreSQL's programs are.
//!
//! What must not be here: what is the same with every kind of database (`tests/program`), on whose harness these stand.
#![cfg(target_os = "linux")]

#[path = "../program/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests of the program use all of it, these a part"
)]
mod harness;

mod given;
mod managed;
