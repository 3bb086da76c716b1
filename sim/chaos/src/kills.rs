//! SIGKILL of the server at random moments of the main job, from a sign-up's request until the first visit: nothing is lost, nothing is left, and how long it takes
//! after the restart until all is well.

use http::Method;
use std::{
    cell::RefCell,
    time::{Duration, Instant},
};
use wharf_harness::{Customer, Seed, wait::spin};

use crate::{
    arguments::{Arguments, Kills},
    compare::{PATIENCE, Violation, settle},
    deployment::Deployment,
    door::Door,
    ledger::{ABSENT, Ledger, Order, Outcome, Tenant, Wish},
    load::id_of,
    log::Log,
    machine::Machine,
    rounds::account,
};

/// Sign-ups that are measured before, so that kills are spread over the whole of one.
const MEASURED: usize = 5;

/// What came of the kills.
#[derive(Default)]
struct Figures {
    /// From the start of the server until all is well.
    well: Vec<Duration>,
    /// From the start until it says that it is up.
    up: Vec<Duration>,
    /// Sign-ups that were struck before they were claimed.
    absent: usize,
    /// That were on their way.
    under_way: usize,
    /// That were ready already.
    ready: usize,
}

/// Gives whether nothing was wrong.
pub(crate) async fn run(arguments: &Arguments, kills: &Kills, seed: u64, log: &Log) -> Result<bool, String> {
    let mut machine = Machine::new(arguments)?;
    log.say(format_args!(
        "seed {seed}; {} kills; {}",
        kills.times,
        machine.describe()
    ));
    match strike(&mut machine, kills, seed, log).await {
        Ok(mut figures) => {
            figures.well.sort();
            figures.up.sort();
            log.say(format_args!(
                "{} kills: {} before the claim, {} on the way, {} after it was ready; nothing lost, nothing left",
                figures.well.len(),
                figures.absent,
                figures.under_way,
                figures.ready
            ));
            log.say(format_args!("until the server is up:   {}", spread(&figures.up)));
            log.say(format_args!("until all is well:        {}", spread(&figures.well)));
            Ok(true)
        }
        Err(violations) => {
            account(&mut machine, &violations, seed, log);
            Ok(false)
        }
    }
}

async fn strike<D: Deployment>(
    deployment: &mut D,
    kills: &Kills,
    seed: u64,
    log: &Log,
) -> Result<Figures, Vec<Violation>> {
    let at_large = |error: String| vec![Violation::at_large(error)];
    let mut seed = Seed(seed);
    let ledger = RefCell::new(Ledger::default());
    deployment.start().await.map_err(at_large)?;
    let door = deployment.door();
    for _ in 0..kills.standing {
        let mut tenant = ledger.borrow_mut().begin(false);
        provision(&door, &mut tenant).await.map_err(at_large)?;
        let customer = format!("Robin-{}", tenant.name);
        let path = Customer::of(door.tenant(&tenant.name))
            .try_order(&customer)
            .await
            .map_err(at_large)?;
        tenant.orders.push(Order { path, customer });
        ledger.borrow_mut().put(tenant);
    }
    let mut whole = Duration::ZERO;
    for _ in 0..MEASURED {
        let mut tenant = ledger.borrow_mut().begin(false);
        let begun = Instant::now();
        provision(&door, &mut tenant).await.map_err(at_large)?;
        whole = whole.max(begun.elapsed());
        end(&door, &mut tenant).await.map_err(at_large)?;
        ledger.borrow_mut().put(tenant);
    }
    log.say(format_args!(
        "a sign-up takes {} ms until its first visit",
        whole.as_millis()
    ));
    settle(deployment, &ledger, log, false, PATIENCE).await?;

    let mut figures = Figures::default();
    for number in 0..kills.times {
        // A little beyond the whole of it, so that some kills come right after the first visit.
        let delay = seed.up_to(whole * 5 / 4);
        let mut tenant = ledger.borrow_mut().begin(false);
        let outcome = kill_in(deployment, &mut tenant, delay).await.map_err(at_large)?;
        tenant.wished(Wish::SignUp, outcome);
        // Nobody has killed its task but with the server: it has no reason to fail.
        tenant.may_be.remove("failed");
        ledger.borrow_mut().put(tenant.clone());

        let begun = Instant::now();
        deployment.start().await.map_err(at_large)?;
        figures.up.push(begun.elapsed());
        let was = all_well(&door, &ledger, &tenant).await.map_err(at_large)?;
        figures.well.push(begun.elapsed());
        match was.as_str() {
            ABSENT => figures.absent += 1,
            "ready" => figures.ready += 1,
            _ => figures.under_way += 1,
        }
        log.say(format_args!(
            "kill {number} after {:.1} ms, {}: {was} at the restart; all is well {:.1} ms after it",
            delay.as_secs_f64() * 1e3,
            if outcome == Outcome::Granted {
                "answered"
            } else {
                "not answered"
            },
            begun.elapsed().as_secs_f64() * 1e3
        ));
        settle(deployment, &ledger, log, false, PATIENCE).await?;
        let struck = ledger.borrow_mut().take(|other| other.name == tenant.name, |_| 0);
        if let Some(mut tenant) = struck {
            if tenant.may_be.contains("ready") {
                end(&door, &mut tenant).await.map_err(at_large)?;
            }
            ledger.borrow_mut().put(tenant);
        }
    }
    settle(deployment, &ledger, log, false, PATIENCE).await?;
    Ok(figures)
}

/// Signs up, and kills the server this long after the request was made.
async fn kill_in<D: Deployment>(deployment: &mut D, tenant: &mut Tenant, delay: Duration) -> Result<Outcome, String> {
    let door = deployment.door();
    let body = Door::sign_up(&tenant.name);
    let visitor = door.visitor();
    let sign_up = visitor.try_ask(Method::POST, "/provision", Some(&body));
    let kill = async {
        spin(delay).await;
        deployment.kill().await
    };
    let (answer, killed) = tokio::join!(sign_up, kill);
    killed?;
    let Ok(answer) = answer else {
        return Ok(Outcome::Unknown);
    };
    if answer.status != 202 {
        return Err(format!(
            "{}: the sign-up is answered {}: {}",
            tenant.name,
            answer.status,
            answer.text()
        ));
    }
    tenant.id = id_of(&answer);
    Ok(Outcome::Granted)
}

/// Waits until everybody answers who has to. Gives the state in which the one that was struck was found.
async fn all_well(door: &Door, ledger: &RefCell<Ledger>, struck: &Tenant) -> Result<String, String> {
    let found = door.find(&struck.name).await?;
    let was = found.map_or_else(|| ABSENT.to_owned(), |instance| instance.status);
    let standing: Vec<String> = ledger
        .borrow()
        .tenants()
        .filter(|tenant| !tenant.orders.is_empty())
        .map(|tenant| tenant.name.clone())
        .collect();
    for name in standing.iter().chain((was != ABSENT).then_some(&struck.name)) {
        answers(door, name).await?;
    }
    Ok(was)
}

/// Visits a tenant until it answers.
async fn answers(door: &Door, name: &str) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let answer = door.tenant(name).try_get("/").await?;
        if answer.status == 200 {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!(
                "{name} still answers {} after {PATIENCE:?}: {}",
                answer.status,
                answer.text()
            ));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn provision(door: &Door, tenant: &mut Tenant) -> Result<(), String> {
    let body = Door::sign_up(&tenant.name);
    let answer = door.visitor().try_ask(Method::POST, "/provision", Some(&body)).await?;
    if answer.status != 202 {
        return Err(format!(
            "{}: the sign-up is answered {}: {}",
            tenant.name,
            answer.status,
            answer.text()
        ));
    }
    tenant.id = id_of(&answer);
    answers(door, &tenant.name).await?;
    tenant.wished(Wish::SignUp, Outcome::Granted);
    Ok(())
}

async fn end(door: &Door, tenant: &mut Tenant) -> Result<(), String> {
    let path = format!("/tenants/{}", tenant.name);
    let answer = door.admin().try_ask(Method::DELETE, &path, None).await?;
    if answer.status != 202 {
        return Err(format!(
            "{}: the delete is answered {}: {}",
            tenant.name,
            answer.status,
            answer.text()
        ));
    }
    tenant.wished(Wish::End, Outcome::Granted);
    Ok(())
}

/// Median, 95th percentile and maximum of what is sorted.
fn spread(sorted: &[Duration]) -> String {
    let at = |share: usize| {
        let index = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    format!("median {:.1} ms, p95 {:.1} ms, max {:.1} ms", at(50), at(95), at(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_few_times_is_among_them() {
        let times: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(spread(&times), "median 11.0 ms, p95 20.0 ms, max 20.0 ms");
        assert_eq!(spread(&times[..1]), "median 1.0 ms, p95 1.0 ms, max 1.0 ms");
    }
}
