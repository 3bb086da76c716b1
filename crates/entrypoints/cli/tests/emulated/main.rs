//! `wharf up --platform ecs` over stand-ins for AWS, by the shipped `deploy/wharf.toml`: ECS, ELBv2 and EC2 are the simulator, Secrets Manager and the
//! queue the emulator. `cargo xtask test --suite aws` installs it and runs these.
//!
//! What must not be here: what is the same on every platform (`tests/program`), on whose harness these stand.
#![cfg(target_os = "linux")]

#[path = "../program/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests of the program use all of it, these a part"
)]
mod harness;

mod ecs;
