//! Looks that are shared, events, output, and who asks.

use crate::site::{Site, printing, stranger, web};
use futures::{StreamExt, future::join_all};
use std::{sync::Arc, time::Duration};
use wharf_aws::{EcsLogs, Governor, Sts};
use wharf_aws_simulator::{Delivery, Options};
use wharf_domain::{Code, service::RunSpec};
use wharf_platform::{LogLine, Logs, Printer, TaskEvents, TaskStatus, Tasks};

#[tokio::test]
async fn looks_at_once_are_few_calls() {
    let site = Site::new().await;
    let started = join_all((0..105).map(|_| site.started())).await;
    site.simulator.advance(Duration::from_mins(1));
    let looks = join_all(started.iter().map(|started| site.status(started))).await;
    assert!(
        looks
            .iter()
            .all(|status| matches!(status, TaskStatus::Running { endpoint: Some(_) }))
    );
    assert_eq!(site.count("ecs:DescribeTasks"), 2, "a hundred in one");
}

#[tokio::test]
async fn a_failed_look_fails_for_all_who_waited_and_not_for_the_next() {
    use wharf_aws_simulator::{Fault, Mishap};
    let site = Site::new().await;
    let started = [site.started().await, site.started().await];
    site.simulator.advance(Duration::from_mins(1));
    site.simulator.fault(Fault::on("DescribeTasks", Mishap::Denied).once());
    let looks = join_all(started.iter().map(|(owner, task)| site.look(owner, task))).await;
    assert!(
        looks
            .iter()
            .all(|look| matches!(look, Err(failure) if failure.code == Code::AwsDenied)),
        "{looks:?}"
    );
    assert!(matches!(site.status(&started[0]).await, TaskStatus::Running { .. }));
}

#[tokio::test]
async fn events_come_once_in_order_and_only_of_our_tasks() {
    let site = Site::with(Options {
        delivery: Delivery::UNTIDY,
        ..Options::default()
    })
    .await;
    let mut delivered = site.simulator.events();
    let mut told = site.subscribe();
    let (owner, task) = site.started().await;
    site.start(site.spec(&stranger(), web()))
        .await
        .expect("another deployment's");
    site.simulator.advance(Duration::from_mins(2));
    assert!(site.simulator.exit_task(&task.id, 3, None));
    site.simulator.advance(Duration::from_mins(2));
    let (mut count, mut heard) = (0, Vec::new());
    while let Ok(event) = delivered.try_recv() {
        count += 1;
        heard.extend(site.heard(&event));
    }
    assert!(count > heard.len(), "each came more than once: {count}");
    assert!(
        heard
            .iter()
            .all(|event| event.instance == owner.instance && event.task == task)
    );
    let Some(TaskStatus::Stopped { cause, exit_code, .. }) = heard.last().map(|event| event.status.clone()) else {
        panic!("its end is the last: {heard:?}")
    };
    assert_eq!((cause.code, exit_code), (Code::TaskCrashed, Some(3)));
    for event in heard {
        assert_eq!(told.next().await, Some(event));
    }
}

fn printer(
    site_owner: &wharf_platform::Owner,
    task: Option<wharf_domain::instance::TaskRef>,
    definition: &str,
) -> Printer {
    Printer {
        instance: site_owner.instance.clone(),
        task,
        run: RunSpec::Ecs(crate::site::task(definition)),
    }
}

async fn lines(logs: &EcsLogs, printer: &Printer, count: usize) -> Vec<String> {
    let lines: Vec<LogLine> = logs
        .read(printer, count, false)
        .await
        .expect("readable")
        .collect()
        .await;
    lines.into_iter().map(|line| line.text).collect()
}

#[tokio::test]
async fn output_is_read_where_the_task_definition_sends_it() {
    let site = Site::new().await;
    site.simulator
        .task_definition(&printing("printing", "/ecs/printing"))
        .expect("a definition");
    let (owner, task) = site.started_as(crate::site::task("printing")).await;
    let printer_of = printer(&owner, Some(task.clone()), "printing");
    let logs = site.logs();
    assert_eq!(
        lines(&logs, &printer_of, 10).await,
        Vec::<String>::new(),
        "nothing was printed yet"
    );
    site.simulator.advance(Duration::from_mins(1));
    for line in ["one", "two", "three"] {
        assert!(site.simulator.write_log(&task.id, "web", line));
    }
    assert_eq!(lines(&logs, &printer_of, 2).await, ["two", "three"]);
    assert_eq!(lines(&logs, &printer_of, 10).await, ["one", "two", "three"]);
    let never_started = printer(&owner, None, "printing");
    assert_eq!(lines(&logs, &never_started, 10).await, Vec::<String>::new());
    logs.remove(&owner.instance)
        .await
        .expect("the group's retention does that");
    assert_eq!(lines(&logs, &printer_of, 10).await.len(), 3);
}

#[tokio::test]
async fn whoever_follows_is_told_each_line_once() {
    let site = Site::new().await;
    site.simulator
        .task_definition(&printing("printing", "/ecs/printing"))
        .expect("a definition");
    let (owner, task) = site.started_as(crate::site::task("printing")).await;
    site.simulator.advance(Duration::from_mins(1));
    assert!(site.simulator.write_log(&task.id, "web", "one"));
    let printer_of = printer(&owner, Some(task.clone()), "printing");
    let mut followed = site.logs().read(&printer_of, 10, true).await.expect("readable");
    let mut next = async || followed.next().await.map(|line| line.text);
    assert_eq!(next().await.as_deref(), Some("one"));
    for line in ["two", "three"] {
        assert!(site.simulator.write_log(&task.id, "web", line));
    }
    assert_eq!(next().await.as_deref(), Some("two"));
    assert_eq!(next().await.as_deref(), Some("three"));
}

#[tokio::test]
async fn without_a_log_configuration_it_is_said_what_to_do() {
    let site = Site::new().await;
    let (owner, task) = site.started().await;
    let read = site.logs().read(&printer(&owner, Some(task), "web"), 10, false).await;
    let failure = read.err().expect("nothing to read");
    assert_eq!(failure.code, Code::ConfigInvalid);
    assert!(failure.hint.is_some_and(|hint| hint.contains("awslogs")));
}

#[tokio::test]
async fn log_groups_are_found_by_their_names() {
    let site = Site::new().await;
    site.simulator.log_group("/ecs/shop");
    let groups = site.logs().groups("/ecs/", Governor::deadline()).await.expect("listed");
    assert_eq!(
        groups.into_iter().map(|group| group.name).collect::<Vec<_>>(),
        ["/ecs/shop"]
    );
}

#[tokio::test]
async fn who_asks_is_known() {
    let site = Site::new().await;
    let sts = Sts::new(
        site.clients.clone(),
        site.governor.clone(),
        Arc::new(site.clock.clone()),
    );
    let identity = sts.identity(Governor::deadline()).await.expect("known");
    assert_eq!(identity.account, "123456789012");
}

#[tokio::test]
async fn a_clock_that_goes_wrong_finds_the_same_tasks() {
    let site = Site::new().await;
    let (owner, task) = site.started().await;
    let spec = site.spec(&owner, web());
    site.simulator.advance(Duration::from_mins(1));
    site.clock.put_ahead(Duration::from_mins(5));
    assert_eq!(site.find(&spec).await, Ok(Some(task.clone())));
    site.clock.put_ahead(Duration::from_hours(1));
    assert_eq!(site.another_process().find(&spec).await, Ok(Some(task)));
}
