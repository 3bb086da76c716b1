//! What goes wrong, and when: by the number of a call, always, or by chance out of the seed.

use parking_lot::Mutex;
use std::{collections::BTreeMap, time::Duration};
use wharf_domain::Code;

use super::chance::draw;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It fails with this code, and nothing was done.
    Before(Code),
    /// It was done, and the answer is lost: the caller gets this code.
    After(Code),
    /// It takes this long, then is done.
    Slow(Duration),
    /// It is done twice, as a repeated request would.
    Twice,
    /// It stays on its way: the caller gets this code at once, and so much later it is done all the same, whoever is alive by then.
    Lands(Duration, Code),
}

impl Mishap {
    /// What a tally calls it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Before(_) => "refused before the effect",
            Self::After(_) => "answer lost after the effect",
            Self::Slow(_) => "slow",
            Self::Twice => "done twice",
            Self::Lands(..) => "landed late",
        }
    }
}

/// Which calls it goes wrong with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// The n-th of its kind from now on (1: the next one), once.
    Nth(u64),
    Always,
    /// Each with this probability, from 0 to 1.
    Chance(f64),
}

/// An order that can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order(u64);

#[derive(Debug)]
struct Rule {
    order: Order,
    call: String,
    when: When,
    mishap: Mishap,
    seen: u64,
}

/// The mishaps that are ordered. A call is named by trait and method: `tasks.start`, `routes.withdraw`; `tasks.*` is any of a trait, `*` any at all.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    orders: u64,
    /// How often each kind of thing went wrong.
    tally: BTreeMap<&'static str, u64>,
}

/// What is going to happen to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) slow: Duration,
    pub(crate) refuse: Option<Code>,
    pub(crate) lose: Option<Code>,
    pub(crate) twice: bool,
    pub(crate) lands: Option<(Duration, Code)>,
}

impl Rule {
    fn is_of(&self, call: &str) -> bool {
        match self.call.strip_suffix('*') {
            Some(family) => call.starts_with(family),
            None => self.call == call,
        }
    }
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            state: Mutex::default(),
        }
    }

    /// Orders a mishap.
    pub fn order(&self, call: &str, when: When, mishap: Mishap) -> Order {
        let mut state = self.state.lock();
        state.orders += 1;
        let order = Order(state.orders);
        state.rules.push(Rule {
            order,
            call: call.to_owned(),
            when,
            mishap,
            seen: 0,
        });
        order
    }

    /// Takes an order back, if it still stands.
    pub fn cancel(&self, order: Order) {
        self.state.lock().rules.retain(|rule| rule.order != order);
    }

    /// From now on all goes well.
    pub fn clear(&self) {
        self.state.lock().rules.clear();
    }

    /// How often each kind of thing went wrong so far.
    #[must_use]
    pub fn tally(&self) -> BTreeMap<&'static str, u64> {
        self.state.lock().tally.clone()
    }

    /// Counts something that went wrong and was not ordered here.
    pub fn count(&self, kind: &'static str) {
        *self.state.lock().tally.entry(kind).or_default() += 1;
    }

    pub(crate) fn fate(&self, call: &str) -> Fate {
        let mut fate = Fate::default();
        let mut guard = self.state.lock();
        let State { rules, tally, .. } = &mut *guard;
        rules.retain_mut(|rule| {
            if !rule.is_of(call) {
                return true;
            }
            rule.seen += 1;
            let (now, keep) = match rule.when {
                When::Nth(n) => (rule.seen == n, rule.seen < n),
                When::Always => (true, true),
                // Drawn by what it is drawn for: one order more or less changes nothing about the others.
                When::Chance(probability) => (draw(self.seed, &[rule.order.0, rule.seen]) < probability, true),
            };
            if now {
                *tally.entry(rule.mishap.kind()).or_default() += 1;
                match rule.mishap {
                    Mishap::Before(code) => fate.refuse = Some(code),
                    Mishap::After(code) => fate.lose = Some(code),
                    Mishap::Slow(by) => fate.slow += by,
                    Mishap::Twice => fate.twice = true,
                    Mishap::Lands(after, code) => fate.lands = Some((after, code)),
                }
            }
            keep
        });
        fate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_call_goes_wrong_and_no_other() {
        let faults = Faults::new(1);
        faults.order("a", When::Nth(2), Mishap::Before(Code::TaskLost));
        let refused: Vec<bool> = ["a", "b", "a", "a"]
            .iter()
            .map(|call| faults.fate(call).refuse.is_some())
            .collect();
        assert_eq!(refused, [false, false, true, false]);
        assert_eq!(faults.tally().into_values().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn an_order_can_be_for_a_whole_trait_and_be_taken_back() {
        let faults = Faults::new(1);
        let order = faults.order("tasks.*", When::Always, Mishap::Twice);
        assert!(faults.fate("tasks.start").twice && !faults.fate("routes.all").twice);
        faults.cancel(order);
        assert!(!faults.fate("tasks.start").twice);
    }

    #[test]
    fn chance_is_the_seeds() {
        let course = |seed| {
            let faults = Faults::new(seed);
            faults.order("*", When::Chance(0.5), Mishap::Twice);
            (0..64).map(|_| faults.fate("x").twice).collect::<Vec<_>>()
        };
        assert_eq!(course(3), course(3));
        assert_ne!(course(3), course(4));
    }
}
