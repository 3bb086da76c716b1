//! The adapters of one machine, from outside: the contract suites, and what only child processes and files can do.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

mod contracts;
mod databases;
mod endings;
mod leavings;
mod outputs;
mod ports;
mod secrets;
mod site;
mod starts;
mod waker;
