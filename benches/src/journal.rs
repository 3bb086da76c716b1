//! The journal: how many durable transactions a second eight writers get through the [`Store`] trait.
//!
//! A transaction is what a driver writes in the middle of a saga: the record of an instance whose lease it holds, fenced by that lease,
//! and a line of its history. Beside it stand what SQLite makes of bare rows written in the same way, and what the disk does.

use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{InstanceId, Timestamp};
use wharf_local::{OsIds, SystemClock};
use wharf_saga::{
    Batch, Clock, Ids, Store,
    store::{Expect, Happening, HistoryEntry, Index, Lease, LeaseChange, RecordWrite},
};
use wharf_sqlite::SqliteStore;

use crate::{
    Result,
    bare::Bare,
    figure::{Figure, Goal, Unit},
    fsync::Disk,
    samples::interleaved,
    setup::Setup,
};

/// All rounds, at the most.
const WITHIN: Duration = Duration::from_secs(40);
const WRITERS: usize = 8;
/// Bytes of a value, as in the measurements that the goal was taken from.
const VALUE: usize = 200;
/// Transactions a second.
const WANTED: f64 = 15_000.0;

pub(crate) fn run(setup: &Setup) -> Result<Vec<Figure>> {
    let folder = setup.scratch.folder("journal")?;
    let stretch = setup.stretch(Duration::from_millis(400));
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(
        &folder.join("registry.db"),
        &OsIds,
        SystemClock.now(),
    )?);
    let bare = Bare::open(&folder.join("bare.db"))?;
    let mut disk = Disk::new(&folder)?;

    let mut through_the_store = || setup.runtime.block_on(rate(&store, stretch));
    let mut bare_rows = || bare.rate(WRITERS, &[7; VALUE], stretch);
    let mut syncs = || disk.rate(stretch);
    let [ours, bare, syncs] = interleaved(
        setup.rounds(21, WITHIN),
        &mut [&mut through_the_store, &mut bare_rows, &mut syncs],
    )?;
    let figure = Figure::new(
        "durable transactions of 8 writers through the Store trait",
        Unit::PerSecond,
        ours.clone(),
    )
    .against("bare rows in groups", &bare);
    Ok(vec![
        figure
            .goal(Goal::AtLeast(WANTED))
            .note("a fenced record of 200 bytes and a line of history each; bare rows are 200 bytes and nothing else"),
        Figure::new("the same, beside what the disk does alone", Unit::PerSecond, ours)
            .against("fsyncs one after another", &syncs),
    ])
}

/// Durable transactions a second, each writer on an instance of its own.
async fn rate(store: &Arc<dyn Store>, stretch: Duration) -> Result<f64> {
    let began = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| tokio::spawn(write(store.clone(), began + stretch)))
        .collect();
    let mut count = 0;
    for writer in writers {
        count += writer.await??;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

async fn write(store: Arc<dyn Store>, until: Instant) -> Result<usize> {
    let id = OsIds.instance_id(SystemClock.now());
    let mut lease = store.commit(claim(&id)).await?.lease;
    let mut count = 1;
    while Instant::now() < until {
        let mut batch = update(&id, &lease, count);
        batch.history.push(HistoryEntry {
            at: Timestamp(count as u64),
            attempt: 1,
            what: Happening::Started {
                step: "step".to_owned(),
                undo: false,
            },
        });
        lease = store.commit(batch).await?.lease;
        count += 1;
    }
    Ok(count)
}

/// The bare beginning of a record.
pub(crate) fn claim(id: &InstanceId) -> Batch {
    let take = LeaseChange::Take {
        holder: "bench".to_owned(),
    };
    Batch {
        record: Some(record(0)),
        ..Batch::new(id.clone(), Expect::Absent, take)
    }
}

/// A record written by the holder of its lease, and nothing else. Its number makes it another one than the last: SQLite writes
/// nothing, and waits for no disk, where nothing changes.
pub(crate) fn update(id: &InstanceId, lease: &Lease, number: usize) -> Batch {
    let expect = Expect::Lease {
        epoch: lease.epoch,
        renewals: lease.renewals,
    };
    Batch {
        record: Some(record(number)),
        ..Batch::new(id.clone(), expect, LeaseChange::Keep)
    }
}

fn record(number: usize) -> RecordWrite {
    RecordWrite {
        // A JSON text of as many bytes as a value has, its quotes counted.
        body: format!("\"{number:0>width$}\"", width = VALUE - 2),
        index: Index {
            name: None,
            service: "bench".to_owned(),
            state: "running",
            live: true,
        },
        wake: None,
    }
}
