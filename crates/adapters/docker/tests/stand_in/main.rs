//! What a real Docker does not do on demand: a scripted stand-in answers on a socket of its own, and is asked what it was asked.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

mod engine;
mod meeting;
mod pulls;
mod starts;
mod warm;
