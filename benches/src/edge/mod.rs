//! The edge beside nginx: the same upstream, the same load, the same work with headers, times and limits, turn by turn.
//!
//! | file | what it is for |
//! |---|---|
//! | `proxy` | the edge in a process of its own, with one route or with ten thousand |
//! | `nginx` | nginx, set up to do what the edge does |
//! | `upstream` | what both pass requests on to |
//! | `load` | one round of `wrk` |

mod load;
mod nginx;
pub(crate) mod proxy;
pub(crate) mod upstream;

use std::{cell::RefCell, net::SocketAddr, time::Duration};

use crate::{
    Result,
    children::Running,
    figure::{Figure, Goal, Unit},
    samples::{Samples, interleaved},
    setup::Setup,
    usage,
};

/// All rounds, at the most.
const WITHIN: Duration = Duration::from_mins(2);
const MANY_ROUTES: u32 = 10_000;
const CPU_AT_MOST: f64 = 1.25;
const MANY_AT_LEAST: f64 = 0.97;

/// A proxy under test.
#[derive(Debug)]
struct Contender {
    process: Running,
    address: SocketAddr,
    /// CPU microseconds a request, one value a round.
    cost: RefCell<Vec<f64>>,
}

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    for program in ["nginx", "wrk"] {
        load::program(program)?;
    }
    let folder = setup.scratch.folder("edge")?;
    let (_upstream, upstream) = upstream::start()?;
    let contenders = [
        nginx::start(&folder, upstream)?,
        proxy::start(1, upstream)?,
        proxy::start(MANY_ROUTES, upstream)?,
    ]
    .map(|(process, address)| Contender {
        process,
        address,
        cost: RefCell::default(),
    });
    let stretch = setup.stretch(Duration::from_secs(2));
    let [mut nginx, mut one, mut many] = contenders.each_ref().map(|contender| move || contender.round(stretch));
    let [by_nginx, by_one, by_many] = interleaved(setup.rounds(15, WITHIN), &mut [&mut nginx, &mut one, &mut many])?;
    let [nginx, one, _] = contenders.each_ref().map(Contender::cost);
    Ok(vec![
        Figure::new(
            "requests through the edge, 64 connections",
            Unit::PerSecond,
            by_one.clone(),
        )
        .against("nginx", &by_nginx)
        .goal(Goal::RatioAtLeast(1.0)),
        Figure::new("CPU of a request", Unit::Microseconds, one?)
            .against("nginx", &nginx?)
            .goal(Goal::RatioAtMost(CPU_AT_MOST)),
        Figure::new("requests through the edge with 10,000 routes", Unit::PerSecond, by_many)
            .against("with one route", &by_one)
            .goal(Goal::RatioAtLeast(MANY_AT_LEAST)),
    ])
}

impl Contender {
    /// Requests a second, and on the side what they cost.
    fn round(&self, stretch: Duration) -> Result<f64> {
        let family = usage::family(self.process.id())?;
        let before = usage::cpu(&family)?;
        let round = load::round(self.address, stretch)?;
        let used = usage::cpu(&family)?.saturating_sub(before);
        self.cost.borrow_mut().push(used.as_secs_f64() * 1e6 / round.requests);
        Ok(round.per_second)
    }

    /// Without the round that only warmed up.
    fn cost(&self) -> Result<Samples> {
        let values = self.cost.borrow().iter().skip(1).copied().collect();
        Samples::new(values).ok_or_else(|| "no round was run".into())
    }
}
