//! Runs of repair: one that is asked for, and those that come by themselves, now and then. What the last one left is remembered, for whoever asks; and told to the log when it changes.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use wharf_domain::{Failure, Timestamp};

use super::{Class, Finding, Mended, Outcome, Subject};
use crate::wharf::Wharf;

/// Lines that one run writes into the log of each kind, at the most.
const LINES_MOST: usize = 50;

/// What one run found and did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairRun {
    pub at: Timestamp,
    /// How long it took.
    pub millis: u64,
    pub findings: Vec<Finding>,
    pub mended: Vec<Mended>,
}

impl RepairRun {
    /// What it found and has not mended.
    pub fn left(&self) -> impl Iterator<Item = &Finding> {
        let is_mended = |finding: &Finding| {
            let became = self
                .mended
                .iter()
                .find(|mended| Some(&mended.mend) == finding.mend.as_ref());
            became.is_some_and(|mended| mended.outcome != Outcome::Failed)
        };
        self.findings.iter().filter(move |finding| !is_mended(finding))
    }

    /// How much it has left, by what it is about.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Subject, usize> {
        let mut counts: BTreeMap<Subject, usize> = Subject::ALL.iter().map(|subject| (*subject, 0)).collect();
        for finding in self.left() {
            *counts.entry(finding.subject).or_default() += 1;
        }
        counts
    }
}

/// The last run, and what of it stands in the log.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last: Mutex<Option<Arc<RepairRun>>>,
    told: Mutex<BTreeSet<String>>,
}

impl Ledger {
    /// Tells the log of what is left since this run, and of what is not any more.
    fn tell(&self, run: &RepairRun) {
        let left: BTreeMap<&str, &Finding> = run.left().map(|finding| (finding.what.as_str(), finding)).collect();
        let mut told = self.told.lock();
        let new: Vec<&Finding> = left
            .values()
            .copied()
            .filter(|finding| !told.contains(&finding.what))
            .collect();
        for finding in new.iter().take(LINES_MOST) {
            tracing::warn!(
                subject = finding.subject.as_str(),
                class = ?finding.class,
                "registry and world differ: {}; `wharf repair` shows what can be done",
                finding.what
            );
        }
        if new.len() > LINES_MOST {
            tracing::warn!(more = new.len() - LINES_MOST, "registry and world differ in more");
        }
        let gone = told.iter().filter(|what| !left.contains_key(what.as_str()));
        for what in gone.take(LINES_MOST) {
            tracing::info!("registry and world differ no more in this: {what}");
        }
        *told = left.into_keys().map(str::to_owned).collect();
    }
}

impl Wharf {
    /// Compares, mends what is allowed (`None`: nothing), and remembers what came of it.
    pub async fn repair(&self, allowed: Option<Class>) -> Result<Arc<RepairRun>, Failure> {
        let begun = tokio::time::Instant::now();
        let findings = self.repair_plan().await?;
        let mended = match allowed {
            Some(allowed) => self.repair_apply(findings.clone(), allowed).await,
            None => Vec::new(),
        };
        let run = Arc::new(RepairRun {
            at: self.clock().now(),
            millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            findings,
            mended,
        });
        *self.ledger().last.lock() = Some(run.clone());
        self.watchers().repaired(&run);
        Ok(run)
    }

    /// The last run of this process, whoever asked for it.
    #[must_use]
    pub fn last_repair(&self) -> Option<Arc<RepairRun>> {
        self.ledger().last.lock().clone()
    }

    /// One run that comes by itself: what it leaves is told to the log when that changes. Never more than [`Class::Safe`] is mended.
    pub async fn repair_by_itself(&self, apply: bool) -> Result<Arc<RepairRun>, Failure> {
        let run = self.repair(apply.then_some(Class::Safe)).await?;
        self.ledger().tell(&run);
        Ok(run)
    }

    /// Such a run now and then, until the returned future is dropped.
    pub async fn repair_forever(&self, every: Duration, apply: bool) {
        loop {
            tokio::time::sleep(every).await;
            if let Err(failure) = self.repair_by_itself(apply).await {
                tracing::warn!(code = %failure.code, error = %failure.message, "registry and world cannot be compared now");
            }
        }
    }
}
