//! The adapter against a real Docker Engine: the contract suites, and what only containers can do and suffer. `cargo xtask test --suite docker` starts
//! one and says where it is.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

mod apart;
mod contracts;
mod ends;
mod images;
mod outages;
mod ports;
mod protections;
mod site;
mod warm;
