//! The command line, as data.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    path::PathBuf,
    time::Duration,
};

/// Uses a deployment while it is killed, paused, starved of room and damaged, and compares the world with the registry.
#[derive(Debug, Parser)]
#[command(
    name = "wharf-chaos",
    max_term_width = 110,
    after_help = "Exit code 0: nothing is wrong. 1: something is, and the last lines say what, with the seed. 2: it could not do its work."
)]
pub(crate) struct Arguments {
    /// What everything is drawn from [default: a new one, which is printed]
    #[arg(long, global = true)]
    pub(crate) seed: Option<u64>,
    /// How many rounds [default: 10, or without an end where --for is given]
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// No round begins after this time, such as 60s, 5m or 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// The program [default: `wharf` beside this one]
    #[arg(long, global = true, value_name = "PROGRAM")]
    pub(crate) wharf: Option<PathBuf>,
    /// What the data directory is on
    #[arg(long, global = true, value_enum, default_value_t = Disk::Small)]
    pub(crate) disk: Disk,
    /// Break something behind the deployment's back after the first round, to see that it is found
    #[arg(long, value_enum)]
    pub(crate) plant: Option<Bug>,
    /// Where the deployment lives; it stays there [default: a temporary folder, which stays only if something is wrong]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// SIGKILL at random moments of a sign-up, from its request until its first visit
    Kills(Kills),
}

#[derive(Debug, Args)]
pub(crate) struct Kills {
    /// How many sign-ups are struck
    #[arg(long, default_value_t = 500)]
    pub(crate) times: usize,
    /// Tenants that are there all along, each with an order in its shop
    #[arg(long, default_value_t = 4)]
    pub(crate) standing: usize,
}

/// What the data directory is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Disk {
    /// A file system of its own that can be filled; where none may be mounted, `limited`
    Small,
    /// The disk of the folder, with a limit to the size of files in a full disk's place
    Limited,
    /// The disk of the folder, which is not filled
    Real,
}

/// What is broken behind the deployment's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bug {
    /// A process with this deployment's marks that belongs to nothing
    Orphan,
    /// A second task of an instance that has one
    Twin,
    /// Something listens on a port that was leased to nobody
    Port,
    /// A tenant's database is lost
    Database,
    /// Secrets of an instance that is over
    Secrets,
    /// A mail was never sent
    Mail,
    /// A mail was sent twice
    SecondMail,
    /// The registry as it was before the round
    Registry,
}

pub(crate) fn fresh_seed() -> u64 {
    // Small enough to be said on the telephone.
    RandomState::new().build_hasher().finish() % 1_000_000_000
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("it has to be a number with s, m or h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "it has to begin with a number".to_owned())?;
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds <= 7 * 24 * 3600);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "a week is the most".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit_and_a_bound() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        for bad in ["", "m", "5 m", "5d", "-1s", "99999999999999999999s", "1000h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
