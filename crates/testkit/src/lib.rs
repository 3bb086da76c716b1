//! For development only: the simulated world, its faults, the contract suites that hold every adapter to its trait, the
//! battery that every saga passes, and an emulator of AWS's other services in a process of its own.

pub mod battery;
pub mod contracts;
pub mod emulator;
pub mod sim;
