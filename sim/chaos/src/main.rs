//! Chaos over the real program: customers and operators use a deployment while it is killed, paused, starved of room and damaged as a loss of
//! power damages. Then the world is compared with the registry.
//!
//! ```sh
//! wharf-chaos --seed 7 --rounds 20            # twenty rounds, what happens in them drawn from the seed
//! wharf-chaos --for 60s                       # with a seed of its own, which it prints first
//! wharf-chaos kills --times 500 --seed 1      # SIGKILL at 500 moments of a sign-up: what is lost, what is left, how long it takes to be well
//! ```
//!
//! | file | what it is for |
//! |---|---|
//! | `deployment` | what chaos does to a deployment and sees of it: a trait, so that other platforms can join |
//! | `machine/` | the first of them: `wharf up` on this machine, with processes as tasks |
//! | `door` | the deployment's HTTP, which is the same on every platform |
//! | `ledger` | what was asked for, and what was answered: what the world is held against |
//! | `load` | customers and operators |
//! | `blows` | what strikes |
//! | `watch` | what must hold at every moment |
//! | `compare` | what must hold whenever everything is at rest |
//! | `rounds` | the loop |
//! | `kills` | SIGKILL in the middle of a sign-up, many times, with figures |
//!
//! The seed decides what is done and in which order each does it. When it is done is the machine's: the same seed finds the same fault again
//! often, not always. What always repeats is in the simulation.
//!
//! What must not be here: anything that reaches into Wharf's crates. It sees what a customer, an operator and an administrator of the machine see.
#![cfg(target_os = "linux")]

mod arguments;
mod blows;
mod compare;
mod deployment;
mod door;
mod kills;
mod ledger;
mod load;
mod log;
mod machine;
mod rounds;
mod watch;

use clap::Parser;
use std::process::ExitCode;

use arguments::{Arguments, Mode};
use log::Log;

/// As a shell counts a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
/// It could not do its work: nothing is said of the deployment.
const BROKEN: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let broken = |error: String| {
        eprintln!("error: {error}");
        ExitCode::from(BROKEN)
    };
    if let Err(error) = machine::confine(arguments.disk) {
        return broken(error);
    }
    // One thread: who draws from the seed next does not depend on which of several is faster.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return broken(format!("no runtime: {error}")),
    };
    runtime.block_on(async {
        tokio::select! {
            verdict = run(&arguments) => verdict.unwrap_or_else(broken),
            () = interrupted() => ExitCode::from(INTERRUPTED),
        }
    })
}

/// Gives 0 where nothing was wrong, and 1 where something was.
async fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let seed = arguments.seed.unwrap_or_else(arguments::fresh_seed);
    let log = Log::begin();
    let good = match &arguments.mode {
        None => rounds::run(arguments, seed, &log).await?,
        Some(Mode::Kills(kills)) => kills::run(arguments, kills, seed, &log).await?,
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
