//! The comparison: what the registry knows of each instance against what is there, both ways. Changes nothing.
//!
//! It goes like this, so that a registry of many thousands needs no more memory than a line for each:
//!
//! 1. Reservations and mails, page by page; of them the keys and whose they are.
//! 2. The live records, page by page; of each what [`Resting`] has.
//! 3. The platform: tasks, routes, rules, secrets, databases.
//! 4. What does not fit is a suspicion: sagas go on while all that is read. Each is looked at once more, by the record as it is then. What a saga made meanwhile belongs to
//!    a record that is moving, or rests with it; what is missing is missing only if the record is still the one that was read before the platform was.
//!
//! That a mend is still due at its moment is not for here: see `apply`.

use futures::{StreamExt, stream};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use wharf_domain::{Failure, Instance, InstanceId};
use wharf_platform::RouteKey;
use wharf_saga::store::{PAGE_MAX, Query, Stored};

use super::{
    Finding, Subject,
    causes::Causes,
    known::{Known, Over, Resting},
    suspect::{Suspect, finding, idle_rule, is_suspect, undriven},
    world::Places,
};
use crate::wharf::{Wharf, read};

/// Findings of one comparison, at the most: the next one finds the rest.
const FINDINGS_MOST: usize = 10_000;
/// Records read at once.
const READS_AT_ONCE: usize = 16;
/// So long after its time somebody should have taken up an instance that is due, or handed over a mail.
const OVERDUE: Duration = Duration::from_mins(10);

/// The registry's side.
struct Registry {
    live: HashMap<InstanceId, Known>,
    places: Places,
    /// What cannot be read, and what nobody drives.
    findings: Vec<Finding>,
    /// The target groups of instances that are on their way: a rule there may have been made this moment.
    moving_groups: BTreeSet<String>,
    /// The newest instance of all; `None`: there is no record at all.
    newest: Option<InstanceId>,
}

impl Wharf {
    /// Compares registry and world. Changes nothing.
    pub async fn repair_plan(&self) -> Result<Vec<Finding>, Failure> {
        let beside = self.beside().await?;
        let mut registry = self.registry().await?;
        let world = self.world(&registry.places, &beside).await?;
        let mut findings = std::mem::take(&mut registry.findings);
        let mut causes = Causes::new(self, registry.newest.clone());
        let mut suspects: Vec<InstanceId> = Vec::new();
        for (id, known) in &registry.live {
            if let Known::Resting(resting) = known
                && is_suspect(id, resting, &world, &beside)
            {
                suspects.push(id.clone());
            }
        }
        let strangers = world.owners().into_iter().chain(beside.held.keys().cloned());
        suspects.extend(strangers.filter(|id| !registry.live.contains_key(id)));
        suspects.sort_unstable();
        suspects.dedup();
        let mut looks = stream::iter(suspects)
            .map(|id| async move { (self.known(&id).await, id) })
            .buffered(READS_AT_ONCE);
        while let Some((now, id)) = looks.next().await {
            if findings.len() >= FINDINGS_MOST {
                tracing::warn!(
                    "there are more than {FINDINGS_MOST} differences: the rest is found after these are mended"
                );
                break;
            }
            let now = now?;
            let before = registry.live.get(&id);
            let suspect = Suspect {
                id: &id,
                now: &now,
                world: &world,
                beside: &beside,
                is_empty: registry.newest.is_none(),
            };
            findings.extend(self.left_behind(&suspect, &mut causes).await?);
            // What is missing was looked for after the record was read: so it has to be the same one still.
            if before == Some(&now)
                && let Known::Resting(resting) = &now
            {
                findings.extend(self.missing(&suspect, resting, &mut causes).await?);
            }
            findings.extend(self.rights(&suspect, &mut causes).await?);
        }
        findings.extend(self.mails(&beside).await?);
        for rule in &world.rules {
            if !rule.groups.iter().any(|group| registry.moving_groups.contains(group)) {
                findings.push(idle_rule(rule));
            }
        }
        findings.sort_by(|a, b| (&a.what, a.subject).cmp(&(&b.what, b.subject)));
        Ok(findings)
    }

    /// What the registry says of an instance now.
    pub(super) async fn known(&self, id: &InstanceId) -> Result<Known, Failure> {
        match self.store().load(id).await? {
            Some(stored) => Ok(match read(&stored) {
                Ok(record) => self.judge(&stored, &record.data, record.is_halted() || record.progress.is_none()),
                // What is not understood is not touched.
                Err(_) => Known::Moving,
            }),
            None => Ok(Known::Unknown),
        }
    }

    fn judge(&self, stored: &Stored, instance: &Instance, stands_still: bool) -> Known {
        if let Some(over) = Over::of(instance) {
            return Known::Over(Box::new(over));
        }
        let is_under_way = !stands_still
            || stored.inbox_head > stored.inbox_read
            || stored.lease.holder.is_some()
            || stored.wake.is_some_and(|wake| wake.at <= self.clock().now())
            || self.engine().is_driving(&stored.id)
            // It has lost its task, and waits for its turn to come back.
            || self.restore_queue().waits(&stored.id);
        if is_under_way {
            return Known::Moving;
        }
        Resting::of(instance, &stored.lease, self.settings())
            .map_or(Known::Moving, |resting| Known::Resting(Box::new(resting)))
    }

    async fn registry(&self) -> Result<Registry, Failure> {
        let mut registry = Registry {
            live: HashMap::new(),
            places: Places::configured(self.settings()),
            findings: Vec::new(),
            moving_groups: BTreeSet::new(),
            newest: None,
        };
        let newest = Query {
            limit: 1,
            ..Query::default()
        };
        registry.newest = self.store().list(newest).await?.pop().map(|stored| stored.id);
        let mut before = None;
        loop {
            let query = Query {
                live: Some(true),
                before,
                limit: PAGE_MAX,
                ..Query::default()
            };
            let page = self.store().list(query).await?;
            let is_last = page.len() < PAGE_MAX;
            before = page.last().map(|last| last.id.clone());
            for stored in &page {
                self.enter(&mut registry, stored);
            }
            if is_last {
                return Ok(registry);
            }
        }
    }

    fn enter(&self, registry: &mut Registry, stored: &Stored) {
        let record = match read(stored) {
            Ok(record) => record,
            Err(failure) => {
                registry.live.insert(stored.id.clone(), Known::Moving);
                let unreadable = finding(Subject::Record, &stored.id, failure.message)
                    .hint("it may be of a later version: upgrade Wharf, or restore the registry from a backup");
                registry.findings.push(unreadable);
                return;
            }
        };
        let stands_still = record.is_halted() || record.progress.is_none();
        let known = self.judge(stored, &record.data, stands_still);
        registry.places.add(&record.data, self.settings());
        let now = self.clock().now();
        if known == Known::Moving {
            if let Some(RouteKey::TargetGroups { arns, .. }) = self.settings().route_key(&record.data) {
                registry.moving_groups.extend(arns);
            }
            if let Some(late) = stored.wake.filter(|wake| wake.at + OVERDUE < now) {
                registry.findings.push(undriven(&record.data, now.since(late.at)));
            }
        }
        registry.live.insert(stored.id.clone(), known);
    }
}
