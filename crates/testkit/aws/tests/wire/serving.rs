//! Tasks that really answer: at their host's port, or at an address of their own.

use super::client::{Client, text};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use wharf_aws_simulator::{ContainerInstance, Options, SUBNETS, TaskDefinition, TaskPlan};

/// The instance that answers there, if one does.
async fn instance_at(address: &str, port: u16) -> Option<String> {
    let http: legacy::Client<_, Full<bytes::Bytes>> = legacy::Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(format!("http://{address}:{port}/healthz"))
        .body(Full::default())
        .expect("a request");
    let response = http.request(request).await.ok()?;
    assert_eq!(response.status(), 200);
    let header = response
        .headers()
        .get("x-wharf-instance")
        .map(|value| value.to_str().expect("text").to_owned());
    response.into_body().collect().await.expect("a body");
    header
}

fn named(mut input: Value, container: &str, instance: &str) -> Value {
    let variable = json!({ "name": "WHARF_INSTANCE_ID", "value": instance });
    input["overrides"] = json!({ "containerOverrides": [{ "name": container, "environment": [variable] }] });
    input
}

#[tokio::test]
async fn two_tasks_on_one_host_answer_at_ports_of_their_own_until_they_stop() {
    let client = Client::start(Options::default()).await;
    let simulator = &client.simulator;
    simulator.container_instance("poc", &ContainerInstance::default().on_this_machine());
    simulator
        .task_definition(&TaskDefinition::bridge("shop").container("shop", 8000))
        .expect("a definition");
    simulator.plan("shop", TaskPlan::at_once().serving());
    let run = json!({ "cluster": "poc", "taskDefinition": "shop" });
    for instance in ["inst_1", "inst_2"] {
        client.ecs("RunTask", named(run.clone(), "shop", instance)).await;
    }
    let tasks = simulator.tasks();
    for (task, instance) in tasks.iter().zip(["inst_1", "inst_2"]) {
        let (address, port) = task.address.clone().expect("it runs");
        assert_eq!(instance_at(&address, port).await.as_deref(), Some(instance));
    }
    client
        .ecs("StopTask", json!({ "cluster": "poc", "task": tasks[0].arn }))
        .await;
    let (address, port) = tasks[0].address.clone().expect("it ran");
    // The port may be somebody else's by now, but it is not this task's.
    assert_ne!(instance_at(&address, port).await.as_deref(), Some("inst_1"));
}

#[tokio::test]
async fn a_task_with_an_interface_answers_at_its_own_address() {
    let client = Client::start(Options::default()).await;
    let simulator = &client.simulator;
    simulator.cluster("c");
    simulator
        .task_definition(&TaskDefinition::fargate("auth").container("auth", 8080))
        .expect("a definition");
    simulator.plan("auth", TaskPlan::at_once().serving());
    let run = json!({
        "cluster": "c", "taskDefinition": "auth", "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": SUBNETS } },
    });
    for instance in ["inst_1", "inst_2"] {
        client.ecs("RunTask", named(run.clone(), "auth", instance)).await;
    }
    for (task, instance) in simulator.tasks().iter().zip(["inst_1", "inst_2"]) {
        let (address, port) = task.address.clone().expect("it runs");
        assert_eq!(port, 8080);
        assert_eq!(instance_at(&address, port).await.as_deref(), Some(instance), "{task:?}");
    }
}

#[tokio::test]
async fn a_fixed_port_that_is_taken_on_this_machine_stops_the_task() {
    let client = Client::start(Options::default()).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    client
        .simulator
        .container_instance("poc", &ContainerInstance::default().on_this_machine());
    let definition = TaskDefinition::bridge("shop").container_at("shop", 8000, port);
    client.simulator.task_definition(&definition).expect("a definition");
    client.simulator.plan("shop", TaskPlan::at_once().serving());
    let started = client
        .ecs("RunTask", json!({ "cluster": "poc", "taskDefinition": "shop" }))
        .await;
    assert_eq!(text(&started["tasks"][0]["lastStatus"]), "PENDING");
    let task = client.simulator.tasks().remove(0);
    assert_eq!(task.status, "STOPPED");
    assert!(
        task.stopped_reason
            .is_some_and(|reason| reason.starts_with("CannotStartContainerError"))
    );
}
