//! The adapter against emulated services. Its program comes with `cargo xtask test --suite aws`.

mod registry;
mod secrets;
mod wakes;
mod way;
