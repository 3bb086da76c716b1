//! The benchmarks: one binary, run by `cargo xtask bench`. Each prints what it measured beside the peer or the limit that it is
//! held against, both from the same run; `docs/benchmarks.md` says what each figure means.
//!
//! What must not be here: anything that the product needs, and any way to make a figure better than it is.

mod aws;
mod bare;
mod children;
mod crowd;
mod docker;
mod edge;
mod engine;
mod figure;
mod fsync;
mod http;
mod journal;
mod machine;
mod postgres;
mod provision;
mod recovery;
mod report;
mod samples;
mod scale;
mod scratch;
mod server;
mod setup;
mod usage;
mod wake;

use clap::{Parser, Subcommand};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{figure::Figure, machine::Machine, report::Outcome, scratch::Scratch, setup::Setup};

/// Whatever went wrong, in words: there is nobody to tell but a person.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A whole run takes no longer.
const LONGEST: Duration = Duration::from_mins(10);
const LONGEST_QUICK: Duration = Duration::from_mins(2);

/// Measures Wharf against its peers and limits.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench --", bin_name = "cargo xtask bench --")]
struct Arguments {
    /// Only this benchmark; may be given several times
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(BENCHMARKS.map(|(name, _)| name)))]
    only: Vec<String>,
    /// Fewer and shorter rounds: for whoever works on it, not for figures to quote
    #[arg(long)]
    quick: bool,
    /// Fail if a goal is not reached
    #[arg(long)]
    strict: bool,
    /// Measure this `wharf`, rather than one that is built for it
    #[arg(long, value_name = "PROGRAM")]
    wharf: Option<PathBuf>,
    /// A part of a benchmark that has to be a process of its own
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    #[command(hide = true)]
    Sleepers(engine::sleepers::Part),
    #[command(hide = true)]
    Edge(edge::proxy::Part),
    #[command(hide = true)]
    Upstream,
    #[command(hide = true)]
    Recovery(recovery::Part),
    #[command(hide = true)]
    Poller(aws::poller::Part),
}

type Benchmark = fn(&Setup) -> Result<Vec<Figure>>;

const BENCHMARKS: [(&str, Benchmark); 13] = [
    ("engine", engine::run),
    ("journal", journal::run),
    ("provision", provision::run),
    ("edge", edge::run),
    ("scale", scale::run),
    ("recovery", recovery::run),
    ("crowd", crowd::run),
    ("postgres", postgres::run),
    ("docker", docker::run),
    ("wake", wake::run),
    ("dynamodb", aws::dynamodb::run),
    ("ecs", aws::ecs),
    ("lambda", aws::lambda),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.part {
        Some(Part::Sleepers(part)) => engine::sleepers::part(&part).map(|()| true),
        Some(Part::Edge(part)) => edge::proxy::part(&part).map(|()| true),
        Some(Part::Upstream) => edge::upstream::part().map(|()| true),
        Some(Part::Recovery(part)) => recovery::part(&part).map(|()| true),
        Some(Part::Poller(part)) => aws::poller::part(&part).map(|()| true),
        None => run(&arguments),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmarks. Gives whether all went well.
fn run(arguments: &Arguments) -> Result<bool> {
    let began = Instant::now();
    let root = results_folder()?;
    let scratch = Scratch::new(&root)?;
    let longest = if arguments.quick { LONGEST_QUICK } else { LONGEST };
    children::end_on_interrupt(scratch.path().to_owned(), longest)?;
    let machine = Machine::of(scratch.path());
    let setup = Setup::new(arguments.quick, scratch, arguments.wharf.clone())?;

    let mut outcomes = Vec::new();
    for (benchmark, measure) in BENCHMARKS {
        if arguments.only.is_empty() || arguments.only.iter().any(|name| name == benchmark) {
            eprintln!("measuring: {benchmark}");
            let figures = measure(&setup).map_err(|error| error.to_string());
            outcomes.push(Outcome { benchmark, figures });
        }
    }
    let results = root.join("results.json");
    report::write(
        &results,
        &machine,
        &outcomes,
        arguments.quick,
        began.elapsed().as_secs_f64(),
    )?;
    print!("{}", report::table(&machine, &outcomes));
    eprintln!("written: {}", results.display());
    Ok(outcomes.iter().all(|outcome| match &outcome.figures {
        Ok(figures) => !arguments.strict || figures.iter().all(|figure| figure.reached() != Some(false)),
        Err(_) => false,
    }))
}

/// `bench` in the target folder, where this program is in the folder of its profile.
fn results_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent);
    Ok(target.ok_or("this program is in no target folder")?.join("bench"))
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
