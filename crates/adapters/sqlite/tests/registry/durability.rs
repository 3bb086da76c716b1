//! What was acknowledged survives SIGKILL, and what is there is whole: a child of this very program writes until it is killed.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};
use tempfile::TempDir;
use wharf_saga::{
    Batch, Store,
    store::{Expect, Kind, LeaseChange, OutboxMail, Reserve, Wake},
};

use crate::{NOW, claim, id, note, open, record};

/// The folder that a child writes to, and the number of its first instance.
const FOLDER: &str = "WHARF_TEST_REGISTRY";
const FIRST: &str = "WHARF_TEST_FIRST";

/// How many instances a child writes to at the same time.
const WRITERS: u64 = 6;

fn body(n: u64, renewals: u64) -> String {
    format!("{{\"n\":{n},\"renewals\":{renewals},\"x\":\"{}\"}}", "x".repeat(800))
}

fn acknowledge(n: u64, renewals: u64) {
    let mut out = std::io::stdout().lock();
    // The parent may be gone, and this process soon is.
    let _ = writeln!(out, "ack {n} {renewals}").and_then(|()| out.flush());
}

/// One instance: a claim with everything in it, then one batch after another, each of which writes record, lease, history and a reservation.
async fn write_forever(store: Arc<impl Store>, n: u64) {
    let reserve = |renewals: u64| Reserve {
        kind: Kind::Trigger,
        key: format!("{n}/{renewals}"),
        value: String::new(),
        until: None,
        now: NOW,
    };
    let claimed = Batch {
        reserve: vec![reserve(0)],
        history: vec![note("claimed")],
        outbox: vec![OutboxMail {
            id: n.to_string(),
            body: String::new(),
        }],
        ..claim(n, &body(n, 0))
    };
    let mut lease = store.commit(claimed).await.expect("claim").lease;
    loop {
        acknowledge(n, lease.renewals);
        let renewals = lease.renewals + 1;
        let expect = Expect::Lease {
            epoch: lease.epoch,
            renewals: lease.renewals,
        };
        let batch = Batch {
            record: Some(record(&body(n, renewals), Some(Wake { at: NOW, seq: renewals }))),
            reserve: vec![reserve(renewals)],
            history: vec![note("renewed")],
            ..Batch::new(id(n), expect, LeaseChange::Renew)
        };
        lease = store.commit(batch).await.expect("commit").lease;
    }
}

#[test]
fn as_a_child_it_writes_until_it_is_killed() {
    let (Some(folder), Ok(first)) = (std::env::var_os(FOLDER), std::env::var(FIRST)) else {
        return;
    };
    let first: u64 = first.parse().expect("a number");
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let store = Arc::new(open(Path::new(&folder)));
        let writers = (first..first + WRITERS).map(|n| tokio::spawn(write_forever(store.clone(), n)));
        futures::future::join_all(writers).await;
    });
}

/// Lets a child write, kills it after `acknowledgements`, and gives the last acknowledged write of each instance.
fn write_and_kill(folder: &Path, first: u64, acknowledgements: usize) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "durability::as_a_child_it_writes_until_it_is_killed",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut acknowledged = BTreeMap::new();
    let mut count = 0;
    for line in lines {
        let line = line.expect("a line");
        let mut words = line.split_whitespace();
        // The test harness talks there too, and the last line may be cut off.
        let (Some("ack"), Some(n), Some(renewals), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        if let (Ok(n), Ok(renewals)) = (n.parse(), renewals.parse::<u64>()) {
            let last: &mut u64 = acknowledged.entry(n).or_default();
            // A number that was cut off is smaller than it was.
            *last = renewals.max(*last);
            count += 1;
        }
        if count == acknowledgements {
            child.kill().expect("SIGKILL");
        }
    }
    child.wait().expect("it has ended");
    assert!(count >= acknowledgements, "the child ended by itself after {count}");
    acknowledged
}

#[tokio::test]
async fn everything_acknowledged_survives_a_kill_and_everything_is_whole() {
    let folder = TempDir::new().expect("folder");
    let mut all = BTreeMap::new();
    for (round, acknowledgements) in (0..).zip([1, 7, 60, 500, 2500]) {
        let first = round * WRITERS;
        all.extend(write_and_kill(folder.path(), first, acknowledgements));
        let store = open(folder.path());
        for n in 0..first + WRITERS {
            let stored = store.load(&id(n)).await.expect("load");
            let acknowledged = all.get(&n);
            let Some(stored) = stored else {
                assert_eq!(acknowledged, None, "{n} is gone");
                continue;
            };
            let written = stored.lease.renewals;
            assert!(acknowledged.is_none_or(|&acknowledged| written >= acknowledged), "{n}");
            // Every part of the last batch is there, and nothing of the next.
            assert_eq!(stored.body, body(n, written));
            let history = store.history(&id(n), 0, usize::MAX).await.expect("history");
            assert_eq!(history.len() as u64, written + 1);
            let reservations = store.reservations_of(&id(n)).await.expect("reservations");
            assert_eq!(reservations.len() as u64, written + 1);
            assert_eq!(stored.lease.holder, None, "the dead hold nothing");
            // What this round wrote was not touched before; what earlier ones wrote is as it was.
            all.insert(n, written);
        }
        let mails = store.outbox(NOW, 1000).await.expect("outbox");
        assert_eq!(mails.len(), all.len(), "a mail for each claim");
    }
}
