//! Customers and operators, several at once: they sign up, order, visit, stop, start, delete and repair, and write down what they were answered.
//!
//! What must not be here: what strikes the deployment, and the final judgement. What is wrong whenever it is seen is noted at once.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    time::Duration,
};
use wharf_harness::{Answer, Customer, Seed};

use crate::{
    compare::Violation,
    door::{self, Door},
    ledger::{Ledger, Order, Outcome, Tenant, Wish},
    log::Log,
};

/// Who act at once.
const ACTORS: usize = 5;
/// Between two actions of one.
const THINK: Duration = Duration::from_millis(250);
/// Tenants that live at once: each is a process, and a machine for tests is small.
const MOST_LIVE: usize = 10;
/// How many want the same name at once.
const CROWD: usize = 4;
/// Of what is said, this much is shown.
const LINE: usize = 120;
/// How often somebody asks again who was not answered, and has a key for it.
const REPEATS: usize = 3;

/// What everybody who acts in a run shares.
pub(crate) struct Load<'a> {
    pub(crate) door: Door,
    pub(crate) ledger: &'a RefCell<Ledger>,
    pub(crate) log: &'a Log,
    pub(crate) violations: &'a RefCell<Vec<Violation>>,
    /// The round is over: nobody begins anything more.
    pub(crate) is_over: &'a Cell<bool>,
}

#[derive(Clone, Copy)]
enum Action {
    SignUp,
    Crowd,
    SignUpAgain,
    TakenName,
    Order,
    Visit,
    Stop,
    Start,
    Delete,
    /// A stop, and a start as soon as it is granted.
    Restart,
    /// Two operators who do not know of each other.
    StopAndDelete,
    Repair,
}

impl Action {
    fn draw(seed: &mut Seed, live: usize) -> Self {
        // The more there are, the fewer come, and the more go.
        let (come, go) = if live < MOST_LIVE { (30, 6) } else { (0, 20) };
        let weights = [
            (Self::SignUp, come),
            (Self::Crowd, come / 6),
            (Self::SignUpAgain, 5),
            (Self::TakenName, 3),
            (Self::Order, 25),
            (Self::Visit, 20),
            (Self::Stop, 8),
            (Self::Start, 12),
            (Self::Delete, go),
            (Self::Restart, 6),
            (Self::StopAndDelete, go / 3),
            (Self::Repair, 3),
        ];
        let mut drawn = seed.below(weights.iter().map(|(_, weight)| weight).sum());
        for (action, weight) in weights {
            if drawn < weight {
                return action;
            }
            drawn -= weight;
        }
        Self::Visit
    }
}

impl Load<'_> {
    /// Acts until the round is over, and everybody has been answered.
    pub(crate) async fn run(&self, seed: &mut Seed) {
        join_all((0..ACTORS).map(|_| self.act(seed.fork()))).await;
    }

    async fn act(&self, mut seed: Seed) {
        while !self.is_over.get() {
            let live = self.ledger.borrow().live();
            let action = Action::draw(&mut seed, live);
            self.perform(action, &mut seed).await;
            tokio::time::sleep(seed.up_to(THINK)).await;
        }
    }

    async fn perform(&self, action: Action, seed: &mut Seed) {
        match action {
            Action::SignUp => {
                let tenant = self.ledger.borrow_mut().begin(seed.percent(50));
                self.sign_up(tenant).await;
            }
            Action::Crowd => {
                let tenant = self.ledger.borrow_mut().begin(false);
                self.crowd(tenant).await;
            }
            Action::SignUpAgain => {
                if let Some(tenant) = self.take(seed, |tenant| tenant.key.is_some() && tenant.id.is_some()) {
                    self.sign_up_again(tenant).await;
                }
            }
            Action::TakenName => {
                if let Some(tenant) = self.take(seed, |tenant| tenant.was_ready) {
                    self.want_a_taken_name(tenant).await;
                }
            }
            Action::Order => {
                if let Some(tenant) = self.take(seed, |tenant| tenant.may_be.contains("ready")) {
                    let customer = format!("{}-{}", tenant.name, seed.below(1_000_000));
                    self.order(tenant, customer).await;
                }
            }
            Action::Visit => {
                if let Some(tenant) = self.take(seed, |tenant| tenant.id.is_some()) {
                    self.visit(&tenant).await;
                    self.ledger.borrow_mut().put(tenant);
                }
            }
            Action::Stop => {
                if let Some(tenant) = self.take(seed, |tenant| tenant.may_be.contains("ready")) {
                    self.wish(tenant, Wish::Stop).await;
                }
            }
            Action::Start => {
                if let Some(tenant) = self.take(seed, |tenant| tenant.may_be.contains("stopped")) {
                    self.wish(tenant, Wish::Start).await;
                }
            }
            Action::Delete => {
                if let Some(tenant) = self.take(seed, Tenant::may_be_live) {
                    self.wish(tenant, Wish::End).await;
                }
            }
            Action::Restart => {
                if let Some(mut tenant) = self.take(seed, |tenant| tenant.may_be.contains("ready")) {
                    self.ask(&mut tenant, Wish::Stop).await;
                    self.wish(tenant, Wish::Start).await;
                }
            }
            Action::StopAndDelete => {
                if let Some(mut tenant) = self.take(seed, Tenant::may_be_live) {
                    let mut other = tenant.clone();
                    tokio::join!(self.ask(&mut other, Wish::Stop), self.ask(&mut tenant, Wish::End));
                    // Of the two the end counts, if it was granted.
                    if tenant.may_be.iter().any(|state| !["failed", "ended"].contains(state)) {
                        tenant.may_be.extend(other.may_be);
                    }
                    self.ledger.borrow_mut().put(tenant);
                }
            }
            Action::Repair => match self.door.repair(seed.percent(50)).await {
                Ok(repair) => self.log.say(format_args!(
                    "repair: {} findings{}",
                    repair.findings.len(),
                    listed(&repair.findings)
                )),
                Err(error) => self.log.say(format_args!("repair: {error}")),
            },
        }
    }

    fn take(&self, seed: &mut Seed, fits: impl Fn(&Tenant) -> bool) -> Option<Tenant> {
        self.ledger.borrow_mut().take(fits, |count| seed.below(count))
    }

    fn wrong(&self, tenant: &Tenant, what: impl Into<String>) {
        self.note(Violation::of(&tenant.name, what));
    }

    fn note(&self, violation: Violation) {
        self.log.say(format_args!("WRONG: {violation}"));
        self.violations.borrow_mut().push(violation);
    }

    async fn ask_to_sign_up(&self, tenant: &Tenant) -> Result<Answer, String> {
        let mut visitor = self.door.visitor();
        if let Some(key) = &tenant.key {
            visitor = visitor.with("idempotency-key", key);
        }
        visitor
            .try_ask(Method::POST, "/provision", Some(&Door::sign_up(&tenant.name)))
            .await
    }

    async fn sign_up(&self, mut tenant: Tenant) {
        let mut repeats = 0;
        loop {
            let answer = self.ask_to_sign_up(&tenant).await;
            let outcome = self.outcome(&tenant, "sign-up", &answer);
            tenant.wished(Wish::SignUp, outcome);
            match outcome {
                Outcome::Granted => tenant.id = answer.ok().and_then(|answer| id_of(&answer)),
                // Whoever has a key may ask again, and gets what came of it the first time.
                Outcome::Unknown if tenant.key.is_some() && repeats < REPEATS => {
                    repeats += 1;
                    tokio::time::sleep(THINK).await;
                    continue;
                }
                _ => {}
            }
            break;
        }
        self.ledger.borrow_mut().put(tenant);
    }

    /// Several want the same name at once: one of them gets it.
    async fn crowd(&self, mut tenant: Tenant) {
        let answers = join_all((0..CROWD).map(|_| self.ask_to_sign_up(&tenant))).await;
        let outcomes: Vec<Outcome> = answers
            .iter()
            .map(|answer| self.outcome(&tenant, "sign-up in a crowd", answer))
            .collect();
        let granted: Vec<String> = answers
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| **outcome == Outcome::Granted)
            .filter_map(|(answer, _)| id_of(answer.as_ref().ok()?))
            .collect();
        if granted.len() > 1 {
            self.wrong(&tenant, format!("its name was given to {}", granted.join(" and ")));
        }
        let outcome = if granted.is_empty() && outcomes.contains(&Outcome::Unknown) {
            Outcome::Unknown
        } else if granted.is_empty() {
            Outcome::Refused
        } else {
            Outcome::Granted
        };
        tenant.wished(Wish::SignUp, outcome);
        tenant.id = granted.into_iter().next();
        self.ledger.borrow_mut().put(tenant);
    }

    /// The same request again: the same instance, whatever has become of it.
    async fn sign_up_again(&self, tenant: Tenant) {
        let answer = self.ask_to_sign_up(&tenant).await;
        let outcome = self.outcome(&tenant, "the same sign-up again", &answer);
        match (outcome, answer.ok().and_then(|answer| id_of(&answer))) {
            (Outcome::Granted, id) if id != tenant.id => {
                let (first, then) = (tenant.id.clone().unwrap_or_default(), id.unwrap_or_default());
                self.wrong(&tenant, format!("one key gave {first}, and then {then}"));
            }
            (Outcome::Refused, _) => self.wrong(
                &tenant,
                "a sign-up that was taken is refused when it is repeated with its key",
            ),
            _ => {}
        }
        self.ledger.borrow_mut().put(tenant);
    }

    /// Somebody else wants the name: it is taken, or rests.
    async fn want_a_taken_name(&self, tenant: Tenant) {
        let answer = self
            .door
            .visitor()
            .try_ask(Method::POST, "/provision", Some(&Door::sign_up(&tenant.name)))
            .await;
        if self.outcome(&tenant, "sign-up for a name that is not free", &answer) == Outcome::Granted {
            self.wrong(&tenant, "a name that was ready was given away");
        }
        self.ledger.borrow_mut().put(tenant);
    }

    async fn order(&self, mut tenant: Tenant, customer: String) {
        let placed = Customer::of(self.door.tenant(&tenant.name)).try_order(&customer).await;
        match placed {
            Ok(path) => {
                self.log
                    .say(format_args!("{}: order of {customer}: confirmed", tenant.name));
                tenant.orders.push(Order { path, customer });
            }
            Err(error) => self.log.say(format_args!(
                "{}: order of {customer}: {}",
                tenant.name,
                first_line(&error)
            )),
        }
        self.ledger.borrow_mut().put(tenant);
    }

    async fn visit(&self, tenant: &Tenant) {
        let answer = match self.door.tenant(&tenant.name).try_get("/").await {
            Ok(answer) => answer,
            Err(error) => {
                return self
                    .log
                    .say(format_args!("{}: visit: {}", tenant.name, first_line(&error)));
            }
        };
        self.log
            .say(format_args!("{}: {}", tenant.name, door::told("visit", &answer)));
        if answer.status == 200 && !answer.text().contains(&Door::company_of(&tenant.name)) {
            self.wrong(tenant, "somebody else answers at its address");
        }
        let is_surely_there = tenant.may_be.iter().all(|state| ["ready", "stopped"].contains(state));
        if answer.status == 404 && is_surely_there {
            self.wrong(tenant, "its visitors are told that there is nothing at its address");
        }
    }

    async fn wish(&self, mut tenant: Tenant, wish: Wish) {
        self.ask(&mut tenant, wish).await;
        self.ledger.borrow_mut().put(tenant);
    }

    async fn ask(&self, tenant: &mut Tenant, wish: Wish) {
        let (admin, name) = (self.door.admin(), &tenant.name);
        let (what, method, path) = match wish {
            Wish::Stop => ("stop", Method::POST, format!("/instances/{name}/stop")),
            Wish::Start => ("start", Method::POST, format!("/instances/{name}/start")),
            Wish::End | Wish::SignUp => ("delete", Method::DELETE, format!("/tenants/{name}")),
        };
        let body = (method == Method::POST).then(|| json!({}));
        let answer = admin.try_ask(method, &path, body.as_ref()).await;
        let outcome = self.outcome(tenant, what, &answer);
        tenant.wished(wish, outcome);
        if outcome == Outcome::Granted && tenant.id.is_none() {
            tenant.id = answer.ok().and_then(|answer| id_of(&answer));
        }
    }

    /// Says what was answered, and what it amounts to.
    fn outcome(&self, tenant: &Tenant, what: &str, answer: &Result<Answer, String>) -> Outcome {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.log
                    .say(format_args!("{}: {what}: {}", tenant.name, first_line(error)));
                return Outcome::Unknown;
            }
        };
        let told = door::told(what, answer);
        self.log.say(format_args!("{}: {told}", tenant.name));
        match answer.status {
            202 => Outcome::Granted,
            // Of a full disk it is promised that nothing was written.
            503 if told.ends_with("store.full") => Outcome::Refused,
            503 => Outcome::Unknown,
            400..500 => Outcome::Refused,
            _ => {
                self.wrong(tenant, format!("{told}: {}", answer.text()));
                Outcome::Unknown
            }
        }
    }
}

pub(crate) fn id_of(answer: &Answer) -> Option<String> {
    let value: Value = serde_json::from_slice(&answer.body).ok()?;
    Some(value["id"].as_str()?.to_owned())
}

/// The beginning of a text that may be a page.
pub(crate) fn first_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    let end = line.char_indices().nth(LINE).map_or(line.len(), |(end, _)| end);
    &line[..end]
}

/// ": a, b", or nothing.
pub(crate) fn listed(texts: &[String]) -> String {
    if texts.is_empty() {
        String::new()
    } else {
        format!(": {}", texts.join("; "))
    }
}
