//! How tasks end: by themselves, by a signal, asked, made to, for their memory, and all together.

use crate::site::{GRACE, Site, run, spec, stopped};
use futures::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;
use wharf_domain::{Code, service::RunSpec};
use wharf_platform::{Owner, TaskEvents, TaskSpec, TaskStatus, Tasks};
use wharf_testkit::contracts::harness::eventually;

#[tokio::test]
async fn a_signal_is_told_by_its_name() {
    let site = Site::new();
    let task = site.run(&["sh", "-c", "kill -SEGV $$"]).await;
    let (cause, code, _) = stopped(site.until_over(&task).await);
    assert_eq!(cause.code, Code::TaskCrashed);
    assert_eq!(cause.message, "the task was killed by signal 11 (SIGSEGV)");
    assert_eq!(code, None);
}

#[tokio::test]
async fn an_end_without_an_error_is_an_end_all_the_same() {
    let site = Site::new();
    let task = site.run(&["true"]).await;
    let (cause, code, output) = stopped(site.until_over(&task).await);
    assert_eq!(cause.message, "the task exited with code 0");
    assert_eq!((code, output.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn who_ignores_sigterm_is_killed_after_the_grace() {
    let site = Site::new();
    let task = site
        .run(&["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
        .await;
    site.until_printed(&task.0, "ready").await;
    site.stop(&task.0, &task.1, Duration::from_millis(100)).await.unwrap();
    let (cause, _, _) = stopped(site.until_over(&task).await);
    assert!(
        cause.message.ends_with("was killed by signal 9 (SIGKILL)"),
        "{}",
        cause.message
    );
    assert_eq!(site.marked(), [0; 0]);
}

#[tokio::test]
async fn a_second_stop_can_shorten_the_grace() {
    let site = Site::new();
    let task = site
        .run(&["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
        .await;
    site.until_printed(&task.0, "ready").await;
    site.stop(&task.0, &task.1, Duration::from_hours(1)).await.unwrap();
    site.until_stopped(&task, Duration::ZERO).await;
}

#[tokio::test]
async fn a_whole_group_has_the_grace_not_only_its_first_process() {
    let site = Site::new();
    // The shell goes at once; what it started needs a moment, and has it.
    let worker = "trap 'sleep 0.3; echo tidied up; exit' TERM; echo ready; while :; do sleep 0.05; done";
    let script = format!("sh -c '{}' & wait", worker.replace('\'', "'\\''"));
    let task = site.run(&["sh", "-c", &script]).await;
    site.until_printed(&task.0, "ready").await;
    site.until_stopped(&task, GRACE).await;
    let (cause, _, output) = stopped(site.until_over(&task).await);
    assert!(output.contains("tidied up"), "{output}");
    assert!(
        cause.message.starts_with("the task was asked to stop"),
        "{}",
        cause.message
    );
}

fn with_memory(owner: &Owner, command: &[&str], mebibytes: u64) -> TaskSpec {
    let RunSpec::Process { command, directory, .. } = run(command) else {
        unreachable!("it is a process")
    };
    let run = RunSpec::Process {
        command,
        directory,
        memory: Some(mebibytes << 20),
    };
    spec(owner, run)
}

#[tokio::test]
async fn who_has_too_much_memory_is_ended_and_told_so() {
    let site = Site::new();
    let (modest, greedy) = (site.owner(), site.owner());
    let modest_task = site
        .start(with_memory(&modest, &["wharf", "hoard", "16"], 64))
        .await
        .unwrap();
    let task = site
        .start(with_memory(&greedy, &["wharf", "hoard", "128"], 64))
        .await
        .unwrap();
    let (cause, _, _) = stopped(site.until_over(&(greedy, task)).await);
    assert_eq!(cause.code, Code::TaskMemory);
    assert!(
        cause.message.ends_with("and may use 64.0 MiB: it was ended"),
        "{}",
        cause.message
    );
    let status = site.status(&(modest, modest_task)).await;
    assert!(matches!(status, TaskStatus::Running { .. }), "{status:?}");
}

#[tokio::test]
async fn the_memory_of_all_of_its_processes_counts() {
    let site = Site::new();
    let owner = site.owner();
    let helper = crate::site::HELPER;
    let script = format!("{helper} hoard 40 & {helper} hoard 40 & wait");
    let task = site
        .start(with_memory(&owner, &["sh", "-c", &script], 64))
        .await
        .unwrap();
    let (cause, _, _) = stopped(site.until_over(&(owner, task)).await);
    assert_eq!(cause.code, Code::TaskMemory);
    assert_eq!(site.marked(), [0; 0]);
}

#[tokio::test]
async fn a_task_is_the_kernels_choice_before_wharf() {
    let site = Site::new();
    let (_, task) = site.run(&["wharf", "rest"]).await;
    let pid = task.id.split(':').next().unwrap();
    let choice = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    assert_eq!(choice.trim(), "500");
}

#[tokio::test]
async fn a_shutdown_ends_all_and_tells_of_no_crash() {
    let site = Site::new();
    let mut events = site.subscribe();
    for _ in 0..3 {
        site.run(&["wharf", "rest"]).await;
    }
    for _ in 0..3 {
        assert!(matches!(
            events.next().await.unwrap().status,
            TaskStatus::Running { .. }
        ));
    }
    site.shutdown(GRACE).await.unwrap();
    assert_eq!(site.marked(), [0; 0]);
    assert_eq!(site.all(&[]).await.unwrap(), []);
    let refused = site.start(spec(&site.owner(), run(&["true"]))).await.unwrap_err();
    assert_eq!(refused.code, Code::TaskLost);
    drop(site);
    assert!(events.next().await.is_none(), "no event of an end, and no more to come");
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_the_stubborn() {
    let site = Site::new();
    let task = site
        .run(&["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
        .await;
    site.until_printed(&task.0, "ready").await;
    site.shutdown(Duration::from_millis(100)).await.unwrap();
    assert_eq!(site.marked(), [0; 0]);
}

#[tokio::test]
async fn tasks_end_with_what_started_them() {
    let site = Site::new();
    site.run(&["wharf", "rest"]).await;
    site.until_marked(1).await;
    let Site {
        tasks,
        deployment,
        leavings,
        ..
    } = site;
    drop(tasks);
    eventually("nothing runs", async || {
        crate::site::marked(&deployment).is_empty().then_some(())
    })
    .await;
    drop(leavings);
}

#[tokio::test]
async fn who_is_killed_by_somebody_else_is_told_of_with_a_hint() {
    let site = Site::new();
    let task = site.run(&["wharf", "rest"]).await;
    let pid: i32 = task.1.id.split(':').next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let (cause, _, _) = stopped(site.until_over(&task).await);
    assert!(cause.hint.unwrap().contains("no memory left"));
}
