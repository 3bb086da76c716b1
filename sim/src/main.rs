//! `wharf-sim`: plays one seed with everything that happens, or a range of seeds, or looks how soon planted mistakes are found.

use clap::Parser;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    ops::Range,
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};
use wharf_sim::{Options, Report, Script, compose::compose, play, shrink::shrink};
use wharf_testkit::sim::Flaw;

/// Plays bad days of Wharf, one for each seed, and holds what happens against what must never be.
#[derive(Debug, Parser)]
#[command(name = "wharf-sim", max_term_width = 110)]
struct Args {
    /// Play this seed, and print everything that happens
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "flaws"])]
    seed: Option<u64>,
    /// With --seed: only these moves of its script, as a shrunk run names them
    #[arg(long, value_name = "N,N,…", requires = "seed", value_delimiter = ',')]
    keep: Option<Vec<usize>>,
    /// Play these seeds, from A up to and without B; exit code 1 and the seed if one fails
    #[arg(long, value_name = "A..B", value_parser = range)]
    seeds: Option<Range<u64>>,
    /// Make this mistake on purpose
    #[arg(long, value_name = "NAME")]
    flaw: Option<Flaw>,
    /// Make each known mistake on purpose, and look how many seeds it takes until it is noticed; exit code 1 if one is not within --seeds
    #[arg(long)]
    flaws: bool,
    /// Seeds played at once [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("a range is written 0..1000")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
    let range = number(from)?..number(to)?;
    if range.is_empty() {
        Err("there is no seed in it".to_owned())
    } else {
        Ok(range)
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let jobs = args
        .jobs
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
        .max(1);
    let options = Options {
        log: true,
        flaw: args.flaw,
    };
    let is_well = if let Some(seed) = args.seed {
        one(seed, args.keep.as_deref(), options)
    } else if args.flaws {
        flaws(args.seeds.unwrap_or(0..10_000), jobs)
    } else {
        many(args.seeds.unwrap_or(0..1_000), jobs, options)
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays one seed with its log.
fn one(seed: u64, kept: Option<&[usize]>, options: Options) -> bool {
    let mut script = compose(seed);
    if let Some(kept) = kept {
        script = script.keeping(kept);
    }
    print!("{script}");
    let report = play(&script, options);
    print!("{}", report.log);
    tell(&report);
    report.is_well()
}

fn tell(report: &Report) {
    println!(
        "simulated {:?}; states {:?}; faults {:?}",
        report.simulated, report.states, report.faults
    );
    for violation in &report.violations {
        println!("BROKEN {violation}");
    }
}

/// What a range of seeds has come to.
#[derive(Default)]
struct Sum {
    simulated: Duration,
    faults: BTreeMap<&'static str, u64>,
    states: BTreeMap<&'static str, u64>,
    /// The first seed that failed, in the order of the range.
    failed: Option<(u64, Report)>,
}

/// Plays seeds on several threads until they are through, or one has failed.
fn sweep(seeds: Range<u64>, jobs: usize, options: Options) -> (u64, Sum) {
    let next = AtomicU64::new(seeds.start);
    let (stop, played) = (AtomicBool::new(false), AtomicU64::new(0));
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = play(&compose(seed), Options { log: false, ..options });
                    played.fetch_add(1, Ordering::Relaxed);
                    let mut sum = sum.lock();
                    sum.simulated += report.simulated;
                    for (kind, times) in &report.faults {
                        *sum.faults.entry(kind).or_default() += times;
                    }
                    for (state, times) in &report.states {
                        *sum.states.entry(state).or_default() += times;
                    }
                    if !report.is_well() && sum.failed.as_ref().is_none_or(|(first, _)| seed < *first) {
                        stop.store(true, Ordering::Relaxed);
                        sum.failed = Some((seed, report));
                    }
                }
            });
        }
    });
    (played.into_inner(), sum.into_inner())
}

fn many(seeds: Range<u64>, jobs: usize, options: Options) -> bool {
    let began = Instant::now();
    let (played, sum) = sweep(seeds.clone(), jobs, options);
    let took = began.elapsed();
    println!(
        "{played} seeds of {}..{} in {took:.1?}: {:.0} seeds a minute, {:.1} simulated hours a second",
        seeds.start,
        seeds.end,
        played as f64 / took.as_secs_f64() * 60.0,
        sum.simulated.as_secs_f64() / 3600.0 / took.as_secs_f64(),
    );
    println!("states in the end: {:?}", sum.states);
    println!("faults: {:?}", sum.faults);
    let Some((seed, report)) = sum.failed else {
        return true;
    };
    for violation in &report.violations {
        println!("BROKEN {violation}");
    }
    explain(seed, &compose(seed), &report, options);
    false
}

/// Says how to see a failing run again, shortened.
fn explain(seed: u64, script: &Script, report: &Report, options: Options) {
    let Some(first) = report.violations.first() else { return };
    println!("seed {seed} fails; shortening it …");
    let kept = shrink(script, first.rule, options);
    print!("{}", script.keeping(&kept));
    let numbers: Vec<String> = kept.iter().map(ToString::to_string).collect();
    let flaw = options.flaw.map_or_else(String::new, |flaw| format!(" --flaw {flaw}"));
    println!(
        "cargo run --release -p wharf-sim -- --seed {seed} --keep {}{flaw}",
        numbers.join(",")
    );
    println!("cargo run --release -p wharf-sim -- --seed {seed}{flaw}");
}

/// How soon each mistake is noticed.
fn flaws(seeds: Range<u64>, jobs: usize) -> bool {
    let mut all = true;
    for flaw in Flaw::ALL {
        let options = Options {
            log: false,
            flaw: Some(*flaw),
        };
        let began = Instant::now();
        let (played, sum) = sweep(seeds.clone(), jobs, options);
        match sum.failed {
            Some((seed, report)) => {
                let rule = report.violations.first().map_or("", |violation| violation.rule);
                println!(
                    "{flaw:<22} seed {seed:>5}, after {played} played in {:.1?}: {rule}",
                    began.elapsed()
                );
            }
            None => {
                all = false;
                println!("{flaw:<22} NOT NOTICED in {played} seeds");
            }
        }
    }
    all
}
