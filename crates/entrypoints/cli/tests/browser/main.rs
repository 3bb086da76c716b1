//! The pages as people meet them, in Debian's Chromium: a whole way through each, from the real program to what is to be seen.
//!
//! `WHARF_PICTURE=docs/images/signup.png` has the README's picture taken anew, and `WHARF_PICTURES=FOLDER` one of every page,
//! on a phone and on a desk, in light and in dark colours:
//!
//! ```sh
//! WHARF_PICTURE=docs/images/signup.png cargo nextest run -p wharf -E 'binary(browser) and test(buying::)'
//! WHARF_PICTURES=target/pictures cargo nextest run -p wharf -E 'binary(browser) and test(views::)'
//! ```
//!
//! What must not be here: what can be seen without a browser. The tests of the program (`tests/program`) look at that, and these
//! stand on their harness.
#![cfg(target_os = "linux")]

#[path = "../program/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests of the program use all of it, these a part"
)]
mod harness;

mod chromium;
mod gate;
mod manners;
mod pictures;

mod buying;
mod console;
mod failing;
mod password;
mod phone;
mod views;
