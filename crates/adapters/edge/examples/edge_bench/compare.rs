//! The comparison: who takes part, the rounds, the figures.

use std::{fmt::Write, time::Duration};

use crate::{
    load::{Round, round},
    nginx,
    process::Process,
};

/// One proxy's figures over all rounds.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    /// The median of the rounds.
    pub(crate) requests_per_second: f64,
    /// The median of each round's ratio to the first proxy's in the same round.
    pub(crate) against_first: f64,
    pub(crate) cpu_microseconds_a_request: f64,
    pub(crate) memory_mib: f64,
}

#[derive(Debug)]
pub(crate) struct Figures(pub(crate) Vec<Figure>);

struct Contender {
    number: usize,
    name: &'static str,
    process: Process,
    port: u16,
    rounds: Vec<Round>,
    cpu: Duration,
}

/// nginx, the edge with one route and the edge with ten thousand, in turns.
pub(crate) fn compare(rounds: u32, seconds: u32) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    let (_upstream, upstream) = Process::own(&["upstream"]);
    let port = upstream.to_string();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let mut contenders: Vec<Contender> = [
        ("nginx", nginx::start(folder.path(), upstream, cores)),
        ("edge, 1 route", Process::own(&["edge", "1", &port])),
        ("edge, 10,000 routes", Process::own(&["edge", "10000", &port])),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (name, (process, port)))| Contender {
        number,
        name,
        process,
        port,
        rounds: Vec::new(),
        cpu: Duration::ZERO,
    })
    .collect();
    for contender in &contenders {
        round(contender.port, 1);
    }
    for _ in 0..rounds {
        // Whoever came first comes last: what a round leaves behind is everybody's in turn.
        contenders.rotate_left(1);
        for contender in &mut contenders {
            let before = contender.process.cpu();
            contender.rounds.push(round(contender.port, seconds));
            contender.cpu += contender.process.cpu().saturating_sub(before);
        }
    }
    contenders.sort_by_key(|contender| contender.number);
    let first: Vec<f64> = contenders[0]
        .rounds
        .iter()
        .map(|round| round.requests_per_second)
        .collect();
    Figures(contenders.iter().map(|contender| contender.figure(&first)).collect())
}

impl Contender {
    fn figure(&self, first: &[f64]) -> Figure {
        let speeds: Vec<f64> = self.rounds.iter().map(|round| round.requests_per_second).collect();
        let ratios = speeds.iter().zip(first).map(|(own, first)| own / first).collect();
        let requests: f64 = self.rounds.iter().map(|round| round.requests).sum();
        Figure {
            name: self.name,
            requests_per_second: median(speeds),
            against_first: median(ratios),
            cpu_microseconds_a_request: self.cpu.as_secs_f64() * 1e6 / requests,
            memory_mib: self.process.memory() as f64 / 1024.0 / 1024.0,
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

impl Figures {
    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "{:<22} {:>12} {:>8} {:>16} {:>10}",
            "", "requests/s", "ratio", "CPU µs/request", "MiB"
        );
        for figure in &self.0 {
            let _ = write!(
                table,
                "\n{:<22} {:>12.0} {:>8.3} {:>16.2} {:>10.1}",
                figure.name,
                figure.requests_per_second,
                figure.against_first,
                figure.cpu_microseconds_a_request,
                figure.memory_mib
            );
        }
        table
    }

    pub(crate) fn json(&self) -> String {
        let figures: Vec<_> = self
            .0
            .iter()
            .map(|figure| {
                serde_json::json!({
                    "name": figure.name,
                    "requests_per_second": figure.requests_per_second,
                    "against_nginx": figure.against_first,
                    "cpu_microseconds_a_request": figure.cpu_microseconds_a_request,
                    "memory_mib": figure.memory_mib,
                })
            })
            .collect();
        serde_json::json!(figures).to_string()
    }
}
