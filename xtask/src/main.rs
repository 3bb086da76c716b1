//! The tasks of Wharf's developers, as `cargo xtask <task>`: what is checked, how it is measured, which tools that needs.
//!
//! Compile time counts here, on every call: no dependency that a task can do without, and none of Wharf's own crates
//! (a workspace that does not build must still be able to check itself).

mod audit;
mod bench;
mod error;
mod fuzz;
mod layers;
mod links;
mod postgres;
mod python;
mod soak;
mod test;
mod tools;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

use crate::{error::Error, workspace::Workspace};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The tasks of Wharf's developers",
    after_help = "Everything that a change has to pass is `cargo xtask test`."
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check and every test, and say at the end what passed
    Test(test::Arguments),
    /// Check which crate names which, over `cargo metadata`
    Layers,
    /// Check the dependencies against the databases of known vulnerabilities (needs the network)
    Audit,
    /// Measure, in a release build: a table, and a file for machines
    Bench(bench::Arguments),
    /// Run chaos and simulations with ever new seeds, in a release build, until something is wrong
    Soak(soak::Arguments),
    /// Give the targets of fuzz/ inputs that nobody thought of, led by coverage
    Fuzz(fuzz::Arguments),
    /// Format all code
    Fmt {
        /// Change nothing, and fail if something is not formatted
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let workspace = Workspace::find();
    match run(&workspace, Arguments::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

/// Does a task. Gives whether it found everything as it should be.
fn run(workspace: &Workspace, task: Task) -> Result<bool, Error> {
    match task {
        Task::Test(arguments) => Ok(test::run(workspace, &arguments)),
        Task::Layers => layers::run(workspace),
        Task::Audit => audit::run(workspace),
        Task::Bench(arguments) => bench::run(workspace, &arguments),
        Task::Soak(arguments) => soak::run(workspace, &arguments),
        Task::Fuzz(arguments) => fuzz::run(workspace, &arguments),
        Task::Fmt { check } => format(workspace, check),
    }
}

/// Formats all code, or checks that it is.
fn format(workspace: &Workspace, check: bool) -> Result<bool, Error> {
    let mut command = workspace.cargo(&["fmt", "--all"]);
    if check {
        command.arg("--check");
    }
    workspace::succeeds(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
