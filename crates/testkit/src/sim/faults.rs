//! What goes wrong, and when: by the number of a call, always, or by chance out of the seed.

use parking_lot::Mutex;
use std::time::Duration;
use wharf_domain::Code;

use super::chance::Chance;

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

#[derive(Debug)]
struct Rule {
    call: String,
    when: When,
    mishap: Mishap,
    seen: u64,
}

/// The mishaps that are ordered. A call is named by trait and method: `tasks.start`, `routes.withdraw`; `*` is any.
#[derive(Debug)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    chance: Chance,
}

/// What is going to happen to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) slow: Duration,
    pub(crate) refuse: Option<Code>,
    pub(crate) lose: Option<Code>,
    pub(crate) twice: bool,
}

impl Faults {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            rules: Mutex::new(Vec::new()),
            chance: Chance::new(seed),
        }
    }

    /// Orders a mishap.
    pub fn order(&self, call: &str, when: When, mishap: Mishap) {
        self.rules.lock().push(Rule {
            call: call.to_owned(),
            when,
            mishap,
            seen: 0,
        });
    }

    /// From now on all goes well.
    pub fn clear(&self) {
        self.rules.lock().clear();
    }

    pub(crate) fn fate(&self, call: &str) -> Fate {
        let mut fate = Fate::default();
        self.rules.lock().retain_mut(|rule| {
            if rule.call != call && rule.call != "*" {
                return true;
            }
            rule.seen += 1;
            let (now, keep) = match rule.when {
                When::Nth(n) => (rule.seen == n, rule.seen < n),
                When::Always => (true, true),
                When::Chance(probability) => (self.chance.fraction() < probability, true),
            };
            if now {
                match rule.mishap {
                    Mishap::Before(code) => fate.refuse = Some(code),
                    Mishap::After(code) => fate.lose = Some(code),
                    Mishap::Slow(by) => fate.slow += by,
                    Mishap::Twice => fate.twice = true,
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
