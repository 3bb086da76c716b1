//! What the registry costs in DynamoDB, in its own units: as each answer tells them, transactions at their double price.

use std::sync::Arc;
use wharf_aws::{ClientOptions, Clients, DynamoStore, StoreCounters, Tables, operations::Operation};
use wharf_domain::{InstanceId, Service, Timestamp};
use wharf_local::{OsIds, SystemClock};
use wharf_saga::{
    Batch, Clock, Ids, Store,
    store::{Expect, Kind, LeaseChange, Release, Reserve},
};
use wharf_testkit::sim::{services, wharf::provision_on};

use super::emulator::Emulator;
use crate::{
    Result,
    figure::{Figure, Goal, Unit},
    samples::Samples,
    setup::Setup,
};

/// Write units of one provision.
const WANTED: f64 = 40.0;
const FIRST_PORT: u16 = 8000;
/// Ports of the range in a full run.
const PORTS: usize = 1_000;
/// Leases that are measured at each fill.
const LEASES: u16 = 5;
/// Ports that one commit takes or gives back here; a transaction has a hundred actions.
const AT_ONCE: usize = 50;
/// Ports drawn at the same time while the range is filled.
const DRAWN_AT_ONCE: usize = 32;
/// A clock of the registry that has come so much further: what was given back has rested.
const REST_MS: u64 = 1_000;

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    setup.runtime.block_on(async {
        let mut figures = provisions().await?;
        figures.extend(leases(setup.times(PORTS)).await?);
        Ok(figures)
    })
}

/// A registry with its tables, in an emulator of its own.
pub(crate) async fn registry(emulator: &Emulator) -> Result<Arc<DynamoStore>> {
    let clients = Arc::new(Clients::new(ClientOptions::emulator(emulator.url())));
    let store = DynamoStore::new(clients, Tables::default(), Arc::new(OsIds), Arc::new(SystemClock));
    store.create_tables().await?;
    Ok(Arc::new(store))
}

async fn provisions() -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (service, what) in [
        (services::shop(), "a provision"),
        (services::direct(), "a provision with a static port"),
    ] {
        let cost = provision(service).await?;
        let note = format!(
            "{} writes, {} of them transactions, and {} reads; {} writes were refused; the store has no Scan among its calls",
            cost.writes, cost.transactions, cost.reads, cost.refused
        );
        figures.push(
            units(format!("write units of {what}"), cost.write_units)?
                .goal(Goal::AtMost(WANTED))
                .note(note),
        );
        figures.push(units(format!("read units of {what}"), cost.read_units)?);
    }
    Ok(figures)
}

async fn provision(service: Service) -> Result<StoreCounters> {
    // What it cannot call it does not do; the function's policy is generated from the same table.
    if Operation::ALL.iter().any(|operation| operation.name() == "Scan") {
        return Err("the store has Scan among its calls".into());
    }
    let emulator = Emulator::start()?;
    let store = registry(&emulator).await?;
    provision_on(store.clone(), service, Some("0b8ad0bf-8a67-4a3c-8d2b-4f3f6a0f1c55")).await;
    Ok(store.counters())
}

/// A range that fills up, and of which some is given back at last.
async fn leases(ports: usize) -> Result<Vec<Figure>> {
    let emulator = Emulator::start()?;
    let range = Range {
        store: registry(&emulator).await?,
        last: FIRST_PORT + u16::try_from(ports)? - 1,
    };
    let mut figures = Vec::new();
    let mut taken = 0;
    for percent in [0, 50, 95] {
        taken += range.take(ports * percent / 100 - taken).await?;
        figures.extend(range.figures(&format!("{percent} % of {ports} ports taken")).await?);
        taken += usize::from(LEASES);
    }
    // Every port was drawn once: from here on only what was given back is left.
    while let Some(port) = range.store.free_port(range.all(), SystemClock.now()).await? {
        range.claim(&[port]).await?;
    }
    range.give_back(ports / 20).await?;
    figures.extend(
        range
            .figures(&format!("95 % of {ports} ports taken, each for the second time"))
            .await?,
    );
    Ok(figures)
}

/// The ports that are leased here.
struct Range {
    store: Arc<DynamoStore>,
    last: u16,
}

impl Range {
    fn all(&self) -> std::ops::RangeInclusive<u16> {
        FIRST_PORT..=self.last
    }

    /// What leases add to claims, in write and read units: the look for a free port, and its item in the claim's transaction.
    async fn figures(&self, at: &str) -> Result<Vec<Figure>> {
        let (mut writes, mut reads, mut refused) = (Vec::new(), Vec::new(), 0);
        for _ in 0..LEASES {
            let before = self.store.counters();
            self.claim(&[]).await?;
            let without = self.store.counters();
            let port = self.store.free_port(self.all(), SystemClock.now()).await?;
            self.claim(&[port.ok_or("no port is free")?]).await?;
            let with = self.store.counters();
            let added = |of: fn(&StoreCounters) -> f64| (of(&with) - of(&without)) - (of(&without) - of(&before));
            writes.push(added(|counters| counters.write_units));
            reads.push(added(|counters| counters.read_units));
            refused += with.refused - without.refused;
        }
        let samples = |values| Samples::new(values).ok_or("no lease was measured");
        Ok(vec![
            Figure::new(
                format!("write units of a port lease, {at}"),
                Unit::Count,
                samples(writes)?,
            )
            .note(format!("{refused} writes of {LEASES} leases were refused")),
            Figure::new(
                format!("read units of a port lease, {at}"),
                Unit::Count,
                samples(reads)?,
            ),
        ])
    }

    async fn take(&self, count: usize) -> Result<usize> {
        let mut ports = Vec::new();
        while ports.len() < count {
            let hands = (0..DRAWN_AT_ONCE.min(count - ports.len()))
                .map(|_| self.store.free_port(self.all(), SystemClock.now()));
            for port in futures::future::try_join_all(hands).await? {
                ports.push(port.ok_or("the range is full before its time")?);
            }
        }
        for ports in ports.chunks(AT_ONCE) {
            self.claim(ports).await?;
        }
        Ok(count)
    }

    /// A new instance that holds these ports.
    async fn claim(&self, ports: &[u16]) -> Result<InstanceId> {
        let id = OsIds.instance_id(SystemClock.now());
        let reserve = ports.iter().map(|port| Reserve {
            kind: Kind::Port,
            key: port.to_string(),
            value: String::new(),
            until: None,
            now: SystemClock.now(),
        });
        let batch = Batch {
            reserve: reserve.collect(),
            ..crate::journal::claim(&id)
        };
        self.store.commit(batch).await?;
        Ok(id)
    }

    /// The first of the range, at once free again.
    async fn give_back(&self, count: usize) -> Result<()> {
        for port in self.all().take(count) {
            let held = self.store.reservation(Kind::Port, &port.to_string()).await?;
            let owner = held.ok_or("a port without an owner")?.owner;
            let lease = self.store.load(&owner).await?.ok_or("an owner without a record")?.lease;
            let expect = Expect::Lease {
                epoch: lease.epoch,
                renewals: lease.renewals,
            };
            let batch = Batch {
                release: vec![Release {
                    kind: Kind::Port,
                    key: port.to_string(),
                    rest_until: Some(Timestamp(SystemClock.now().0.saturating_sub(REST_MS))),
                    must_hold: true,
                }],
                ..Batch::new(owner, expect, LeaseChange::Keep)
            };
            self.store.commit(batch).await?;
        }
        Ok(())
    }
}

fn units(name: String, value: f64) -> Result<Figure> {
    Ok(Figure::new(
        name,
        Unit::Count,
        Samples::new(vec![value]).ok_or("no number of units")?,
    ))
}
