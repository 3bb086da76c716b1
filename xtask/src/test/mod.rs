//! `cargo xtask test`: every suite, one after the other whatever the one before found, and at the end what came of it.
//!
//! What the suites are stands in `suites`; how their results are shown, in `report`.

mod counts;
mod deploy;
pub(crate) mod docker;
mod report;
mod stack;
mod suites;

use std::{env, time::Instant};

use crate::{tools::Toolbox, workspace::Workspace};
use counts::Counts;
use report::{Report, Verdict};
use suites::{SUITES, Suite};

#[derive(clap::Args)]
#[command(after_help = suites::help())]
pub(crate) struct Arguments {
    /// Only this suite; may be given several times
    #[arg(long = "suite", value_name = "NAME", value_parser = suites::names())]
    suites: Vec<String>,
}

/// Runs the suites and prints the report. Gives whether nothing failed.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> bool {
    let machine = Machine {
        workspace,
        is_ci: env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false")),
    };
    let mut toolbox = Toolbox::new(workspace);
    let mut report = Report::default();
    let wanted = |suite: &&Suite| arguments.suites.is_empty() || arguments.suites.iter().any(|name| name == suite.name);
    for suite in SUITES.iter().filter(wanted) {
        eprintln!("\n── {}: {}", suite.name, suite.about);
        let start = Instant::now();
        let verdict = machine.examine(suite, &mut toolbox);
        report.add(suite.name, verdict, start.elapsed());
    }
    println!("\n{report}");
    report.is_good()
}

/// Where the suites run.
struct Machine<'a> {
    workspace: &'a Workspace,
    /// Nothing may be left out.
    is_ci: bool,
}

impl Machine<'_> {
    fn examine(&self, suite: &Suite, toolbox: &mut Toolbox<'_>) -> Verdict {
        let found = toolbox.provide(suite.needs).and_then(|missing| {
            if missing.is_empty() {
                return (suite.check)(self).map(Verdict::Ran);
            }
            let reasons: Vec<_> = missing.iter().map(ToString::to_string).collect();
            let reason = reasons.join("; ");
            Ok(if self.is_ci {
                Verdict::Broken(reason)
            } else {
                Verdict::LeftOut(reason)
            })
        });
        found.unwrap_or_else(|error| Verdict::Broken(error.chain()))
    }

    /// Which of nextest's profiles applies.
    const fn profile(&self) -> &'static str {
        if self.is_ci { "ci" } else { "default" }
    }
}
