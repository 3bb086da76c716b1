//! `wharf`: the program. Reads the command line, does one thing, prints one value, exits with a documented code.

mod args;
mod client;
mod commands;
mod exit;
mod output;
mod progress;
mod up;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The bundled application is this program too. Each tenant's start passes here: nothing of Wharf's own comes before it.
    if std::env::args_os().nth(1).is_some_and(|first| first == "storefront") {
        return wharf_storefront::run();
    }
    let args = args::Args::parse();
    let json = args.global.json;
    match commands::run(args) {
        Ok(code) => code,
        Err(failure) => {
            output::failure(&failure, json);
            exit::code(&failure)
        }
    }
}
