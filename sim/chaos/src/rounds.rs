//! The loop: a deployment is used and struck, then everything comes to rest and is compared; and again.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};
use wharf_harness::Seed;

use crate::{
    arguments::{Arguments, Bug},
    blows::{Blow, Striker, named},
    compare::{Agreement, PATIENCE, Violation, settle},
    deployment::Deployment,
    ledger::{Ledger, Tenant},
    load::Load,
    log::Log,
    machine::Machine,
    watch::watch,
};

const ROUNDS: usize = 10;
/// In a round of so many, one pause is longer than a lease.
const LONG_PAUSE_EVERY: usize = 12;
/// Blows in a round, at the most.
const BLOWS: usize = 3;
/// A run takes no longer than it was allowed and this.
const GRACE: Duration = Duration::from_mins(5);
/// What was planted does not come right by itself: it is reported after this time.
const SOON: Duration = Duration::from_secs(5);
/// Where nothing is said of time.
const LONGEST: Duration = Duration::from_hours(2);

/// Gives whether nothing was wrong.
pub(crate) async fn run(arguments: &Arguments, seed: u64, log: &Log) -> Result<bool, String> {
    let mut machine = Machine::new(arguments)?;
    log.say(format_args!("seed {seed}; {}", machine.describe()));
    let bound = arguments.duration.unwrap_or(LONGEST) + GRACE;
    let result = tokio::time::timeout(bound, chaos(&mut machine, arguments, seed, log))
        .await
        .unwrap_or_else(|_| {
            Err(vec![Violation::at_large(format!(
                "the run does not end within {bound:?}"
            ))])
        });
    match result {
        Ok(summary) => {
            log.say(format_args!("nothing is wrong after {summary} (seed {seed})"));
            Ok(true)
        }
        Err(violations) => {
            account(&mut machine, &violations, seed, log);
            Ok(false)
        }
    }
}

/// Says what is wrong, and what happened to those whom it befell.
pub(crate) fn account(machine: &mut Machine, violations: &[Violation], seed: u64, log: &Log) {
    let mut about: Vec<&str> = violations
        .iter()
        .filter_map(|violation| violation.about.as_deref())
        .collect();
    about.sort_unstable();
    about.dedup();
    for tenant in about {
        println!("\nwhat was asked for and answered about {tenant}:");
        for line in log.of(tenant) {
            println!("{line}");
        }
    }
    println!("\nVIOLATIONS with seed {seed}:");
    for violation in violations {
        println!("- {violation}");
    }
    println!(
        "everything is left in {}; the servers' log is server.log",
        machine.keep().display()
    );
}

async fn chaos<D: Deployment>(
    deployment: &mut D,
    arguments: &Arguments,
    seed: u64,
    log: &Log,
) -> Result<String, Vec<Violation>> {
    let mut seed = Seed(seed);
    let ledger = RefCell::new(Ledger::default());
    let begun = Instant::now();
    let broken = |error: String| vec![Violation::at_large(error)];
    deployment.start().await.map_err(broken)?;
    log.say("the server is up");
    let rounds = arguments.rounds.unwrap_or(if arguments.duration.is_some() {
        usize::MAX
    } else {
        ROUNDS
    });
    let long_pause = seed.below(LONG_PAUSE_EVERY);
    let (mut round, mut mended, mut struck) = (0, 0, 0);
    let mut last = Agreement::default();
    while round < rounds && arguments.duration.is_none_or(|duration| begun.elapsed() < duration) {
        let mut drawn = seed.fork();
        let mut blows: Vec<Blow> = (0..=drawn.below(BLOWS)).map(|_| Blow::draw(&mut drawn)).collect();
        if round % LONG_PAUSE_EVERY == long_pause {
            blows.push(Blow::LongPause);
        }
        log.say(format_args!("── round {round}{}", named(&blows)));
        struck += blows.len();
        last = one_round(deployment, &ledger, &blows, &mut drawn, log).await?;
        mended += last.mended;
        log.say(format_args!(
            "── round {round} agrees: {} ready, {} stopped, {} ended, {} failed, {} orders",
            last.ready, last.stopped, last.over, last.failed, last.orders
        ));
        if let Some(bug) = arguments.plant.filter(|_| round == 0) {
            plant(deployment, &ledger, bug, log).await?;
        }
        round += 1;
    }
    let sign_ups = ledger.borrow().tenants().count();
    Ok(format!(
        "{round} rounds, {struck} blows, {sign_ups} sign-ups ({} ready, {} stopped, {} ended, {} failed at the end, {} orders), {mended} mended by repair, {:.0} s",
        last.ready,
        last.stopped,
        last.over,
        last.failed,
        last.orders,
        begun.elapsed().as_secs_f64()
    ))
}

/// Uses and strikes it, and compares.
async fn one_round<D: Deployment>(
    deployment: &mut D,
    ledger: &RefCell<Ledger>,
    blows: &[Blow],
    seed: &mut Seed,
    log: &Log,
) -> Result<Agreement, Vec<Violation>> {
    let violations = RefCell::default();
    let is_over = Cell::new(false);
    deployment
        .remember()
        .map_err(|error| vec![Violation::at_large(error)])?;
    let load = Load {
        door: deployment.door(),
        ledger,
        log,
        violations: &violations,
        is_over: &is_over,
    };
    let eyes = deployment.eyes();
    let (mut for_load, mut for_blows) = (seed.fork(), seed.fork());
    let mut striker = Striker {
        deployment,
        log,
        violations: &violations,
        has_come_back: false,
    };
    let strike = async {
        let struck = striker.strike(blows, &mut for_blows).await;
        is_over.set(true);
        struck
    };
    let (struck, (), ()) = tokio::join!(strike, load.run(&mut for_load), watch(eyes, &is_over, log, &violations));
    let has_come_back = striker.has_come_back;
    if let Err(error) = struck {
        violations.borrow_mut().push(Violation::at_large(error));
    }
    let mut wrong = violations.into_inner();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    log.say("everybody rests");
    let agreement = settle(deployment, ledger, log, has_come_back, PATIENCE).await;
    agreement.map_err(|violations| {
        wrong.extend(violations);
        wrong
    })
}

/// Breaks something and looks whether that is seen. What is not seen is a fault of the comparison's.
async fn plant<D: Deployment>(
    deployment: &mut D,
    ledger: &RefCell<Ledger>,
    bug: Bug,
    log: &Log,
) -> Result<(), Vec<Violation>> {
    let wrong = |what: String| vec![Violation::at_large(what)];
    let tenants: Vec<Tenant> = ledger.borrow().tenants().cloned().collect();
    let id_of = |fits: &dyn Fn(&Tenant) -> bool| tenants.iter().find(|tenant| fits(tenant))?.id.clone();
    let alive = id_of(&|tenant| tenant.may_be.contains("ready") && !tenant.orders.is_empty())
        .or_else(|| id_of(&|tenant| tenant.may_be.contains("ready")))
        .ok_or_else(|| wrong("nothing is ready, so that nothing can be broken".to_owned()))?;
    let over = id_of(&|tenant| tenant.is_settled && tenant.id.is_some())
        .unwrap_or_else(|| "inst_01je4q5gkv8a9xw3n2b7c6d5ef".to_owned());
    let planted = deployment.plant(bug, &alive, &over).await.map_err(wrong)?;
    log.say(format_args!("PLANTED: {planted}"));
    settle(deployment, ledger, log, false, SOON).await.map(|_| ())
}
