//! The adapter against real PostgreSQL servers: `cargo xtask test --suite postgres` says where their programs are.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

mod claims;
mod contracts;
mod examinations;
mod faults;
mod isolation;
mod managed;
mod removals;
mod site;
mod stock;
mod tls;
