//! Disks that do not take what is written: a full one (a small file system of its own, where mounting is allowed) and one that fails in the
//! middle (a limit on the length of files, which works for everybody). What only needs a full file is tested inside the crate.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};
use tempfile::TempDir;
use wharf_domain::Code;
use wharf_saga::{CommitError, Store};
use wharf_sqlite::SqliteStore;

use crate::{claim, file, id, open, try_open};

const FULL: &str = "WHARF_TEST_FULL_DISK";
const LIMITED: &str = "WHARF_TEST_LIMITED_FILES";

fn body() -> String {
    format!("\"{}\"", "x".repeat(4000))
}

/// This program again, in a shell that first does `prepare` (`$0` is the folder).
fn child(wrapper: &[&str], prepare: &str, test: &str, variable: &str, folder: &Path) -> Output {
    let mut words = wrapper.iter().copied().chain(["sh", "-c"]);
    Command::new(words.next().expect("a program"))
        .args(words)
        .arg(format!("{prepare} && exec \"$@\""))
        .arg(folder)
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(variable, folder)
        .output()
        .expect("a child")
}

fn succeeded(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Claims one after another, 8 at a time, until one is refused. Gives how many were written, counted from `first`, and the refusals.
async fn write_until_refused(store: &Arc<SqliteStore>, first: u64) -> (Vec<u64>, Vec<(u64, CommitError)>) {
    let mut written = Vec::new();
    for round in 0..1000 {
        let numbers = first + 8 * round..first + 8 * (round + 1);
        let body = body();
        let commits = numbers.map(|n| {
            let commit = store.commit(claim(n, &body));
            async move { (n, commit.await) }
        });
        let mut refused = Vec::new();
        for (n, outcome) in futures::future::join_all(commits).await {
            match outcome {
                Ok(_) => written.push(n),
                Err(error) => refused.push((n, error)),
            }
        }
        if !refused.is_empty() {
            return (written, refused);
        }
    }
    panic!("the disk takes everything");
}

async fn all_there(store: &SqliteStore, written: &[u64]) {
    for n in written {
        let stored = store
            .load(&id(*n))
            .await
            .expect("load")
            .expect("acknowledged, so there");
        assert_eq!(stored.body, body());
    }
}

#[test]
fn as_a_child_it_fills_its_disk() {
    let Some(folder) = std::env::var_os(FULL) else {
        return;
    };
    let folder = Path::new(&folder);
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let ballast = folder.join("ballast");
        fs::write(&ballast, vec![1; 4 * 1024 * 1024]).expect("there is room");
        let store = Arc::new(open(folder));
        let (written, refused) = write_until_refused(&store, 0).await;
        for (n, error) in &refused {
            match error {
                CommitError::Store(error) => assert_eq!(error.failure.code, Code::StoreFull, "{error}"),
                other => panic!("{other:?}"),
            }
            assert_eq!(store.load(&id(*n)).await.expect("load"), None);
        }
        all_there(&store, &written).await;
        let elsewhere = folder.join("another.db");
        let failure = try_open(&elsewhere).expect_err("no room for another registry");
        assert_eq!(failure.code, Code::StoreFull, "{failure}");
        assert!(!elsewhere.exists());

        fs::remove_file(ballast).expect("make room");
        for (n, _) in &refused {
            store.commit(claim(*n, &body())).await.expect("it goes on by itself");
        }
        drop(store);
        let store = open(folder);
        all_there(&store, &written).await;
    });
}

#[test]
fn a_disk_that_is_full_refuses_until_there_is_room() {
    let folder = TempDir::new().expect("folder");
    let mount = "mount -t tmpfs -o size=8m none \"$0\"";
    // A mount that only the child sees, and that ends with it: as root, or as root of a name space of one's own.
    let allowed = [&["unshare", "--mount"][..], &["unshare", "--map-root-user", "--mount"]]
        .into_iter()
        .find(|wrapper| {
            let mut words = wrapper.iter();
            let probe = Command::new(words.next().expect("a program"))
                .args(words)
                .args(["sh", "-c", mount])
                .arg(folder.path())
                .output();
            probe.is_ok_and(|output| output.status.success())
        });
    let Some(wrapper) = allowed else {
        eprintln!("nothing can be mounted here: only the stand-ins were tested");
        return;
    };
    let output = child(
        wrapper,
        mount,
        "disk::as_a_child_it_fills_its_disk",
        FULL,
        folder.path(),
    );
    succeeded(&output);
}

#[test]
fn as_a_child_its_files_may_not_grow() {
    let Some(folder) = std::env::var_os(LIMITED) else {
        return;
    };
    let folder = Path::new(&folder);
    tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let store = Arc::new(open(folder));
        let (written, refused) = write_until_refused(&store, 0).await;
        for (n, error) in &refused {
            match error {
                CommitError::Store(error) => assert_eq!(error.failure.code, Code::StoreUnavailable, "{error}"),
                CommitError::Unknown(_) => {}
                other => panic!("{other:?}"),
            }
            assert_eq!(store.load(&id(*n)).await.expect("load"), None, "nothing of it is seen");
        }
        all_there(&store, &written).await;
        let definitely: Vec<_> = refused
            .iter()
            .filter(|(_, error)| matches!(error, CommitError::Store(_)))
            .map(|(n, _)| n.to_string())
            .collect();
        let written: Vec<_> = written.iter().map(u64::to_string).collect();
        fs::write(
            folder.join("outcome"),
            format!("{}\n{}", written.join(" "), definitely.join(" ")),
        )
        .expect("write");
        // As if killed: what the log ends with is what the next one finds.
        std::process::exit(0);
    });
}

#[tokio::test]
async fn a_disk_that_fails_in_the_middle_leaves_nothing_half_written() {
    let folder = TempDir::new().expect("folder");
    // In blocks of 512 or 1024 bytes, as the shell has it. The signal that comes with the limit is ignored, so that writing gives an error.
    let prepare = "trap '' XFSZ && ulimit -f 600";
    let output = child(
        &["env"],
        prepare,
        "disk::as_a_child_its_files_may_not_grow",
        LIMITED,
        folder.path(),
    );
    succeeded(&output);
    let outcome = fs::read_to_string(folder.path().join("outcome")).expect("the child came to its end");
    let numbers = |line: &str| -> Vec<u64> { line.split(' ').filter_map(|n| n.parse().ok()).collect() };
    let mut lines = outcome.lines();
    let written = numbers(lines.next().expect("what was written"));
    let definitely_not = numbers(lines.next().unwrap_or_default());
    assert!(!written.is_empty());

    let store = try_open(&file(folder.path())).expect("it opens as if nothing had been");
    all_there(&store, &written).await;
    for n in definitely_not {
        assert_eq!(
            store.load(&id(n)).await.expect("load"),
            None,
            "{n} was said not to be written"
        );
    }
    store.commit(claim(100_000, &body())).await.expect("it goes on");
}
