//! The suites: their names, what each needs, and how it is run. The cheap ones stand first.

use clap::builder::PossibleValuesParser;
use std::{ffi::OsStr, fs};

use super::{Counts, Machine, deploy, docker::Engine, stack::Stack};
use crate::{
    error::Error,
    fuzz, layers, links, postgres,
    python::{API, EMULATOR},
    tools::{
        ASL_VALIDATOR, CHROMIUM, CLIPPY, CXX, DENY, DOCKERD, EXIM, EXIM_VARIABLE, IP, IPTABLES, MINISTACK,
        MINISTACK_VARIABLE, NEXTEST, NPM, POSTGRES, POSTGRES_VARIABLE, PYTHON, RUSTFMT, SAM, SCHEMATHESIS,
        SCHEMATHESIS_VARIABLE, Tool,
    },
    workspace::{follow, read, succeeds},
};

/// Which tests drive a browser, in nextest's language.
const BROWSER: &str = "binary(browser)";
/// Which tests run against emulated services of AWS.
const EMULATED: &str = "binary(emulated) or binary(deployed)";
/// Which tests run against a PostgreSQL server.
const SERVED: &str = "binary(served)";
/// Which tests run containers.
const ON_DOCKER: &str = "binary(dockerd) or binary(docker)";
/// Which tests run the example of one server, with all that belongs to it.
const SINGLE_HOST: &str = "binary(single_host)";
/// Which tests strike the whole program, with seeds that stay the same.
const CHAOS: &str = "binary(chaos)";
/// Which tests make requests from the API's document.
const API_TESTS: &str = "binary(api)";
/// Which tests play days over AWS. They are tests since their build is the one of all tests: AWS's SDK alone takes minutes to build for release.
const DAYS_OVER_AWS: &str = "binary(days)";
/// Which tests hand mails to a real server.
const SMTP: &str = "binary(smtp)";
/// The days that every change has to pass, as seeds.
const DAYS: &str = "0..20000";
/// Within so many each planted mistake has to be noticed.
const DAYS_FOR_MISTAKES: &str = "0..10000";
/// Where nextest writes what it found, below the root. `.config/nextest.toml` says so for each profile.
const NEXTEST_FOLDER: &str = "target/nextest";
const NEXTEST_REPORT: &str = "junit.xml";

/// A part of `cargo xtask test`.
pub(crate) struct Suite {
    pub name: &'static str,
    pub about: &'static str,
    pub needs: &'static [&'static Tool],
    pub check: fn(&Machine<'_>) -> Result<Counts, Error>,
}

pub(crate) const SUITES: &[Suite] = &[
    Suite {
        name: "format",
        about: "all code is formatted by rustfmt",
        needs: &[&RUSTFMT],
        check: |machine| cargo(machine, &["fmt", "--all", "--check"]),
    },
    Suite {
        name: "layers",
        about: "dependencies point one way",
        needs: &[],
        check: |machine| layers::run(machine.workspace).map(Counts::one),
    },
    Suite {
        name: "links",
        about: "the documentation's links lead somewhere",
        needs: &[],
        check: |machine| links::run(machine.workspace).map(Counts::one),
    },
    Suite {
        name: "deny",
        about: "licences, sources and banned crates",
        needs: &[&DENY],
        check: |machine| cargo(machine, &["deny", "check", "bans", "licenses", "sources"]),
    },
    Suite {
        name: "clippy",
        about: "no warnings, in tests and benchmarks too",
        needs: &[&CLIPPY],
        check: |machine| {
            let words = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
            cargo(machine, &words)
        },
    },
    Suite {
        name: "deploy",
        about: "templates, policies, state machine, task definitions and image, by the tools of their makers",
        needs: &[&PYTHON, &NPM, &SAM, &ASL_VALIDATOR],
        check: deploy::check,
    },
    Suite {
        name: "tests",
        about: "every test but those of the suites below",
        needs: &[&NEXTEST],
        check: |machine| {
            nextest(
                machine,
                &format!(
                    "not ({BROWSER} or {EMULATED} or {SERVED} or {ON_DOCKER} or {SINGLE_HOST} or {CHAOS} or {API_TESTS} or {DAYS_OVER_AWS} or {SMTP})"
                ),
                &[],
            )
        },
    },
    Suite {
        name: "api",
        about: "requests made from the API's document, to the real program: every answer is documented, none a server error",
        needs: &[&NEXTEST, &PYTHON, &SCHEMATHESIS],
        check: |machine| {
            let schemathesis = API.program(machine.workspace, SCHEMATHESIS.program);
            nextest(
                machine,
                API_TESTS,
                &[(SCHEMATHESIS_VARIABLE, schemathesis.get_program())],
            )
        },
    },
    Suite {
        name: "aws",
        about: "the adapter of AWS against emulated services, and the whole stack deployed in them, with a real PostgreSQL",
        needs: &[&NEXTEST, &PYTHON, &MINISTACK, &SAM, &POSTGRES],
        check: |machine| {
            let ministack = EMULATOR.program(machine.workspace, MINISTACK.program);
            let programs = postgres::programs()?;
            let stack = Stack::make(machine.workspace)?;
            let [template, package] = stack.variables();
            let variables = [
                (MINISTACK_VARIABLE, ministack.get_program()),
                (POSTGRES_VARIABLE, programs.as_os_str()),
                template,
                package,
            ];
            nextest(machine, EMULATED, &variables)
        },
    },
    Suite {
        name: "postgres",
        about: "tenants' databases on real PostgreSQL servers, each test's own, and the program with them",
        needs: &[&NEXTEST, &POSTGRES],
        check: |machine| {
            let programs = postgres::programs()?;
            nextest(machine, SERVED, &[(POSTGRES_VARIABLE, programs.as_os_str())])
        },
    },
    Suite {
        name: "docker",
        about: "containers on a Docker Engine of the suite's own: the adapter, and the program from a sign-up to a visitor",
        needs: &[&NEXTEST, &DOCKERD, &IPTABLES],
        check: |machine| {
            let engine = Engine::start(machine.workspace)?;
            nextest(machine, ON_DOCKER, &[engine.variable()])
        },
    },
    Suite {
        name: "mail",
        about: "mails by a real SMTP server, private to each test, and by a stand-in for Resend",
        needs: &[&NEXTEST, &EXIM],
        check: |machine| {
            let exim = machine.workspace.program(EXIM.program);
            nextest(
                machine,
                &format!("{SMTP} or package(wharf-mail)"),
                &[(EXIM_VARIABLE, exim.get_program())],
            )
        },
    },
    Suite {
        name: "single-host",
        about: "examples/single-host with Docker, PostgreSQL and SMTP: from a payment to a shop, and through the sudden end of each",
        needs: &[&NEXTEST, &DOCKERD, &IPTABLES, &IP, &POSTGRES, &EXIM],
        check: |machine| {
            let programs = postgres::programs()?;
            let exim = machine.workspace.program(EXIM.program);
            let variables = [
                (POSTGRES_VARIABLE, programs.as_os_str()),
                (EXIM_VARIABLE, exim.get_program()),
            ];
            nextest(machine, SINGLE_HOST, &variables)
        },
    },
    Suite {
        name: "simulation",
        about: "bad days of Wharf by the thousand, some over AWS, and planted mistakes that they have to notice",
        needs: &[&NEXTEST],
        check: |machine| {
            let simulate = |words: &[&str]| {
                let command = ["run", "--release", "--quiet", "--package", "wharf-sim", "--"];
                cargo(machine, &[&command, words].concat())
            };
            let [days, mistakes] = [
                simulate(&["--seeds", DAYS])?,
                simulate(&["--flaws", "--seeds", DAYS_FOR_MISTAKES])?,
            ];
            Ok(days.and(mistakes).and(nextest(machine, DAYS_OVER_AWS, &[])?))
        },
    },
    Suite {
        name: "chaos",
        about: "the program used, killed, paused, starved of room and damaged, and the world compared with the registry",
        needs: &[&NEXTEST],
        check: |machine| nextest(machine, CHAOS, &[]),
    },
    Suite {
        name: "fuzz",
        about: "inputs that nobody thought of, led by coverage, for some seconds each",
        needs: &[&CXX],
        check: |machine| fuzz::shortly(machine.workspace).map(|(passed, failed)| Counts { passed, failed }),
    },
    Suite {
        name: "doctests",
        about: "the examples in the documentation of the code",
        needs: &[],
        check: doctests,
    },
    Suite {
        name: "browser",
        about: "a person's way through the pages, in Chromium",
        needs: &[&NEXTEST, &CHROMIUM],
        check: |machine| nextest(machine, BROWSER, &[]),
    },
];

impl Suite {
    /// Its line in `--help`.
    fn row(&self) -> String {
        let programs: Vec<_> = self.needs.iter().map(|tool| tool.program).collect();
        let needs = if programs.is_empty() {
            String::new()
        } else {
            format!(" (needs {})", programs.join(", "))
        };
        format!("  {:<11} {}{needs}\n", self.name, self.about)
    }
}

/// What `--suite` takes.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(SUITES.iter().map(|suite| suite.name))
}

/// The suites and what each needs, for `--help`.
pub(crate) fn help() -> String {
    let rows: String = SUITES.iter().map(Suite::row).collect();
    format!(
        "Suites, in this order:\n{rows}\n\
         What is missing is installed: cargo's tools, Python's and npm's below target, Debian's packages where this runs as root.\n\
         A suite whose tools cannot be had is left out and named; with CI=true in the environment that is a failure.\n\
         The last line of the output is `N passed, N failed`."
    )
}

/// A check that is one cargo command.
fn cargo(machine: &Machine<'_>, words: &[&str]) -> Result<Counts, Error> {
    succeeds(&mut machine.workspace.cargo(words)).map(Counts::one)
}

/// The tests that a filter chooses, each in a process of its own with these variables.
fn nextest(machine: &Machine<'_>, filter: &str, variables: &[(&str, &OsStr)]) -> Result<Counts, Error> {
    let profile = machine.profile();
    let report = machine
        .workspace
        .root()
        .join(NEXTEST_FOLDER)
        .join(profile)
        .join(NEXTEST_REPORT);
    // If the build fails nothing is written, and an earlier run's report must not be taken for this one's.
    if report.exists() {
        fs::remove_file(&report).map_err(|source| Error::Read {
            path: report.clone(),
            source,
        })?;
    }
    let mut command = machine
        .workspace
        .cargo(&["nextest", "run", "--workspace", "--no-fail-fast"]);
    command
        .args(["--profile", profile, "--filterset", filter])
        .envs(variables.iter().copied());
    let good = succeeds(&mut command)?;
    let counts = if report.exists() {
        Counts::of_junit(&read(&report)?)
    } else {
        None
    };
    Ok(counts.unwrap_or_default().of_runner(good))
}

/// The examples in the documentation, which nextest does not run.
fn doctests(machine: &Machine<'_>) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    let mut command = machine
        .workspace
        .cargo(&["test", "--doc", "--workspace", "--no-fail-fast"]);
    let good = follow(&mut command, |line| counts.add_result_line(line))?;
    Ok(counts.of_runner(good))
}
