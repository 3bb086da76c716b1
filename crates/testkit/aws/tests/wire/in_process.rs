//! Without a socket, on a paused clock: the same world, answered in process, and the weather that a seed decides.

use super::client::authorization;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;
use wharf_aws_simulator::{
    ContainerInstance, Dropped, Fault, Mishap, Options, SUBNETS, Simulator, TaskDefinition, TaskPlan, TaskSeen,
    TaskWeather, Weather,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

fn start() -> Simulator {
    let simulator = Simulator::in_process(Options::following(1.0));
    simulator.cluster("c");
    let definition = TaskDefinition::fargate("web").container("web", 80);
    simulator.task_definition(&definition).expect("a definition");
    simulator
}

async fn send(simulator: &Simulator, operation: &str, input: Value) -> Result<(u16, Value), Dropped> {
    let request = Request::post(simulator.url())
        .header(
            "x-amz-target",
            format!("AmazonEC2ContainerServiceV20141113.{operation}"),
        )
        .header("authorization", authorization("ecs"))
        .body(Bytes::from(input.to_string()))
        .expect("a request");
    let answer: Response<Bytes> = simulator.exchange(request).await?;
    let body = serde_json::from_slice(answer.body()).expect("JSON");
    Ok((answer.status().as_u16(), body))
}

fn run(token: &str) -> Value {
    json!({
        "cluster": "c", "taskDefinition": "web", "launchType": "FARGATE", "clientToken": token,
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": SUBNETS } },
    })
}

fn statuses(simulator: &Simulator) -> Vec<String> {
    simulator.tasks().into_iter().map(|task| task.status).collect()
}

#[tokio::test(start_paused = true)]
async fn a_task_runs_and_stops_in_no_time_and_without_a_socket() {
    let simulator = start();
    let mut events = simulator.events();
    let (status, answer) = send(&simulator, "RunTask", run("a")).await.expect("an answer");
    assert_eq!(status, 200, "{answer}");
    tokio::time::sleep(MINUTE).await;
    assert_eq!(statuses(&simulator), ["RUNNING"]);
    let stop = json!({ "cluster": "c", "task": answer["tasks"][0]["taskArn"] });
    send(&simulator, "StopTask", stop).await.expect("an answer");
    tokio::time::sleep(MINUTE).await;
    assert_eq!(statuses(&simulator), ["STOPPED"]);
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        told.push(event["detail"]["lastStatus"].as_str().expect("a status").to_owned());
    }
    assert_eq!(told.first().map(String::as_str), Some("PROVISIONING"));
    assert_eq!(told.last().map(String::as_str), Some("STOPPED"));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_done_though_nobody_waits_for_it() {
    let simulator = start();
    simulator.fault(Fault::on("RunTask", Mishap::Delayed(3 * SECOND)));
    let waited = tokio::time::timeout(SECOND, send(&simulator, "RunTask", run("a"))).await;
    assert!(waited.is_err(), "who asked has given up");
    assert_eq!(simulator.tasks(), []);
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(simulator.tasks().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_network_held_back_is_done_after_its_connection_ended() {
    let simulator = start();
    simulator.fault(Fault::on("RunTask", Mishap::Late(MINUTE)).once());
    assert_eq!(send(&simulator, "RunTask", run("a")).await, Err(Dropped));
    tokio::time::sleep(59 * SECOND).await;
    assert_eq!(simulator.tasks(), []);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(simulator.tasks().len(), 1);
    assert_eq!(
        simulator.calls()[0].status,
        0,
        "and it is known as one without an answer"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_twice_starts_one_task_by_its_token_and_two_without() {
    let simulator = start();
    simulator.fault(Fault::on("RunTask", Mishap::Twice));
    send(&simulator, "RunTask", run("a")).await.expect("an answer");
    assert_eq!(simulator.tasks().len(), 1);
    let mut without = run("");
    without["clientToken"] = Value::Null;
    send(&simulator, "RunTask", without).await.expect("an answer");
    assert_eq!(simulator.tasks().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn reads_may_show_what_was() {
    let simulator = start();
    simulator.plan("web", TaskPlan::fargate().runs_after(10 * SECOND));
    let mut weather = Weather::FAIR;
    weather.reads.stale = 1.0;
    weather.reads.longest = Duration::from_secs(8);
    simulator.weather(3, weather);
    let (_, answer) = send(&simulator, "RunTask", run("a")).await.expect("an answer");
    let described = json!({ "cluster": "c", "tasks": [answer["tasks"][0]["taskArn"]] });
    let mut lagged = 0;
    for _ in 0..200 {
        tokio::time::sleep(SECOND / 10).await;
        let (_, seen) = send(&simulator, "DescribeTasks", described.clone())
            .await
            .expect("an answer");
        let seen = seen["tasks"][0]["lastStatus"].as_str().unwrap_or("MISSING").to_owned();
        lagged += usize::from(seen != simulator.tasks()[0].status);
    }
    assert!((10..190).contains(&lagged), "{lagged} of 200 looks saw what was");
    tokio::time::sleep(MINUTE).await;
    let (_, seen) = send(&simulator, "DescribeTasks", described).await.expect("an answer");
    assert_eq!(seen["tasks"][0]["lastStatus"], "RUNNING", "and see what is, in the end");
}

#[tokio::test(start_paused = true)]
async fn hosts_that_are_lost_come_back_and_are_all_there_when_it_is_calm() {
    let simulator = start();
    for _ in 0..2 {
        simulator.container_instance("c", &ContainerInstance::sized(2_048, 4_096));
    }
    let tasks = TaskWeather {
        host_lost_every: Some(2 * MINUTE),
        ..TaskWeather::default()
    };
    simulator.weather(7, Weather { tasks, ..Weather::FAIR });
    let mut fewest = usize::MAX;
    for _ in 0..60 {
        tokio::time::sleep(MINUTE).await;
        fewest = fewest.min(hosts(&simulator).await);
    }
    assert!(fewest < 2, "none was ever lost");
    simulator.calm(7);
    assert_eq!(hosts(&simulator).await, 2);
}

async fn hosts(simulator: &Simulator) -> usize {
    let list = send(simulator, "ListContainerInstances", json!({ "cluster": "c" })).await;
    let (_, listed) = list.expect("an answer");
    listed["containerInstanceArns"].as_array().map_or(0, Vec::len)
}

/// Half an hour of somebody who starts tasks and stops them, in a storm: every answer, every event, and what is left.
async fn course(seed: u64) -> String {
    let simulator = start();
    let mut events = simulator.events();
    simulator.weather(seed, Weather::STORM);
    let mut course = String::new();
    for number in 0..60 {
        let started = send(&simulator, "RunTask", run(&format!("token-{number}"))).await;
        writeln!(course, "{started:?}").expect("a string takes all");
        tokio::time::sleep(30 * SECOND).await;
        for task in simulator.live_tasks().into_iter().step_by(3) {
            let stopped = send(&simulator, "StopTask", json!({ "cluster": "c", "task": task.arn })).await;
            writeln!(course, "{stopped:?}").expect("a string takes all");
        }
        while let Ok(event) = events.try_recv() {
            writeln!(course, "{event}").expect("a string takes all");
        }
    }
    for call in simulator.calls() {
        writeln!(course, "{:?} {} {} {:?}", call.at, call.action, call.status, call.error).expect("a string takes all");
    }
    let left: Vec<TaskSeen> = simulator.tasks();
    writeln!(course, "{left:?}").expect("a string takes all");
    course
}

fn on_a_runtime_of_its_own(seed: u64) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(course(seed))
}

#[test]
fn one_seed_is_one_course_of_events_to_the_byte() {
    let first = on_a_runtime_of_its_own(11);
    assert!(first.contains("ThrottlingException") && first.contains("Err(Dropped)"));
    assert_eq!(first, on_a_runtime_of_its_own(11));
    assert_ne!(first, on_a_runtime_of_its_own(12));
}
