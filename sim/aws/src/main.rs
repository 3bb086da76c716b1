//! `cargo run --release -p wharf-sim-aws -- --seeds 0..1000`: plays seeds, and says which of them break a rule.

use clap::Parser;
use std::{
    collections::BTreeMap,
    ops::Range,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};
use wharf_sim_aws::{Report, Script, play, play_script};

/// Simulates Wharf on AWS, and holds it against its rules.
#[derive(Debug, Parser)]
struct Arguments {
    /// Plays one seed, and shows what happened.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Plays a range of seeds: `0..1000`.
    #[arg(long, value_parser = range, default_value = "0..100")]
    seeds: Range<u64>,
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
    match arguments.seed {
        Some(seed) => one(seed, arguments.brief),
        None => many(&arguments.seeds, arguments.threads),
    }
}

fn one(seed: u64, brief: bool) -> ExitCode {
    let script = Script::of(seed);
    println!("{script}");
    let report = play(seed, !brief);
    print!("{}", report.log);
    show(seed, &report);
    if report.is_well() {
        return ExitCode::SUCCESS;
    }
    println!("{}", shortened(&script, &report));
    ExitCode::FAILURE
}

fn show(seed: u64, report: &Report) {
    for violation in &report.violations {
        println!("seed {seed}: {violation}");
    }
    println!("seed {seed}: {:?} in {:?}", report.states, report.simulated);
}

/// The script without those moves that the same rule is broken without.
fn shortened(script: &Script, report: &Report) -> Script {
    let Some(rule) = report.violations.first().map(|violation| violation.rule) else {
        return script.clone();
    };
    let mut short = script.clone();
    let mut index = 0;
    while index < short.moves.len() {
        let without = short.keeping(|at| at != index);
        if play_script(&without, false)
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

fn many(seeds: &Range<u64>, threads: Option<usize>) -> ExitCode {
    let threads = threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let next = AtomicU64::new(seeds.start);
    let began = Instant::now();
    let play_some = || {
        let (mut failed, mut simulated) = (Vec::new(), Duration::ZERO);
        let (mut states, mut counts) = (BTreeMap::<&str, u64>::new(), BTreeMap::<String, u64>::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return (failed, simulated, states, counts);
            }
            let report = play(seed, false);
            simulated += report.simulated;
            for (state, count) in &report.states {
                *states.entry(state).or_default() += count;
            }
            for (what, count) in &report.counts {
                *counts.entry(what.clone()).or_default() += count;
            }
            if !report.is_well() {
                show(seed, &report);
                failed.push(seed);
            }
        }
    };
    let parts: Vec<_> = thread::scope(|scope| {
        let players: Vec<_> = (0..threads).map(|_| scope.spawn(play_some)).collect();
        players.into_iter().filter_map(|player| player.join().ok()).collect()
    });
    let (mut failed, mut simulated) = (Vec::new(), Duration::ZERO);
    let (mut states, mut counts) = (BTreeMap::<&str, u64>::new(), BTreeMap::<String, u64>::new());
    let finished = parts.len() == threads;
    for (some, time, of_states, of_counts) in parts {
        failed.extend(some);
        simulated += time;
        for (state, count) in of_states {
            *states.entry(state).or_default() += count;
        }
        for (what, count) in of_counts {
            *counts.entry(what).or_default() += count;
        }
    }
    failed.sort_unstable();
    let (took, many) = (began.elapsed(), seeds.end.saturating_sub(seeds.start));
    println!(
        "{many} seeds in {took:.1?}: {:.1} a second, {:.0} simulated hours",
        many as f64 / took.as_secs_f64(),
        simulated.as_secs_f64() / 3_600.0
    );
    println!("at rest: {states:?}");
    println!("calls: {counts:?}");
    if failed.is_empty() && finished {
        println!("no rule was broken");
        return ExitCode::SUCCESS;
    }
    println!("rules were broken by {failed:?}");
    ExitCode::FAILURE
}
