//! The storefront: a small shop with a database, which Wharf brings along so that its main job runs on something real.
//!
//! It stands for any HTTP application. It is told what it needs through its environment (`settings`), it knows nothing of Wharf, and none of
//! Wharf's crates may become a dependency of it.
//!
//! `database` alone knows SQL, `web` alone knows HTTP and HTML, `server` alone knows sockets and signals.

mod clock;
mod database;
mod money;
mod random;
mod server;
mod settings;
mod text;
mod web;

use std::{fmt, io::Write as _, process::ExitCode};

/// The environment does not say what is needed, or says it wrongly: mend it, then start again.
const EXIT_SETTINGS: u8 = 2;
/// The port, the database or the machine does not do what is asked of it.
const EXIT_FAILED: u8 = 1;

/// Runs the shop that the environment describes until SIGTERM or SIGINT.
///
/// Exit codes: 0 after a signal, 1 when the port or the database cannot be used, 2 when the environment is wrong. What is wrong is said on stderr.
///
/// It builds a tokio runtime of its own on the calling thread, so it must not be called from within one.
#[must_use]
pub fn run() -> ExitCode {
    let settings = match settings::Settings::read(std::env::var_os) {
        Ok(settings) => settings,
        Err(error) => {
            say(&error);
            return ExitCode::from(EXIT_SETTINGS);
        }
    };
    match server::serve(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// One line on stderr, written at once. `eprintln!` would panic when nobody holds the other end of the pipe any more, and a shop must outlive its log.
fn say(line: &dyn fmt::Display) {
    let _ = std::io::stderr().write_all(format!("storefront: {line}\n").as_bytes());
}
