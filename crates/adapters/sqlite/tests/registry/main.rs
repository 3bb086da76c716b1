//! The SQLite registry held to its promises: the Store's contract, and what is its own (files, formats, disks, killed processes).

mod backups;
mod contract;
mod disk;
mod durability;
mod formats;
mod grouping;
mod opening;

use std::path::{Path, PathBuf};
use wharf_domain::{Failure, InstanceId, Timestamp};
use wharf_saga::{
    Batch, Ids,
    store::{Expect, HistoryEntry, Index, LeaseChange, RecordWrite, Wake},
};
use wharf_sqlite::SqliteStore;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Ids of one byte, again and again.
struct Same(u8);

impl Ids for Same {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("registry.db")
}

fn try_open(path: &Path) -> Result<SqliteStore, Failure> {
    SqliteStore::open(path, &Same(1), NOW)
}

fn open(folder: &Path) -> SqliteStore {
    try_open(&file(folder)).expect("open")
}

fn id(n: u64) -> InstanceId {
    InstanceId::new(Timestamp(NOW.0 + n), [0; 10])
}

fn record(body: &str, wake: Option<Wake>) -> RecordWrite {
    RecordWrite {
        body: body.to_owned(),
        index: Index {
            name: None,
            service: "shop".to_owned(),
            state: "queued",
            live: true,
        },
        wake,
    }
}

fn claim(n: u64, body: &str) -> Batch {
    Batch {
        record: Some(record(body, None)),
        ..Batch::new(
            id(n),
            Expect::Absent,
            LeaseChange::Take {
                holder: "one".to_owned(),
            },
        )
    }
}

fn note(text: &str) -> HistoryEntry {
    HistoryEntry {
        at: NOW,
        attempt: 1,
        what: wharf_saga::store::Happening::Note { text: text.to_owned() },
    }
}
