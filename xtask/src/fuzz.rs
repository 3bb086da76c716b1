//! `cargo xtask fuzz`: the targets of `fuzz/`, led by coverage. libFuzzer drives them; the stable compiler puts in what it sees by, through its LLVM passes, so
//! that no other toolchain is needed (and no sanitizer comes along: those are cargo-fuzz's, on a nightly one).
//!
//! What is built that way has a folder of its own, `target/fuzz`. What a target does stands in `fuzz/src`.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    error::Error,
    soak::duration,
    workspace::{Workspace, output, read, succeeds},
};

/// Those that are built in the time that there is.
const QUICK: &[&str] = &[
    "host", "head", "request", "config", "record", "message", "event", "webhook", "name", "mail",
];
/// Those behind AWS's SDK, which alone takes minutes to build so. With every run of the tests they are replayed.
const BEHIND_AWS: &[&str] = &["task_event", "payload"];
/// How long each of the quick ones has when everything is tested.
const IN_A_TEST: Duration = Duration::from_secs(6);
/// Targets that run at the same time.
const AT_ONCE: usize = 2;
/// An input that takes longer hangs.
const INPUT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest input that is tried, in bytes: what is found with a long one is found with a short one too.
const INPUT_MAX: usize = 4096;
const MEMORY_MAX_MB: usize = 2048;

/// What cargo-fuzz sets too: a counter at each edge, a table of where they are, and comparisons told.
const COVERAGE: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// Of the profile `release`, which compiles macros and build scripts plainly; but with every check that a debug build has.
const PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only"),
    ("CARGO_PROFILE_RELEASE_STRIP", "none"),
    ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
    ("CARGO_INCREMENTAL", "0"),
];
const OPTIMISATION: &str = "CARGO_PROFILE_RELEASE_OPT_LEVEL";

/// How much is done, and how it is built for it.
#[derive(Clone, Copy)]
struct Effort {
    /// How long each target runs.
    time: Duration,
    /// What is optimised tries several times as many inputs a second, and takes several times as long to build.
    optimisation: &'static str,
}

#[derive(clap::Args)]
#[command(after_help = "A file that is found belongs into fuzz/corpus/TARGET, beside the change that mends it.")]
pub(crate) struct Arguments {
    /// Only this one; all of them, unless given
    #[arg(value_name = "TARGET", value_parser = clap::builder::PossibleValuesParser::new(QUICK.iter().chain(BEHIND_AWS)))]
    target: Option<String>,
    /// How long each runs: 90s, 10m, 8h
    #[arg(long = "for", value_name = "DURATION", default_value = "1m", value_parser = duration)]
    time: Duration,
}

/// Fuzzes, and prints what came of it. Gives whether nothing was found.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<bool, Error> {
    let targets: Vec<&str> = match &arguments.target {
        Some(target) => vec![target],
        None => QUICK.iter().chain(BEHIND_AWS).copied().collect(),
    };
    let effort = Effort {
        time: arguments.time,
        optimisation: "1",
    };
    let fuzzed = fuzz(workspace, &targets, effort)?;
    Ok(fuzzed.iter().all(|fuzzed| fuzzed.is_good))
}

/// The quick ones, each for some seconds. Gives how many found nothing, and how many did.
pub(crate) fn shortly(workspace: &Workspace) -> Result<(u32, u32), Error> {
    let effort = Effort {
        time: IN_A_TEST,
        optimisation: "0",
    };
    let fuzzed = fuzz(workspace, QUICK, effort)?;
    let count = |good| fuzzed.iter().filter(|fuzzed| fuzzed.is_good == good).count();
    let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
    Ok((number(count(true)), number(count(false))))
}

/// What became of one target.
struct Fuzzed {
    target: &'static str,
    is_good: bool,
    inputs: u64,
    /// Edges that were seen.
    edges: u64,
    log: PathBuf,
}

fn fuzz(workspace: &Workspace, targets: &[&str], Effort { time, optimisation }: Effort) -> Result<Vec<Fuzzed>, Error> {
    let targets: Vec<&'static str> = QUICK
        .iter()
        .chain(BEHIND_AWS)
        .copied()
        .filter(|known| targets.contains(known))
        .collect();
    let triple = host(workspace)?;
    if !build(workspace, &targets, &triple, optimisation)? {
        return Err(Error::Failed {
            command: "the build with coverage".to_owned(),
        });
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fuzzed = drive(workspace, target, &triple, time);
                    done.lock().expect("nobody panics with it").push(fuzzed);
                }
            });
        }
    });
    let done = done.into_inner().expect("nobody panics with it");
    let fuzzed = done.into_iter().collect::<Result<Vec<_>, _>>()?;
    show(&fuzzed, time);
    Ok(fuzzed)
}

/// The system that programs are built for here. Said to cargo, it keeps build scripts and macros free of what is put into the programs.
fn host(workspace: &Workspace) -> Result<String, Error> {
    let said = output(workspace.program("rustc").arg("-vV"))?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error::Failed {
        command: "rustc -vV".to_owned(),
    })
}

fn build(workspace: &Workspace, targets: &[&str], triple: &str, optimisation: &str) -> Result<bool, Error> {
    let mut command = workspace.cargo(&["build", "--release", "--package", "wharf-fuzz", "--target", triple]);
    command.arg("--target-dir").arg(folder(workspace));
    if !targets.iter().any(|target| BEHIND_AWS.contains(target)) {
        command.arg("--no-default-features");
    }
    for target in targets {
        command.args(["--bin", target]);
    }
    command
        .env("RUSTFLAGS", COVERAGE.join(" "))
        .envs(PROFILE.iter().copied())
        .env(OPTIMISATION, optimisation)
        .env_remove("CARGO_TARGET_DIR");
    succeeds(&mut command)
}

fn folder(workspace: &Workspace) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => workspace.root().join(folder).join("fuzz"),
        None => workspace.root().join("target/fuzz"),
    }
}

/// Runs one target to its time or to what it finds.
fn drive(workspace: &Workspace, target: &'static str, triple: &str, time: Duration) -> Result<Fuzzed, Error> {
    let folder = folder(workspace);
    let (grown, found) = (folder.join("corpus").join(target), folder.join("found"));
    let log = folder.join(format!("{target}.log"));
    let made = |path: &PathBuf, source: io::Error| Error::Read {
        path: path.clone(),
        source,
    };
    for path in [&grown, &found] {
        fs::create_dir_all(path).map_err(|error| made(path, error))?;
    }
    let written = File::create(&log).map_err(|error| made(&log, error))?;
    let program = folder.join(triple).join("release").join(target);
    let own = workspace.root().join("fuzz");
    let mut command = workspace.program(&program.to_string_lossy());
    command.arg(&grown).arg(own.join("corpus").join(target)).args([
        format!("-max_total_time={}", time.as_secs().max(1)),
        format!("-timeout={}", INPUT_TIMEOUT.as_secs()),
        format!("-rss_limit_mb={MEMORY_MAX_MB}"),
        format!("-max_len={INPUT_MAX}"),
        format!("-artifact_prefix={}/{target}-", found.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    let dictionary = own.join("dictionaries").join(format!("{target}.dict"));
    if dictionary.exists() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    let status = command
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(written)
        .status()
        .map_err(|source| Error::Start {
            program: target.to_owned(),
            source,
        })?;
    let said = String::from_utf8_lossy(&fs::read(&log).map_err(|error| made(&log, error))?).into_owned();
    Ok(Fuzzed {
        target,
        is_good: status.success(),
        inputs: last(&said, "stat::number_of_executed_units:"),
        edges: last(&said, " cov:"),
        log,
    })
}

/// The number after the last place where libFuzzer says this.
fn last(said: &str, what: &str) -> u64 {
    let number = said
        .rsplit_once(what)
        .and_then(|(_, rest)| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn show(fuzzed: &[Fuzzed], time: Duration) {
    println!("{:<12} {:>12} {:>10} {:>8}", "TARGET", "INPUTS", "PER SECOND", "EDGES");
    for one in fuzzed {
        let found = if one.is_good { "" } else { "  found something" };
        println!(
            "{:<12} {:>12} {:>10} {:>8}{found}",
            one.target,
            one.inputs,
            one.inputs / time.as_secs().max(1),
            one.edges
        );
    }
    for one in fuzzed.iter().filter(|one| !one.is_good) {
        println!("\n── {}: {}", one.target, one.log.display());
        let said = read(&one.log).unwrap_or_default();
        let about: Vec<&str> = said.lines().rev().take(40).collect();
        for line in about.iter().rev() {
            println!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_named_here() {
        let folder = Workspace::find().root().join("fuzz/fuzz_targets");
        let mut there: Vec<String> = fs::read_dir(folder)
            .expect("targets")
            .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
            .collect();
        let mut named: Vec<&str> = QUICK.iter().chain(BEHIND_AWS).copied().collect();
        there.sort();
        named.sort_unstable();
        assert_eq!(there, named);
    }

    #[test]
    fn what_libfuzzer_says_is_found() {
        let said = "#2 INITED cov: 10 ft: 3\n#99 DONE cov: 25 ft: 9\nstat::number_of_executed_units: 1234\n";
        assert_eq!(last(said, " cov:"), 25);
        assert_eq!(last(said, "stat::number_of_executed_units:"), 1234);
        assert_eq!(last("", " cov:"), 0);
    }
}
