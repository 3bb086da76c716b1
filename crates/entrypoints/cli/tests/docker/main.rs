//! The program with its tenants in containers, on a real Docker Engine: from a sign-up to a visitor, and through everything that may happen to
//! containers, to Docker and to Wharf itself. `cargo xtask test --suite docker` starts an engine and says by `WHARF_TEST_DOCKER_HOST` where it is.
//!
//! What must not be here: what the adapter alone can show; its own tests do.
#![cfg(target_os = "linux")]

#[path = "../program/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests of the program use all of it, these a part"
)]
mod harness;

mod engine;
mod life;
mod outages;
mod refusals;
mod site;
mod sleeping;
mod warm;
