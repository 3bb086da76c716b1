//! What was asked for, and what was answered. It is kept by those who asked, and knows nothing that the deployment did not tell them.
//!
//! An answer that did not come leaves a doubt: what was asked for may have been done, or not. A doubt is a set of states, and ends when the tenant is seen at rest.

use std::collections::{BTreeMap, BTreeSet};

/// That nothing came of a sign-up: it is no state that a deployment knows.
pub(crate) const ABSENT: &str = "absent";

/// What somebody wants of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    SignUp,
    Stop,
    Start,
    End,
}

impl Wish {
    /// The states in which it may come to rest that was granted this. What was never ready fails where it would have stopped or ended.
    const fn leads_to(self) -> &'static [&'static str] {
        match self {
            Self::SignUp | Self::Start => &["ready"],
            Self::Stop => &["stopped"],
            Self::End => &["ended"],
        }
    }
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Granted,
    Refused,
    /// No whole answer came.
    Unknown,
}

/// An order in a tenant's shop that was confirmed.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) path: String,
    pub(crate) customer: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    /// What every request of its sign-up carries, so that it can be repeated.
    pub(crate) key: Option<String>,
    /// As it was told.
    pub(crate) id: Option<String>,
    /// Where it may come to rest.
    pub(crate) may_be: BTreeSet<&'static str>,
    /// It was seen ready.
    pub(crate) was_ready: bool,
    pub(crate) orders: Vec<Order>,
    /// Somebody has it in hand.
    pub(crate) is_busy: bool,
    /// It was seen to be over, with nothing left.
    pub(crate) is_settled: bool,
}

impl Tenant {
    fn new(name: String, key: Option<String>) -> Self {
        Self {
            name,
            key,
            id: None,
            may_be: BTreeSet::from([ABSENT]),
            was_ready: false,
            orders: Vec::new(),
            is_busy: true,
            is_settled: false,
        }
    }

    /// Notes what became of a wish.
    pub(crate) fn wished(&mut self, wish: Wish, outcome: Outcome) {
        if outcome == Outcome::Refused {
            return;
        }
        let over = ["failed", "ended"];
        // What is over, or on its way there, stays that whatever else is asked of it.
        if wish != Wish::SignUp && self.may_be.iter().all(|state| over.contains(state)) {
            return;
        }
        let before = std::mem::take(&mut self.may_be);
        self.may_be.extend(wish.leads_to());
        // Its task may be killed before it was ever ready, and then everything is taken back.
        if !self.was_ready {
            self.may_be.insert("failed");
        }
        let is_in_doubt = |state: &&&str| outcome == Outcome::Unknown || over.contains(*state);
        self.may_be.extend(before.iter().filter(is_in_doubt));
    }

    /// It was seen at rest.
    pub(crate) fn seen(&mut self, state: &'static str) {
        self.may_be = BTreeSet::from([state]);
        self.was_ready |= state == "ready";
    }

    pub(crate) fn may_be_live(&self) -> bool {
        self.may_be.contains("ready") || self.may_be.contains("stopped")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    tenants: BTreeMap<String, Tenant>,
    count: usize,
}

impl Ledger {
    /// A new name, in the hand of whoever asks for it.
    pub(crate) fn begin(&mut self, with_key: bool) -> Tenant {
        let name = format!("t{}", self.count);
        self.count += 1;
        let tenant = Tenant::new(name.clone(), with_key.then(|| format!("key-of-{name}")));
        self.tenants.insert(name, tenant.clone());
        tenant
    }

    /// Takes one into one's hand that `fits` and nobody else has.
    pub(crate) fn take(
        &mut self,
        fits: impl Fn(&Tenant) -> bool,
        choose: impl FnOnce(usize) -> usize,
    ) -> Option<Tenant> {
        let mut free: Vec<&mut Tenant> = self
            .tenants
            .values_mut()
            .filter(|tenant| !tenant.is_busy && fits(tenant))
            .collect();
        let chosen = choose(free.len());
        let tenant = free.get_mut(chosen)?;
        tenant.is_busy = true;
        Some(tenant.clone())
    }

    /// Gives one back with what was learned of it.
    pub(crate) fn put(&mut self, mut tenant: Tenant) {
        tenant.is_busy = false;
        self.tenants.insert(tenant.name.clone(), tenant);
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants.values()
    }

    pub(crate) fn tenants_mut(&mut self) -> impl Iterator<Item = &mut Tenant> {
        self.tenants.values_mut()
    }

    /// Those who may be there.
    pub(crate) fn live(&self) -> usize {
        self.tenants.values().filter(|tenant| tenant.may_be_live()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        Ledger::default().begin(false)
    }

    fn may_be(tenant: &Tenant) -> Vec<&'static str> {
        tenant.may_be.iter().copied().collect()
    }

    #[test]
    fn what_was_granted_is_expected_and_what_was_refused_changes_nothing() {
        let mut tenant = tenant();
        tenant.wished(Wish::SignUp, Outcome::Granted);
        assert_eq!(may_be(&tenant), ["failed", "ready"]);
        tenant.seen("ready");
        tenant.wished(Wish::Stop, Outcome::Granted);
        assert_eq!(may_be(&tenant), ["stopped"]);
        tenant.wished(Wish::Start, Outcome::Refused);
        assert_eq!(may_be(&tenant), ["stopped"]);
    }

    #[test]
    fn an_answer_that_did_not_come_leaves_a_doubt_until_it_is_seen_at_rest() {
        let mut tenant = tenant();
        tenant.wished(Wish::SignUp, Outcome::Unknown);
        assert_eq!(may_be(&tenant), [ABSENT, "failed", "ready"]);
        tenant.seen("ready");
        tenant.wished(Wish::End, Outcome::Unknown);
        assert_eq!(may_be(&tenant), ["ended", "ready"]);
        tenant.wished(Wish::Stop, Outcome::Granted);
        assert_eq!(may_be(&tenant), ["ended", "stopped"]);
        tenant.seen("stopped");
        assert_eq!(may_be(&tenant), ["stopped"]);
    }

    #[test]
    fn a_tenant_is_in_one_hand_only() {
        let mut ledger = Ledger::default();
        let first = ledger.begin(true);
        assert!(ledger.take(|_| true, |_| 0).is_none());
        ledger.put(first);
        let taken = ledger.take(|_| true, |_| 0).expect("free");
        assert_eq!(taken.key.as_deref(), Some("key-of-t0"));
        assert!(ledger.take(|_| true, |_| 0).is_none());
    }
}
