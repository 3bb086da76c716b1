//! How fast the registry is, beside what the disk allows: `cargo run --release -p wharf-sqlite --example journal`.
//!
//! Bare is one INSERT of 200 bytes a transaction, through a writing thread with group commit and nothing else. The store's batch
//! is what a driver writes in the middle of a saga: a condition on the lease, a record of 1 KB, two lines of history. Both wait
//! for their fsync. Rounds alternate, so that what else the machine does falls on both.

use rusqlite::Connection;
use std::{
    error::Error,
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::sync::oneshot;
use wharf_domain::{InstanceId, Timestamp};
use wharf_saga::{
    Batch, Ids, Store,
    store::{
        Expect, Happening, HistoryEntry, Index, Kind, Lease, LeaseChange, Query, RecordWrite, Reserve, StoreError, Wake,
    },
};
use wharf_sqlite::SqliteStore;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const CALLERS: u64 = 8;
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
/// How many batches an instance gets before its driver goes on to another.
const LIFE: u64 = 20;

struct Zeros;

impl Ids for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    // In the working directory: a temporary folder may lie in memory.
    let folder = TempDir::new_in(".")?;
    runtime.block_on(async {
        writes(folder.path()).await?;
        large(folder.path()).await
    })
}

fn open(path: &Path) -> Result<SqliteStore> {
    Ok(SqliteStore::open(path, &Zeros, NOW)?)
}

async fn writes(folder: &Path) -> Result<()> {
    let bare = Arc::new(Bare::start(&folder.join("bare.db"))?);
    let store = Arc::new(open(&folder.join("store.db"))?);
    let mut next = 0;
    for round in 1..=ROUNDS {
        for callers in [1, CALLERS] {
            let (writes, took) = bare_round(&bare, callers).await?;
            report(round, "bare INSERT", callers, writes, took, None);
            let before = store.counters();
            let (writes, took) = store_round(&store, callers, &mut next).await?;
            let after = store.counters();
            report(
                round,
                "store batch",
                callers,
                writes,
                took,
                Some(after.commits - before.commits),
            );
        }
    }
    Ok(())
}

fn report(round: usize, what: &str, callers: u64, writes: u64, took: Duration, commits: Option<u64>) {
    let rate = writes as f64 / took.as_secs_f64();
    let latency = took.as_secs_f64() * 1e6 * callers as f64 / writes as f64;
    let grouped = commits.map_or(String::new(), |commits| {
        format!(", {:.1} in a commit", writes as f64 / commits as f64)
    });
    println!("round {round}: {what}, {callers} callers: {rate:7.0}/s, {latency:5.0} µs each{grouped}");
}

/// Runs `callers` tasks for a round. Gives how many writes they made, and in what time.
async fn round<F>(callers: u64, task: impl Fn(u64) -> F) -> Result<(u64, Duration)>
where
    F: Future<Output = Result<u64>> + Send + 'static,
{
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers).map(|n| tokio::spawn(task(n))).collect();
    let mut writes = 0;
    for task in tasks {
        writes += task.await??;
    }
    Ok((writes, begun.elapsed()))
}

async fn bare_round(bare: &Arc<Bare>, callers: u64) -> Result<(u64, Duration)> {
    round(callers, |_| {
        let bare = bare.clone();
        async move {
            let (begun, mut writes) = (Instant::now(), 0);
            while begun.elapsed() < ROUND {
                bare.insert().await?;
                writes += 1;
            }
            Ok(writes)
        }
    })
    .await
}

async fn store_round(store: &Arc<SqliteStore>, callers: u64, next: &mut u64) -> Result<(u64, Duration)> {
    let first = *next;
    // As much room as nobody needs.
    *next += 1_000_000;
    round(callers, |n| {
        let store = store.clone();
        async move {
            let (begun, mut writes, mut instance) = (Instant::now(), 0, first + n);
            while begun.elapsed() < ROUND {
                let mut lease = store.commit(claim(instance)).await?.lease;
                writes += 1;
                for step in 1..LIFE {
                    lease = store.commit(goes_on(instance, step, &lease)).await?.lease;
                    writes += 1;
                }
                instance += callers;
            }
            Ok(writes)
        }
    })
    .await
}

fn id(n: u64) -> InstanceId {
    InstanceId::new(Timestamp(NOW.0 + n), [0; 10])
}

fn record(n: u64, step: u64) -> RecordWrite {
    RecordWrite {
        body: format!("{{\"n\":{n},\"step\":{step},\"x\":\"{}\"}}", "x".repeat(1000)),
        index: Index {
            name: Some(format!("tenant-{n}")),
            service: ["storefront", "auth"][usize::from(n.is_multiple_of(10))].to_owned(),
            state: if n.is_multiple_of(100) { "down" } else { "ready" },
            live: true,
        },
        wake: Some(Wake { at: NOW, seq: 0 }),
    }
}

fn line(what: Happening) -> HistoryEntry {
    HistoryEntry {
        at: NOW,
        attempt: 1,
        what,
    }
}

fn lines() -> Vec<HistoryEntry> {
    vec![
        line(Happening::Done {
            step: "database".to_owned(),
            undo: false,
            millis: 12,
        }),
        line(Happening::Started {
            step: "task".to_owned(),
            undo: false,
        }),
    ]
}

fn claim(n: u64) -> Batch {
    let reserve = |kind, key: String| Reserve {
        kind,
        key,
        value: String::new(),
        until: None,
        now: NOW,
    };
    let holder = "driver_0123456789abcdefghjkmnpqrs".to_owned();
    Batch {
        record: Some(record(n, 0)),
        history: lines(),
        reserve: vec![
            reserve(Kind::Name, format!("tenant-{n}")),
            reserve(Kind::Token, format!("{n:064x}")),
        ],
        at_most_live: Some(u64::MAX),
        ..Batch::new(id(n), Expect::Absent, LeaseChange::Take { holder })
    }
}

fn goes_on(n: u64, step: u64, lease: &Lease) -> Batch {
    let expect = Expect::Lease {
        epoch: lease.epoch,
        renewals: lease.renewals,
    };
    Batch {
        record: Some(record(n, step)),
        history: lines(),
        ..Batch::new(id(n), expect, LeaseChange::Keep)
    }
}

/// One thread, one table, group commit.
struct Bare {
    queue: mpsc::Sender<oneshot::Sender<()>>,
}

impl Bare {
    fn start(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE bare (number INTEGER PRIMARY KEY, value TEXT);",
        )?;
        let (queue, jobs) = mpsc::channel::<oneshot::Sender<()>>();
        std::thread::spawn(move || -> rusqlite::Result<()> {
            let value = "x".repeat(200);
            while let Ok(first) = jobs.recv() {
                let group: Vec<_> = std::iter::once(first).chain(jobs.try_iter().take(255)).collect();
                connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
                for _ in &group {
                    connection
                        .prepare_cached("INSERT INTO bare (value) VALUES (?1)")?
                        .execute([&value])?;
                }
                connection.prepare_cached("COMMIT")?.execute([])?;
                for answer in group {
                    let _ = answer.send(());
                }
            }
            Ok(())
        });
        Ok(Self { queue })
    }

    async fn insert(&self) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(answer)?;
        Ok(answered.await?)
    }
}

/// A registry with 10,000 instances: opening it, and reading from it.
async fn large(folder: &Path) -> Result<()> {
    const INSTANCES: u64 = 10_000;
    let path = folder.join("large.db");
    let store = Arc::new(open(&path)?);
    round(64, |first| {
        let store = store.clone();
        async move {
            for n in (first..INSTANCES).step_by(64) {
                let mut lease = store.commit(claim(n)).await?.lease;
                for step in 1..5 {
                    lease = store.commit(goes_on(n, step, &lease)).await?.lease;
                }
                let rests = Batch {
                    record: Some(RecordWrite {
                        wake: None,
                        ..record(n, 9)
                    }),
                    lease: LeaseChange::Release,
                    ..goes_on(n, 9, &lease)
                };
                store.commit(rests).await?;
            }
            Ok(0)
        }
    })
    .await?;
    let ports = (8000..=8999).filter(|port| port % 20 != 0).map(|port: u16| Reserve {
        kind: Kind::Port,
        key: port.to_string(),
        value: String::new(),
        until: None,
        now: NOW,
    });
    let ports = Batch {
        reserve: ports.collect(),
        ..Batch::new(id(0), Expect::Anything, LeaseChange::Keep)
    };
    store.commit(ports).await?;
    drop(store);
    println!("10,000 instances: {} MB", std::fs::metadata(&path)?.len() / 1_000_000);
    let begun = Instant::now();
    let store = open(&path)?;
    println!("open: {:?}", begun.elapsed());

    let page = Query {
        limit: 100,
        ..Query::default()
    };
    let text = |text: &str| Some(text.to_owned());
    let queries = [
        ("no filter", page.clone()),
        (
            "no filter, 1000 records",
            Query {
                limit: 1000,
                ..page.clone()
            },
        ),
        (
            "state that all have",
            Query {
                state: text("ready"),
                ..page.clone()
            },
        ),
        (
            "state that few have",
            Query {
                state: text("down"),
                ..page.clone()
            },
        ),
        (
            "state that none has",
            Query {
                state: text("ended"),
                ..page.clone()
            },
        ),
        (
            "service",
            Query {
                service: text("auth"),
                ..page.clone()
            },
        ),
        (
            "service, live, state",
            Query {
                service: text("auth"),
                live: Some(true),
                state: text("down"),
                ..page.clone()
            },
        ),
        (
            "live, none",
            Query {
                live: Some(false),
                ..page.clone()
            },
        ),
        (
            "nameless, none",
            Query {
                named: Some(false),
                ..page.clone()
            },
        ),
        (
            "nameless ready, none",
            Query {
                named: Some(false),
                state: text("ready"),
                live: Some(true),
                ..page.clone()
            },
        ),
        (
            "one name",
            Query {
                name: text("tenant-5000"),
                ..page.clone()
            },
        ),
        (
            "old half, 1000 records",
            Query {
                before: Some(id(5000)),
                limit: 1000,
                ..page.clone()
            },
        ),
    ];
    for (what, query) in queries {
        let found = store.list(query.clone()).await?.len();
        let took = median(async || store.list(query.clone()).await).await?;
        println!("list, {what}: {found} records in {took:?}");
    }
    let instance = id(7777);
    for (what, took) in [
        ("counts", median(async || store.counts().await).await?),
        ("load", median(async || store.load(&instance).await).await?),
        (
            "reservation",
            median(async || store.reservation(Kind::Name, "tenant-7").await).await?,
        ),
        (
            "inbox, empty",
            median(async || store.inbox(&instance, 0, 64).await).await?,
        ),
        (
            "history of 12",
            median(async || store.history(&instance, 0, 64).await).await?,
        ),
        (
            "history of 12, by a blocking thread",
            median(async || store.history(&instance, 0, 65).await).await?,
        ),
        (
            "free port of 1000, 95 % taken",
            median(async || store.free_port(8000..=8999, NOW).await).await?,
        ),
    ] {
        println!("{what}: {took:?}");
    }
    Ok(())
}

async fn median<T>(mut call: impl AsyncFnMut() -> std::result::Result<T, StoreError>) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..101 {
        let begun = Instant::now();
        call().await?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}
