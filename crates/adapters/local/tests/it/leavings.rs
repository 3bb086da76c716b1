//! What tasks and a killed Wharf leave behind, and that it is found and ended.

use crate::site::{GRACE, HELPER, Site, marked, stopped};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use wharf_domain::{Code, DeploymentId};
use wharf_platform::{Stopping, TaskStatus, Tasks};
use wharf_testkit::contracts::harness::eventually;

#[tokio::test]
async fn who_forks_and_leaves_is_over_and_what_it_left_is_ended() {
    let site = Site::new();
    let task = site.run(&["wharf", "leave"]).await;
    let (cause, code, _) = stopped(site.until_over(&task).await);
    assert_eq!(cause.code, Code::TaskCrashed);
    assert!(
        cause.message.contains("exited with code 0 and left a process behind"),
        "{}",
        cause.message
    );
    assert!(cause.hint.unwrap().contains("foreground"));
    assert_eq!(code, Some(0));
    assert_eq!(site.marked(), [0; 0]);
}

#[tokio::test]
async fn a_stop_ends_what_left_the_session_too() {
    let site = Site::new();
    let task = site.run(&["wharf", "keep-a-daemon"]).await;
    site.until_marked(2).await;
    site.until_stopped(&task, GRACE).await;
    assert_eq!(site.marked(), [0; 0]);
}

#[tokio::test]
async fn who_still_holds_the_output_does_not_hold_up_the_news_of_an_end() {
    let site = Site::new();
    // What stays prints into nothing from then on.
    let task = site
        .run(&["sh", "-c", "(trap '' TERM; sleep 3600) & echo going; exit 4"])
        .await;
    let (cause, code, output) = stopped(site.until_over(&task).await);
    assert!(cause.message.contains("left"), "{}", cause.message);
    assert_eq!((code, output.as_str()), (Some(4), "going"));
}

/// A Wharf in a process of its own, with tasks that each have a daemon.
struct OtherWharf {
    process: Child,
    leaders: Vec<u32>,
    deployment: DeploymentId,
}

impl OtherWharf {
    fn start(data: &TempDir, tasks: usize) -> Self {
        let mut process = Command::new(HELPER)
            .arg("wharf")
            .arg(data.path())
            .arg(tasks.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: Vec<String> = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap)
            .take_while(|line| line != "ready")
            .collect();
        let leaders = lines
            .iter()
            .map(|id| id.split(':').next().unwrap().parse().unwrap())
            .collect();
        // One deployment for each folder: tests run at the same time.
        let deployment = std::fs::read_to_string(data.path().join("deployment"))
            .unwrap()
            .parse()
            .unwrap();
        Self {
            process,
            leaders,
            deployment,
        }
    }

    async fn until_daemons_run(&self) {
        let all = self.leaders.len() * 2;
        eventually("tasks and daemons run", async || {
            (marked(&self.deployment).len() == all).then_some(())
        })
        .await;
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for OtherWharf {
    fn drop(&mut self) {
        // Killed before, unless the test failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_killed_wharf_leaves_no_child_and_the_next_one_ends_the_grandchildren() {
    let data = tempfile::tempdir().unwrap();
    let mut other = OtherWharf::start(&data, 5);
    other.until_daemons_run().await;
    other.kill();
    eventually("every child has died with it", async || {
        let alive = marked(&other.deployment);
        other.leaders.iter().all(|leader| !alive.contains(leader)).then_some(())
    })
    .await;
    assert_eq!(
        marked(&other.deployment).len(),
        5,
        "daemons are not reached by the signal"
    );

    let site = Site::of(other.deployment.clone(), data);
    let reaped = site.reap_orphans().await.unwrap();
    assert_eq!(reaped.len(), 5);
    assert!(reaped.iter().all(|orphan| orphan.owner.is_some()), "{reaped:?}");
    assert_eq!(marked(&other.deployment), [0; 0]);
    assert_eq!(site.reap_orphans().await.unwrap(), []);
}

#[tokio::test]
async fn tasks_of_a_killed_wharf_are_listed_and_can_be_stopped() {
    let data = tempfile::tempdir().unwrap();
    let mut other = OtherWharf::start(&data, 2);
    other.until_daemons_run().await;
    other.kill();
    let site = Site::of(other.deployment.clone(), data);
    let all = eventually("only the daemons are left", async || {
        let all = site.all(&[]).await.unwrap();
        (all.len() == 2 && marked(&site.deployment).len() == 2).then_some(all)
    })
    .await;
    for task in &all {
        assert_eq!(site.status(task).await, TaskStatus::Gone, "this one did not start it");
        assert_eq!(site.stop(&task.0, &task.1, GRACE).await, Ok(Stopping::Underway));
        site.until_stopped(task, GRACE).await;
    }
    assert_eq!(site.all(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn tasks_that_run_are_no_orphans() {
    let site = Site::new();
    let task = site.run(&["wharf", "keep-a-daemon"]).await;
    site.until_marked(2).await;
    assert_eq!(site.reap_orphans().await.unwrap(), []);
    assert!(matches!(site.status(&task).await, TaskStatus::Running { .. }));
    assert_eq!(site.marked().len(), 2);
}
