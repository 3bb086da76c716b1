//! A task's life as ECS shows it: states, what appears when, what is refused.

use super::client::{Client, text};
use serde_json::{Value, json};
use std::time::Duration;
use wharf_aws_simulator::{
    Consistency, ContainerInstance, Fault, Mishap, Options, SECURITY_GROUP, SUBNETS, TaskDefinition, TaskPlan, Then,
};

const SECOND: Duration = Duration::from_secs(1);

fn strong() -> Options {
    Options {
        consistency: Consistency::STRONG,
        ..Options::default()
    }
}

/// A Fargate service and a bridge one, each with its cluster.
async fn start(options: Options) -> Client {
    let client = Client::start(options).await;
    let simulator = &client.simulator;
    simulator.cluster("auth-cluster");
    simulator
        .task_definition(&TaskDefinition::fargate("auth-api-task").container("auth", 8080))
        .expect("a definition");
    simulator.container_instance("my-poc-cluster", &ContainerInstance::default());
    let bridge = TaskDefinition::bridge("crownmercado-poc-task").container("crownmercado-poc-container", 8000);
    simulator.task_definition(&bridge).expect("a definition");
    client
}

fn on_fargate() -> Value {
    json!({
        "cluster": "auth-cluster", "taskDefinition": "auth-api-task", "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": SUBNETS, "securityGroups": [SECURITY_GROUP] } },
    })
}

fn on_instance() -> Value {
    json!({ "cluster": "my-poc-cluster", "taskDefinition": "crownmercado-poc-task", "launchType": "EC2" })
}

fn with(mut input: Value, member: &str, value: Value) -> Value {
    input[member] = value;
    input
}

async fn described(client: &Client, cluster: &str, arn: &str) -> Value {
    let answer = client
        .ecs(
            "DescribeTasks",
            json!({ "cluster": cluster, "tasks": [arn], "include": ["TAGS"] }),
        )
        .await;
    assert_eq!(answer["failures"], json!([]));
    answer["tasks"][0].clone()
}

#[tokio::test]
async fn a_fargate_task_shows_its_interface_only_once_it_is_attached() {
    let client = start(strong()).await;
    let started = client
        .ecs("RunTask", with(on_fargate(), "startedBy", json!("wharf/d/i/1")))
        .await;
    let task = &started["tasks"][0];
    let arn = text(&task["taskArn"]);
    assert_eq!(
        (&task["lastStatus"], &task["version"]),
        (&json!("PROVISIONING"), &json!(1))
    );
    assert_eq!(task["attachments"][0]["type"], "ElasticNetworkInterface");
    assert_eq!(task["attachments"][0]["details"].as_array().map(Vec::len), Some(1));

    client.simulator.advance(10 * SECOND);
    let task = described(&client, "auth-cluster", &arn).await;
    assert_eq!(task["lastStatus"], "PENDING");
    let details = task["attachments"][0]["details"].as_array().expect("details");
    let address = details
        .iter()
        .find(|detail| detail["name"] == "privateIPv4Address")
        .expect("an address");
    assert_eq!(
        task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"],
        address["value"]
    );
    assert_eq!(task.get("startedAt"), None);

    client.simulator.advance(14 * SECOND);
    let task = described(&client, "auth-cluster", &arn).await;
    assert_eq!((&task["lastStatus"], &task["version"]), (&json!("RUNNING"), &json!(3)));
    assert_eq!(
        task["startedAt"]
            .as_f64()
            .map(|at| at - task["createdAt"].as_f64().unwrap()),
        Some(24.0)
    );
    assert_eq!(task["startedBy"], "wharf/d/i/1");
}

#[tokio::test]
async fn a_bridge_task_has_its_host_port_only_once_it_runs() {
    let client = start(strong()).await;
    let started = client.ecs("RunTask", on_instance()).await;
    let arn = text(&started["tasks"][0]["taskArn"]);
    assert_eq!(started["tasks"][0]["lastStatus"], "PENDING");
    assert_eq!(started["tasks"][0]["containers"][0]["networkBindings"], json!([]));
    client.simulator.advance(3 * SECOND);
    let task = described(&client, "my-poc-cluster", &arn).await;
    let binding = &task["containers"][0]["networkBindings"][0];
    assert_eq!(
        (&binding["containerPort"], &binding["hostPort"]),
        (&json!(8000), &json!(32_768))
    );
    let instances = json!({ "cluster": "my-poc-cluster", "containerInstances": [task["containerInstanceArn"]] });
    let instances = client.ecs("DescribeContainerInstances", instances).await;
    assert!(text(&instances["containerInstances"][0]["ec2InstanceId"]).starts_with("i-0"));
}

#[tokio::test]
async fn a_task_is_missing_for_a_while_after_it_was_started() {
    let client = start(Options::default()).await;
    let started = client
        .ecs("RunTask", with(on_fargate(), "startedBy", json!("wharf")))
        .await;
    let arn = text(&started["tasks"][0]["taskArn"]);
    let ask = json!({ "cluster": "auth-cluster", "tasks": [arn] });
    let answer = client.ecs("DescribeTasks", ask.clone()).await;
    assert_eq!(
        (&answer["tasks"], &answer["failures"][0]["reason"]),
        (&json!([]), &json!("MISSING"))
    );
    client.simulator.advance(SECOND);
    assert_eq!(client.ecs("DescribeTasks", ask).await["failures"], json!([]));
    let list = json!({ "cluster": "auth-cluster", "startedBy": "wharf" });
    assert_eq!(client.ecs("ListTasks", list.clone()).await["taskArns"], json!([]));
    client.simulator.advance(2 * SECOND);
    assert_eq!(client.ecs("ListTasks", list).await["taskArns"], json!([arn]));
}

#[tokio::test]
async fn the_same_token_gives_the_same_task_and_other_parameters_a_conflict() {
    let client = start(strong()).await;
    let input = with(on_fargate(), "clientToken", json!("token-1"));
    let first = client.ecs("RunTask", input.clone()).await;
    client.simulator.advance(24 * SECOND);
    let again = client.ecs("RunTask", input.clone()).await;
    assert_eq!(again["tasks"][0]["taskArn"], first["tasks"][0]["taskArn"]);
    assert_eq!(again["tasks"][0]["lastStatus"], "RUNNING");
    let other = with(input.clone(), "startedBy", json!("somebody"));
    let (status, conflict) = client.try_ecs("RunTask", other).await.expect("an answer");
    assert_eq!((status, &conflict["__type"]), (400, &json!("ConflictException")));
    assert_eq!(conflict["resourceIds"], json!([first["tasks"][0]["taskArn"]]));
    assert_eq!(client.simulator.tasks().len(), 1);
    client.simulator.advance(Duration::from_hours(24));
    let later = client.ecs("RunTask", input).await;
    assert_ne!(later["tasks"][0]["taskArn"], first["tasks"][0]["taskArn"]);
}

#[tokio::test]
async fn a_token_may_end_with_its_task() {
    let consistency = Consistency {
        tokens_outlive_tasks: false,
        ..Consistency::STRONG
    };
    let client = start(Options {
        consistency,
        ..Options::default()
    })
    .await;
    let input = with(on_fargate(), "clientToken", json!("token-1"));
    let first = client.ecs("RunTask", input.clone()).await;
    let stop = json!({ "cluster": "auth-cluster", "task": first["tasks"][0]["taskArn"] });
    client.ecs("StopTask", stop).await;
    client.simulator.advance(12 * SECOND);
    let second = client.ecs("RunTask", input).await;
    assert_ne!(second["tasks"][0]["taskArn"], first["tasks"][0]["taskArn"]);
}

#[tokio::test]
async fn a_task_whose_log_group_is_missing_never_runs() {
    let client = start(strong()).await;
    let logs =
        json!({ "logDriver": "awslogs", "options": { "awslogs-group": "/ecs/none", "awslogs-stream-prefix": "ecs" } });
    let container = json!({ "name": "shop", "image": "shop", "memory": 64, "logConfiguration": logs });
    client
        .ecs(
            "RegisterTaskDefinition",
            json!({ "family": "shop", "containerDefinitions": [container] }),
        )
        .await;
    let run = json!({ "cluster": "my-poc-cluster", "taskDefinition": "shop" });
    let arn = text(&client.ecs("RunTask", run.clone()).await["tasks"][0]["taskArn"]);
    client.simulator.advance(3 * SECOND);
    let task = described(&client, "my-poc-cluster", &arn).await;
    assert_eq!(
        (&task["lastStatus"], &task["stopCode"]),
        (&json!("STOPPED"), &json!("TaskFailedToStart"))
    );
    assert!(text(&task["stoppedReason"]).ends_with("The specified log group does not exist."));
    client.simulator.log_group("/ecs/none");
    let arn = text(&client.ecs("RunTask", run).await["tasks"][0]["taskArn"]);
    client.simulator.advance(3 * SECOND);
    assert_eq!(
        described(&client, "my-poc-cluster", &arn).await["lastStatus"],
        "RUNNING"
    );
}

#[tokio::test]
async fn a_lost_answer_leaves_a_task_that_its_token_finds() {
    let client = start(strong()).await;
    client.simulator.fault(Fault::on("RunTask", Mishap::AnswerLost).once());
    let input = with(on_fargate(), "clientToken", json!("token-1"));
    client
        .try_ecs("RunTask", input.clone())
        .await
        .expect_err("the connection ends");
    let left = client.simulator.tasks();
    let found = client.ecs("RunTask", input).await;
    assert_eq!(found["tasks"][0]["taskArn"], json!(left[0].arn));
    assert_eq!(client.simulator.tasks().len(), 1);
}

#[tokio::test]
async fn a_stopped_task_passes_through_its_states_and_is_shown_for_an_hour() {
    let client = start(strong()).await;
    let started = client.ecs("RunTask", on_fargate()).await;
    let arn = text(&started["tasks"][0]["taskArn"]);
    client.simulator.advance(24 * SECOND);
    let stop = json!({ "cluster": "auth-cluster", "task": arn, "reason": "no longer wanted" });
    let stopping = client.ecs("StopTask", stop).await;
    assert_eq!(stopping["task"]["desiredStatus"], "STOPPED");
    let mut seen = vec![text(&stopping["task"]["lastStatus"])];
    for _ in 0..12 {
        client.simulator.advance(SECOND);
        seen.push(text(&described(&client, "auth-cluster", &arn).await["lastStatus"]));
    }
    seen.dedup();
    assert_eq!(seen, ["DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"]);
    let task = described(&client, "auth-cluster", &arn).await;
    assert_eq!(
        (&task["stopCode"], &task["stoppedReason"]),
        (&json!("UserInitiated"), &json!("no longer wanted"))
    );
    assert_eq!(task["containers"][0]["exitCode"], 143);
    let list = json!({ "cluster": "auth-cluster", "desiredStatus": "STOPPED" });
    assert_eq!(client.ecs("ListTasks", list).await["taskArns"], json!([arn]));
    client.simulator.advance(Duration::from_hours(1));
    let gone = client
        .ecs("DescribeTasks", json!({ "cluster": "auth-cluster", "tasks": [arn] }))
        .await;
    assert_eq!(gone["failures"][0]["reason"], "MISSING");
}

#[tokio::test]
async fn what_never_runs_says_why() {
    let client = start(strong()).await;
    let reason = "CannotPullContainerError: pull image manifest has been retried 5 time(s)";
    let plans = [
        (
            Then::NeverStarts {
                reason: reason.to_owned(),
            },
            "TaskFailedToStart",
            reason,
        ),
        (
            Then::InterfaceNeverAttached,
            "TaskFailedToStart",
            "Timeout waiting for network interface provisioning to complete.",
        ),
        (
            Then::ExitsAfter {
                after: SECOND,
                code: 1,
                reason: None,
            },
            "EssentialContainerExited",
            "Essential container in task exited",
        ),
    ];
    for (then, code, reason) in plans {
        client
            .simulator
            .plan_next("auth-api-task", TaskPlan::fargate().then(then));
        let started = client.ecs("RunTask", on_fargate()).await;
        client.simulator.advance(40 * SECOND);
        let task = described(&client, "auth-cluster", &text(&started["tasks"][0]["taskArn"])).await;
        assert_eq!(task["lastStatus"], "STOPPED");
        assert_eq!(
            (&task["stopCode"], &task["stoppedReason"]),
            (&json!(code), &json!(reason))
        );
    }
}

#[tokio::test]
async fn what_does_not_fit_is_a_failure_and_no_error() {
    let client = start(strong()).await;
    // 904 MiB hold three tasks of 256.
    let three = client.ecs("RunTask", with(on_instance(), "count", json!(4))).await;
    assert_eq!(three["tasks"].as_array().map(Vec::len), Some(3));
    assert_eq!(three["failures"][0]["reason"], "RESOURCE:MEMORY");
    assert!(text(&three["failures"][0]["arn"]).contains(":container-instance/my-poc-cluster/"));
    client.simulator.fargate_unavailable_for(60 * SECOND);
    let none = client.ecs("RunTask", on_fargate()).await;
    assert_eq!(none["tasks"], json!([]));
    assert!(text(&none["failures"][0]["reason"]).starts_with("Capacity is unavailable at this time"));
    assert_eq!(none["failures"][0].get("arn"), None);
    client.simulator.advance(60 * SECOND);
    assert_eq!(client.ecs("RunTask", on_fargate()).await["failures"], json!([]));
}

#[tokio::test]
async fn a_fixed_host_port_is_given_once_on_an_instance() {
    let client = start(strong()).await;
    let fixed = TaskDefinition::bridge("fixed").container_at("web", 8000, 8001);
    client.simulator.task_definition(&fixed).expect("a definition");
    let run = json!({ "cluster": "my-poc-cluster", "taskDefinition": "fixed" });
    let first = client.ecs("RunTask", run.clone()).await;
    assert_eq!(first["failures"], json!([]));
    assert_eq!(
        client.ecs("RunTask", run.clone()).await["failures"][0]["reason"],
        "RESOURCE:PORTS"
    );
    let stop = json!({ "cluster": "my-poc-cluster", "task": first["tasks"][0]["taskArn"] });
    client.ecs("StopTask", stop).await;
    client.simulator.advance(3 * SECOND);
    assert_eq!(client.ecs("RunTask", run).await["failures"], json!([]));
}

#[tokio::test]
async fn requests_that_cannot_be_right_are_refused_in_ecs_words() {
    let client = start(strong()).await;
    let network = on_fargate()["networkConfiguration"].clone();
    let overrides = |container: Value| json!({ "containerOverrides": [container] });
    let cases = [
        (
            with(on_fargate(), "cluster", json!("nowhere")),
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        (
            with(on_fargate(), "taskDefinition", json!("nothing")),
            "ClientException",
            "TaskDefinition not found.",
        ),
        (
            with(on_fargate(), "count", json!(11)),
            "InvalidParameterException",
            "count cannot be greater than 10.",
        ),
        (
            with(on_fargate(), "networkConfiguration", Value::Null),
            "InvalidParameterException",
            "must be provided",
        ),
        (
            with(on_instance(), "networkConfiguration", network),
            "InvalidParameterException",
            "is not valid for the given",
        ),
        (
            with(on_instance(), "launchType", json!("FARGATE")),
            "InvalidParameterException",
            "does not support launch_type",
        ),
        (
            with(on_fargate(), "overrides", overrides(json!({ "name": "other" }))),
            "InvalidParameterException",
            "Override for container named other is not a container",
        ),
        (
            with(
                on_fargate(),
                "overrides",
                overrides(json!({ "name": "auth", "portMappings": [] })),
            ),
            "InvalidParameterException",
            "portMappings",
        ),
        (
            with(on_fargate(), "startedBy", json!("x".repeat(129))),
            "InvalidParameterException",
            "startedBy",
        ),
        (
            with(on_fargate(), "enableExecuteCommand", json!(true)),
            "InvalidParameterException",
            "taskRoleArn",
        ),
        (
            with(on_fargate(), "count", json!("one")),
            "SerializationException",
            "wrong type",
        ),
    ];
    for (input, code, message) in cases {
        let refusal = client.ecs_refusal("RunTask", input.clone()).await;
        assert_eq!(refusal.0, code, "{input}");
        assert!(refusal.1.contains(message), "{}", refusal.1);
    }
    assert_eq!(client.simulator.tasks(), []);
}

#[tokio::test]
async fn a_denied_call_names_principal_action_and_resource() {
    let client = start(strong()).await;
    client.simulator.fault(Fault::on("ecs:RunTask", Mishap::Denied));
    let (code, message) = client.ecs_refusal("RunTask", on_fargate()).await;
    assert_eq!(code, "AccessDeniedException");
    assert_eq!(
        message,
        "User: arn:aws:sts::123456789012:assumed-role/wharf/simulated is not authorized to perform: ecs:RunTask on resource: \
         arn:aws:ecs:us-east-1:123456789012:task-definition/auth-api-task:1 because no identity-based policy allows the ecs:RunTask action"
    );
    assert_eq!(client.simulator.tasks(), []);
}

#[tokio::test]
async fn list_tasks_gives_pages() {
    let client = start(strong()).await;
    client.ecs("RunTask", with(on_fargate(), "count", json!(5))).await;
    let mut token = Value::Null;
    let mut sizes = Vec::new();
    loop {
        let mut input = json!({ "cluster": "auth-cluster", "maxResults": 2 });
        if !token.is_null() {
            input["nextToken"] = token;
        }
        let page = client.ecs("ListTasks", input).await;
        sizes.push(page["taskArns"].as_array().map(Vec::len).expect("a list"));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    let refusal = json!({ "cluster": "auth-cluster", "startedBy": "wharf", "family": "auth-api-task" });
    assert_eq!(
        client.ecs_refusal("ListTasks", refusal).await.0,
        "InvalidParameterException"
    );
}
