//! For development only: the simulated world, its faults, the contract suites that hold every adapter to its trait, and the
//! battery that every saga passes.

pub mod battery;
pub mod contracts;
pub mod sim;
