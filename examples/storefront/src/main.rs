//! The shop as a program of its own, for its tests and for a container image. Everything is in the library, because `wharf storefront` starts it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf_storefront::run()
}
