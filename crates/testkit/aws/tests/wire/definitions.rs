//! Task definitions and container instances: what is registered, what is refused, what is left of a host.

use super::client::{Client, text};
use serde_json::{Value, json};
use std::time::Duration;
use wharf_aws_simulator::{Consistency, ContainerInstance, Options, TargetGroup, TaskDefinition, TaskPlan};

fn bridge() -> Value {
    json!({
        "family": "shop", "networkMode": "bridge",
        "containerDefinitions": [{ "name": "shop", "image": "shop", "memory": 256, "portMappings": [{ "containerPort": 8000 }] }],
    })
}

fn with(mut input: Value, pointer: &str, value: Value) -> Value {
    *input.pointer_mut(pointer).expect("it is there") = value;
    input
}

#[tokio::test]
async fn revisions_count_up_and_the_latest_active_one_is_meant_by_the_family() {
    let client = Client::start(Options::default()).await;
    for revision in 1..=3 {
        let made = client.ecs("RegisterTaskDefinition", bridge()).await;
        assert_eq!(made["taskDefinition"]["revision"], revision);
    }
    let describe = |name: &str| client.ecs("DescribeTaskDefinition", json!({ "taskDefinition": name }));
    let first = describe("shop:1").await;
    assert_eq!(
        first["taskDefinition"]["containerDefinitions"][0]["portMappings"][0]["hostPort"],
        0
    );
    assert_eq!(first["taskDefinition"]["containerDefinitions"][0]["essential"], true);
    client
        .ecs("DeregisterTaskDefinition", json!({ "taskDefinition": "shop:3" }))
        .await;
    assert_eq!(describe("shop").await["taskDefinition"]["revision"], 2);
    assert_eq!(describe("shop:3").await["taskDefinition"]["status"], "INACTIVE");
    let listed = client
        .ecs("ListTaskDefinitions", json!({ "familyPrefix": "shop", "sort": "DESC" }))
        .await;
    let arn = |revision: u8| format!("arn:aws:ecs:us-east-1:123456789012:task-definition/shop:{revision}");
    assert_eq!(listed["taskDefinitionArns"], json!([arn(2), arn(1)]));
    let nothing = client
        .ecs_refusal("DescribeTaskDefinition", json!({ "taskDefinition": "none" }))
        .await;
    assert_eq!(nothing.1, "Unable to describe task definition.");
}

#[tokio::test]
async fn definitions_that_cannot_run_are_refused() {
    let client = Client::start(Options::default()).await;
    let fargate = TaskDefinition::fargate("web").container("web", 80);
    client.simulator.task_definition(&fargate).expect("a definition");
    let cases = [
        (
            with(bridge(), "/family", json!("a b")),
            "Family contains invalid characters.",
        ),
        (
            with(bridge(), "/containerDefinitions", json!([])),
            "Container list cannot be empty.",
        ),
        (
            with(bridge(), "/containerDefinitions/0/memory", Value::Null),
            "At least one of 'memory' or 'memoryReservation'",
        ),
        (
            with(bridge(), "/containerDefinitions/0/image", json!("")),
            "Container.image should not be null or empty.",
        ),
        (with(bridge(), "/networkMode", json!("other")), "Invalid network mode"),
        (
            with(
                with(bridge(), "/networkMode", json!("host")),
                "/containerDefinitions/0/portMappings/0",
                json!({ "containerPort": 80, "hostPort": 81 }),
            ),
            "the host ports and container ports in port mappings must match",
        ),
    ];
    for (input, message) in cases {
        let refusal = client.ecs_refusal("RegisterTaskDefinition", input.clone()).await;
        assert!(refusal.1.contains(message), "{input}: {}", refusal.1);
    }
    let sizes = [("256", "4096"), ("300", "512"), ("256", "1536")];
    for (cpu, memory) in sizes {
        let refused = client
            .simulator
            .task_definition(&fargate.clone().with("cpu", json!(cpu)).with("memory", json!(memory)));
        assert_eq!(
            refused,
            Err("No Fargate configuration exists for given values.".to_owned())
        );
    }
    let logs = client.simulator.task_definition(&fargate.logs_to("/ecs/web"));
    assert!(logs.expect_err("no role").contains("execution role ARN"));
}

#[tokio::test]
async fn what_a_task_takes_from_its_host_comes_back_when_it_stops() {
    let options = Options {
        consistency: Consistency::STRONG,
        ..Options::default()
    };
    let client = Client::start(options).await;
    let host = client
        .simulator
        .container_instance("poc", &ContainerInstance::sized(1_024, 1_000));
    let fixed = TaskDefinition::host("fixed").container("web", 9_000);
    client.simulator.task_definition(&fixed).expect("a definition");
    client.simulator.plan_all(TaskPlan::at_once());
    let left = async || {
        let ask = json!({ "cluster": "poc", "containerInstances": [host.arn] });
        let answer = client.ecs("DescribeContainerInstances", ask).await;
        let instance = &answer["containerInstances"][0];
        let ports = instance["remainingResources"][2]["stringSetValue"]
            .as_array()
            .expect("ports")
            .len();
        let memory = instance["remainingResources"][1]["integerValue"]
            .as_i64()
            .expect("memory");
        (instance["runningTasksCount"].as_i64().expect("a count"), memory, ports)
    };
    assert_eq!(left().await, (0, 1_000, 6));
    let run = json!({ "cluster": "poc", "taskDefinition": "fixed" });
    let started = client.ecs("RunTask", run.clone()).await;
    assert_eq!(left().await, (1, 744, 7));
    assert_eq!(
        client.ecs("RunTask", run).await["failures"][0]["reason"],
        "RESOURCE:PORTS"
    );
    client
        .ecs(
            "StopTask",
            json!({ "cluster": "poc", "task": started["tasks"][0]["taskArn"] }),
        )
        .await;
    assert_eq!(left().await, (0, 1_000, 6));
}

#[tokio::test]
async fn hosts_refuse_what_they_have_no_room_or_no_way_for() {
    let client = Client::start(Options::default()).await;
    let simulator = &client.simulator;
    let awsvpc = TaskDefinition::awsvpc("eni").container("web", 80);
    simulator.task_definition(&awsvpc).expect("a definition");
    simulator
        .task_definition(&TaskDefinition::bridge("shop").container("shop", 8000))
        .expect("a definition");
    let network = json!({ "awsvpcConfiguration": { "subnets": wharf_aws_simulator::SUBNETS } });
    let eni = json!({ "cluster": "poc", "taskDefinition": "eni", "networkConfiguration": network });
    let nothing = client
        .ecs_refusal("RunTask", json!({ "cluster": "poc", "taskDefinition": "shop" }))
        .await;
    assert_eq!(nothing.0, "ClusterNotFoundException");
    simulator.cluster("poc");
    let empty = client.ecs_refusal("RunTask", eni.clone()).await;
    assert_eq!(empty.1, "No Container Instances were found in your cluster.");
    let host = simulator.container_instance("poc", &ContainerInstance::default().interfaces(1));
    let reason = async |input: &Value| client.ecs("RunTask", input.clone()).await["failures"][0]["reason"].clone();
    assert_eq!(reason(&eni).await, Value::Null);
    assert_eq!(reason(&eni).await, "RESOURCE:ENI");
    simulator.connect_agent(&host.arn, false);
    assert_eq!(reason(&eni).await, "AGENT");
    let bare = ContainerInstance::default().without_attribute("ecs.capability.task-eni");
    simulator.container_instance("bare", &bare);
    let mut on_bare = eni.clone();
    on_bare["cluster"] = json!("bare");
    assert_eq!(reason(&on_bare).await, "ATTRIBUTE");
    simulator.fail_placements("RESOURCE:CPU", 1);
    let shop = json!({ "cluster": "bare", "taskDefinition": "shop" });
    assert_eq!(reason(&shop).await, "RESOURCE:CPU");
    assert_eq!(reason(&shop).await, Value::Null);
}

#[tokio::test]
async fn a_lost_host_takes_its_tasks_along() {
    let client = Client::start(Options::default()).await;
    let simulator = &client.simulator;
    let host = simulator.container_instance("poc", &ContainerInstance::default());
    simulator
        .task_definition(&TaskDefinition::bridge("shop").container("shop", 8000))
        .expect("a definition");
    client
        .ecs("RunTask", json!({ "cluster": "poc", "taskDefinition": "shop" }))
        .await;
    simulator.advance(Duration::from_secs(10));
    let group = simulator.target_group(&TargetGroup::ip("by-address", 8000));
    let (address, port) = simulator.tasks().remove(0).address.expect("it runs");
    let fields = [
        ("TargetGroupArn", group.as_str()),
        ("Targets.member.1.Id", address.as_str()),
        ("Targets.member.1.Port", &port.to_string()),
    ];
    client.elb("RegisterTargets", &fields).await;
    simulator.advance(Duration::from_secs(10));
    assert_eq!(simulator.targets()[0].state, "healthy");
    simulator.lose_host(&host.arn);
    simulator.advance(Duration::from_mins(1));
    assert_eq!(simulator.targets()[0].state, "unhealthy");
    let task = simulator.tasks().remove(0);
    assert_eq!(task.status, "STOPPED");
    assert_eq!(
        task.stopped_reason,
        Some(format!("Host EC2 (instance {}) terminated.", host.ec2_instance_id))
    );
    let hosts = client
        .ecs(
            "DescribeContainerInstances",
            json!({ "cluster": "poc", "containerInstances": [host.arn] }),
        )
        .await;
    assert_eq!(hosts["failures"][0]["reason"], "MISSING");
}

#[tokio::test]
async fn tags_are_put_taken_and_shown() {
    let client = Client::start(Options::default()).await;
    let cluster = client.simulator.cluster("c");
    let tags = |value: &str| json!([{ "key": "wharf:deployment", "value": value }]);
    for value in ["one", "two"] {
        client
            .ecs("TagResource", json!({ "resourceArn": cluster, "tags": tags(value) }))
            .await;
    }
    let shown = client
        .ecs("DescribeClusters", json!({ "clusters": ["c"], "include": ["TAGS"] }))
        .await;
    assert_eq!(shown["clusters"][0]["tags"], tags("two"));
    client
        .ecs(
            "UntagResource",
            json!({ "resourceArn": cluster, "tagKeys": ["wharf:deployment"] }),
        )
        .await;
    assert_eq!(
        client
            .ecs("ListTagsForResource", json!({ "resourceArn": cluster }))
            .await["tags"],
        json!([])
    );
    let reserved = json!({ "resourceArn": cluster, "tags": [{ "key": "aws:x", "value": "" }] });
    assert!(text(&json!(client.ecs_refusal("TagResource", reserved).await.1)).contains("reserved prefix"));
}
