//! What DynamoDB says that each call cost, summed up.

use aws_sdk_dynamodb::types::ConsumedCapacity;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the registry has cost since it was made. Units are DynamoDB's: a write unit for each started kilobyte of an item and for each entry of an
/// index that changes (the table's part twice in a transaction), a read unit for four kilobytes (half of one where the read need not be consistent).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StoreCounters {
    pub write_units: f64,
    pub read_units: f64,
    pub writes: u64,
    pub transactions: u64,
    pub reads: u64,
    /// Writes that a condition refused, or that met another transaction. Each was paid for.
    pub refused: u64,
}

/// Counts; units in halves, of which all of them are made.
#[derive(Debug, Default)]
pub(super) struct Meter {
    write_halves: AtomicU64,
    read_halves: AtomicU64,
    writes: AtomicU64,
    transactions: AtomicU64,
    reads: AtomicU64,
    refused: AtomicU64,
}

fn halves<'a>(consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) -> u64 {
    let units = consumed.into_iter().filter_map(ConsumedCapacity::capacity_units);
    (units.sum::<f64>() * 2.0).round() as u64
}

impl Meter {
    pub(super) fn wrote<'a>(&self, consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.write_halves.fetch_add(halves(consumed), Ordering::Relaxed);
    }

    pub(super) fn transacted<'a>(&self, consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        self.wrote(consumed);
    }

    pub(super) fn read<'a>(&self, consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read_halves.fetch_add(halves(consumed), Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counters(&self) -> StoreCounters {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreCounters {
            write_units: load(&self.write_halves) as f64 / 2.0,
            read_units: load(&self.read_halves) as f64 / 2.0,
            writes: load(&self.writes),
            transactions: load(&self.transactions),
            reads: load(&self.reads),
            refused: load(&self.refused),
        }
    }
}
