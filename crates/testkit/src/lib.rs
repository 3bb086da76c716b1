//! For development only: the simulated world, its faults, the contract suites that hold every adapter to its trait, the
//! battery that every saga passes, and servers of a test's own: an emulator of AWS's other services,
//! PostgreSQL, and Exim.

pub mod battery;
pub mod certificate;
pub mod contracts;
pub mod emulator;
pub mod exim;
pub mod postgres;
pub mod sim;
