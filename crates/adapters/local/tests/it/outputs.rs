//! What tasks print: attempts told apart, floods contained, neighbours unharmed.

use crate::site::{GRACE, Site, run, spec, stopped};
use futures::StreamExt;
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};
use wharf_domain::Attempt;
use wharf_platform::{Logs, Owner, Printer, TaskEvents, TaskStatus, Tasks};
use wharf_testkit::contracts::harness::soon;

/// Two files of 1 MiB, each with what one read may bring on top.
const MOST_ON_DISK: u64 = 2 * ((1 << 20) + (64 << 10));

fn bytes_in(folder: &Path) -> u64 {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.metadata().unwrap().len())
        .sum()
}

/// What this process has in memory, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn each_attempt_begins_with_a_line_that_says_so() {
    let site = Site::new();
    let (owner, task) = site.run(&["printf", "no line end"]).await;
    site.until_over(&(owner.clone(), task)).await;
    let next = Owner {
        attempt: Attempt(2),
        ..owner.clone()
    };
    let task = site.start(spec(&next, run(&["echo", "second"]))).await.unwrap();
    let (_, _, output) = stopped(site.until_over(&(next, task)).await);
    assert_eq!(output, "second", "its own output only");
    assert_eq!(
        site.printed(&owner),
        "=== attempt 1, 2025-10-09T08:53:20Z ===\nno line end\n=== attempt 2, 2025-10-09T08:53:20Z ===\nsecond\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_costs_little_disk_and_memory_and_time() {
    let site = Site::new();
    let before = resident();
    let began = Instant::now();
    let mut events = site.subscribe();
    let task = site
        .run(&["sh", "-c", "yes | head -c 1073741824; echo the end; exit 6"])
        .await;
    // Some seconds; on a machine that does ten other things, some more.
    let end = tokio::time::timeout(Duration::from_mins(2), async {
        loop {
            let event = events.next().await.unwrap();
            if matches!(event.status, TaskStatus::Stopped { .. }) {
                return event.status;
            }
        }
    });
    let (_, code, output) = stopped(end.await.unwrap());
    println!("1 GiB took {:?}", began.elapsed());
    assert_eq!(code, Some(6));
    assert!(output.ends_with("the end") && output.len() <= 4096, "{}", output.len());
    let folder = site.data().join("instances").join(task.0.instance.as_str());
    assert!(bytes_in(&folder) <= MOST_ON_DISK, "{}", bytes_in(&folder));
    assert!(resident() < before + (16 << 20), "{} to {}", before, resident());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_does_not_keep_others_from_being_heard() {
    let site = Site::new();
    let flood = site.run(&["yes"]).await;
    for number in 0..20 {
        let task = site.run(&["sh", "-c", &format!("echo hello {number}; exit 1")]).await;
        let (_, _, output) = stopped(site.until_over(&task).await);
        assert_eq!(output, format!("hello {number}"));
    }
    site.until_stopped(&flood, GRACE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_falls_behind_is_told_what_it_missed() {
    let site = Site::new();
    let owner = site.owner();
    let mut follower = site.logs.read(&printer(&owner), 0, true).await.unwrap();
    let task = site
        .start(spec(
            &owner,
            run(&["sh", "-c", "yes | head -c 100000000; echo the end"]),
        ))
        .await
        .unwrap();
    site.until_over(&(owner, task)).await;
    let mut has_missed = false;
    soon("the end", async {
        loop {
            let line = follower.next().await.unwrap();
            has_missed |= line.text.contains("came too fast to be shown");
            if line.text == "the end" {
                return;
            }
        }
    })
    .await;
    assert!(has_missed);
}

#[tokio::test]
async fn output_that_is_not_text_is_made_text() {
    let site = Site::new();
    let task = site
        .run(&["printf", r"\033[31mred\033[0m \377\376 \000\001end\n\033]0;owned\007"])
        .await;
    let (_, _, output) = stopped(site.until_over(&task).await);
    assert_eq!(output, "red \u{fffd}\u{fffd} end");
}

#[tokio::test]
async fn a_follower_ends_when_the_instance_is_forgotten() {
    let site = Site::new();
    let (owner, task) = site.run(&["echo", "hello"]).await;
    site.until_over(&(owner.clone(), task)).await;
    let follower = site.logs.read(&printer(&owner), 10, true).await.unwrap();
    site.logs.remove(&owner.instance).await.unwrap();
    soon("the end of the stream", follower.count()).await;
    assert!(!site.data().join("instances").join(owner.instance.as_str()).exists());
}

#[tokio::test]
async fn a_task_may_empty_its_own_folder_without_harm_to_its_output() {
    let site = Site::new();
    let task = site
        .run(&["sh", "-c", "echo one; rm -rf ./* ../work; echo two; exit 1"])
        .await;
    let (_, _, output) = stopped(site.until_over(&task).await);
    assert_eq!(output, "one\ntwo");
}

fn printer(owner: &Owner) -> Printer {
    Printer {
        instance: owner.instance.clone(),
        task: None,
        run: run(&["wharf"]),
    }
}
