//! The storefront: a small shop with a database, which Wharf brings along so that its main job runs on something real.
//!
//! It stands for any HTTP application. It is told what it needs through its environment (`settings`), it knows nothing of Wharf, and none of
//! Wharf's crates may become a dependency of it.
//!
//! `database` alone knows SQL, `web` alone knows HTTP and HTML, `server` alone knows sockets and signals.

mod clock;
mod database;
mod late;
mod money;
mod random;
mod server;
mod settings;
mod text;
mod web;

use std::{env::var_os, ffi::OsString, fmt, io::Write as _, path::Path, process::ExitCode};

use server::Door;
use settings::Settings;

/// The environment does not say what is needed, or says it wrongly: mend it, then start again.
const EXIT_SETTINGS: u8 = 2;
/// The port, the database or the machine does not do what is asked of it.
const EXIT_FAILED: u8 = 1;

/// Runs the shop that the environment describes until SIGTERM or SIGINT. With `WHARF_CONFIGURATION` in it, it waits for the file of that name, and takes from
/// there what it is told; beforehand it has to know `PORT` and `HOST`.
///
/// Exit codes: 0 after a signal, 1 when the port or the database cannot be used, 2 when the environment is wrong. What is wrong is said on stderr.
///
/// It builds a tokio runtime of its own on the calling thread, so it must not be called from within one.
#[must_use]
pub fn run() -> ExitCode {
    let ended = match late::path() {
        None => at_once(),
        Some(path) => late(&path),
    };
    ended.err().unwrap_or(ExitCode::SUCCESS)
}

fn at_once() -> Result<(), ExitCode> {
    let settings = settings(var_os)?;
    // Before the database is touched: whoever does not get the port has no business with the file, and whoever asks already waits in the queue
    // instead of being refused.
    let door = Door::open(&settings.host, settings.port).map_err(failed)?;
    door.serve(settings).map_err(failed)
}

/// With everything that can be done beforehand done before: whoever asks already is answered as soon as it is known whose shop it is.
fn late(path: &Path) -> Result<(), ExitCode> {
    let (host, port) = Settings::address(var_os).map_err(unsettled)?;
    let door = Door::open(&host, port).map_err(failed)?;
    let Some(variables) = door.told(path).map_err(failed)? else {
        return Ok(());
    };
    let settings = settings(|name| late::variable(&variables, name))?;
    door.serve(settings).map_err(failed)
}

fn settings(variable: impl Fn(&'static str) -> Option<OsString>) -> Result<Settings, ExitCode> {
    Settings::read(variable).map_err(unsettled)
}

fn unsettled(error: impl fmt::Display) -> ExitCode {
    say(&error);
    ExitCode::from(EXIT_SETTINGS)
}

fn failed(error: impl fmt::Display) -> ExitCode {
    say(&error);
    ExitCode::from(EXIT_FAILED)
}

/// One line on stderr, written at once. `eprintln!` would panic when nobody holds the other end of the pipe any more, and a shop must outlive its log.
fn say(line: &dyn fmt::Display) {
    let _ = std::io::stderr().write_all(format!("storefront: {line}\n").as_bytes());
}
