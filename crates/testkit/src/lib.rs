//! For development only: the simulated world, its faults, the contract suites that hold every adapter to its trait, the
//! battery that every saga passes, and servers of a test's own: an emulator of AWS's other services, and PostgreSQL.

pub mod battery;
pub mod contracts;
pub mod emulator;
pub mod postgres;
pub mod sim;
