//! The edge as its visitors meet it: real sockets, whole requests, bytes that no library would send.
//!
//! Every test has an edge and backends of its own on free ports, and nothing is left when it ends.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod contracts;
mod control;
mod floods;
mod forwarding;
mod health;
mod injection;
mod keeping;
mod lifetime;
mod limits;
mod origins;
mod prober;
mod sleeping;
mod smuggling;
mod starting;
mod streaming;
mod support;
mod updates;
mod websocket;
