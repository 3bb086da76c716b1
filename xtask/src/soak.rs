//! `cargo xtask soak`: chaos and simulations with ever new seeds, in a release build, until it is stopped or something is wrong.
//!
//! What must not be here: what is played. That is the programs' own business; they exit 1 where something is wrong, and have said what, with the seed.

use std::{
    env,
    hash::{BuildHasher, Hasher, RandomState},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    error::Error,
    workspace::{Workspace, succeeds},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Nothing new is begun after this time, such as 90s, 10m or 8h [default: until something is wrong]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// Go on after something was wrong, and name all seeds at the end
    #[arg(long)]
    go_on: bool,
}

/// A program that plays from a seed.
struct Play {
    package: &'static str,
    words: fn(u64) -> Vec<String>,
}

/// They take turns.
const PLAYS: &[Play] = &[
    Play {
        package: "wharf-chaos",
        words: |seed| {
            ["--seed", &seed.to_string(), "--rounds", "24"]
                .map(str::to_owned)
                .to_vec()
        },
    },
    Play {
        package: "wharf-sim",
        words: |seed| vec!["--seeds".to_owned(), format!("{seed}..{}", seed + SIMULATED)],
    },
    Play {
        package: "wharf-sim-aws",
        words: |seed| vec!["--seeds".to_owned(), format!("{seed}..{}", seed + SIMULATED_OVER_AWS)],
    },
];
/// Seeds that the simulation plays in one turn: some minutes' worth.
const SIMULATED: u64 = 20_000;
/// The same over AWS.
const SIMULATED_OVER_AWS: u64 = 1_000;
/// What they play with.
const PROGRAM: &str = "wharf";
/// Seeds are below this, so that they can be told and typed.
const SEEDS: u64 = 1_000_000_000;

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<bool, Error> {
    let mut build = workspace.cargo(&["build", "--release", "--package", PROGRAM]);
    for play in PLAYS {
        build.args(["--package", play.package]);
    }
    if !succeeds(&mut build)? {
        return Ok(false);
    }
    let begun = Instant::now();
    let is_over = || arguments.duration.is_some_and(|duration| begun.elapsed() >= duration);
    let (mut played, mut wrong) = (0, Vec::new());
    for play in PLAYS.iter().cycle() {
        if is_over() || !(wrong.is_empty() || arguments.go_on) {
            break;
        }
        let words = (play.words)(RandomState::new().build_hasher().finish() % SEEDS);
        let program = release(workspace).join(play.package);
        if !succeeds(Command::new(&program).args(&words).current_dir(workspace.root()))? {
            wrong.push(format!(
                "cargo run --release -p {} -- {}",
                play.package,
                words.join(" ")
            ));
        }
        played += 1;
    }
    println!(
        "\n{played} played in {} s, {} of them wrong",
        begun.elapsed().as_secs(),
        wrong.len()
    );
    for again in &wrong {
        println!("again: {again}");
    }
    Ok(wrong.is_empty())
}

/// Where cargo puts what it builds for release.
fn release(workspace: &Workspace) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.root().join("target"), PathBuf::from);
    target.join("release")
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("it is a number with s, m or h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "it begins with a number".to_owned())?;
    let seconds = number.checked_mul(seconds).ok_or("it is too long")?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("8h"), Ok(Duration::from_hours(8)));
        for bad in ["", "90", "h", "1d", "99999999999999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
