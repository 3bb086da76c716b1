//! `cargo run --release -p wharf-sim-aws -- --seeds 0..1000`: plays seeds, and says which of them break a rule.

use clap::Parser;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    ops::Range,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};
use wharf_sim_aws::{Flaw, Options, Report, Script, play, play_script};

/// Simulates Wharf on AWS, and holds it against its rules.
#[derive(Debug, Parser)]
struct Arguments {
    /// Plays one seed, and shows what happened.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Plays a range of seeds: `0..1000`.
    #[arg(long, value_parser = range, default_value = "0..100")]
    seeds: Range<u64>,
    /// Makes this mistake on purpose.
    #[arg(long, value_name = "NAME")]
    flaw: Option<Flaw>,
    /// Makes each known mistake on purpose, and looks how many seeds it takes until it is noticed; exit code 1 if one is not within --seeds.
    #[arg(long, conflicts_with_all = ["seed", "flaw"])]
    flaws: bool,
    /// With one seed: not the log, only how it ended.
    #[arg(long)]
    brief: bool,
    /// At a time; as many as there are processors where nothing is said.
    #[arg(long)]
    threads: Option<usize>,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("a range is FIRST..END")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    Ok(number(first)?..number(end)?)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let threads = arguments.threads.map_or_else(
        || thread::available_parallelism().map_or(1, usize::from),
        |threads| threads.max(1),
    );
    let options = Options {
        log: false,
        flaw: arguments.flaw,
    };
    match arguments.seed {
        Some(seed) => one(seed, arguments.brief, options),
        None if arguments.flaws => flaws(&arguments.seeds, threads),
        None => many(&arguments.seeds, threads, options),
    }
}

fn one(seed: u64, brief: bool, options: Options) -> ExitCode {
    let script = Script::of(seed);
    println!("{script}");
    let report = play(seed, Options { log: !brief, ..options });
    print!("{}", report.log);
    show(seed, &report);
    if report.is_well() {
        return ExitCode::SUCCESS;
    }
    println!("{}", shortened(&script, &report, options));
    ExitCode::FAILURE
}

fn show(seed: u64, report: &Report) {
    for violation in &report.violations {
        println!("seed {seed}: {violation}");
    }
    println!("seed {seed}: {:?} in {:?}", report.states, report.simulated);
}

/// The script without those moves that the same rule is broken without.
fn shortened(script: &Script, report: &Report, options: Options) -> Script {
    let Some(rule) = report.violations.first().map(|violation| violation.rule) else {
        return script.clone();
    };
    let mut short = script.clone();
    let mut index = 0;
    while index < short.moves.len() {
        let without = short.keeping(|at| at != index);
        if play_script(&without, options)
            .violations
            .iter()
            .any(|violation| violation.rule == rule)
        {
            short = without;
        } else {
            index += 1;
        }
    }
    short
}

/// What a range of seeds has come to.
#[derive(Default)]
struct Sum {
    played: u64,
    simulated: Duration,
    states: BTreeMap<&'static str, u64>,
    counts: BTreeMap<String, u64>,
    /// By seed.
    failed: BTreeMap<u64, Report>,
}

impl Sum {
    fn add(&mut self, seed: u64, report: Report) {
        self.played += 1;
        self.simulated += report.simulated;
        for (state, count) in &report.states {
            *self.states.entry(state).or_default() += count;
        }
        for (what, count) in &report.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
        if !report.is_well() {
            self.failed.insert(seed, report);
        }
    }
}

/// Plays seeds on several threads until they are through; with `to_the_first`, until one has failed.
fn sweep(seeds: &Range<u64>, threads: usize, options: Options, to_the_first: bool) -> Sum {
    let next = AtomicU64::new(seeds.start);
    let sum = Mutex::new(Sum::default());
    let play_some = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || (to_the_first && !sum.lock().failed.is_empty()) {
                return;
            }
            let report = play(seed, options);
            if !report.is_well() && options.flaw.is_none() {
                show(seed, &report);
            }
            sum.lock().add(seed, report);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(play_some);
        }
    });
    sum.into_inner()
}

fn many(seeds: &Range<u64>, threads: usize, options: Options) -> ExitCode {
    let began = Instant::now();
    let sum = sweep(seeds, threads, options, false);
    let took = began.elapsed();
    println!(
        "{} seeds in {took:.1?}: {:.1} a second, {:.0} simulated hours",
        sum.played,
        sum.played as f64 / took.as_secs_f64(),
        sum.simulated.as_secs_f64() / 3_600.0
    );
    println!("at rest: {:?}", sum.states);
    println!("calls: {:?}", sum.counts);
    if sum.failed.is_empty() {
        println!("no rule was broken");
        return ExitCode::SUCCESS;
    }
    println!("rules were broken by {:?}", sum.failed.keys().collect::<Vec<_>>());
    ExitCode::FAILURE
}

/// How soon each mistake is noticed.
fn flaws(seeds: &Range<u64>, threads: usize) -> ExitCode {
    let mut all = ExitCode::SUCCESS;
    for flaw in Flaw::ALL {
        let options = Options {
            log: false,
            flaw: Some(*flaw),
        };
        let began = Instant::now();
        let sum = sweep(seeds, threads, options, true);
        let (played, took) = (sum.played, began.elapsed());
        match sum.failed.first_key_value() {
            Some((seed, report)) => {
                let rule = report.violations.first().map_or("", |violation| violation.rule);
                println!("{flaw:<20} seed {seed:>4}, after {played} played in {took:.1?}: {rule}");
            }
            None => {
                all = ExitCode::FAILURE;
                println!("{flaw:<20} NOT NOTICED in {played} seeds");
            }
        }
    }
    all
}
