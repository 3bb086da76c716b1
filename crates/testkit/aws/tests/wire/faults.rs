//! What goes wrong on demand, what is refused for its rate, and what is known of every call afterwards.

use super::client::Client;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use std::time::Duration;
use wharf_aws_simulator::{Fault, Mishap, Options, SUBNETS, TargetGroup, TaskDefinition, Throttling};

async fn start(options: Options) -> Client {
    let client = Client::start(options).await;
    client.simulator.cluster("c");
    let definition = TaskDefinition::fargate("web").container("web", 80).roles(
        "arn:aws:iam::123456789012:role/task",
        "arn:aws:iam::123456789012:role/execution",
    );
    client.simulator.task_definition(&definition).expect("a definition");
    client
}

fn run() -> Value {
    json!({
        "cluster": "c", "taskDefinition": "web", "launchType": "FARGATE", "tags": [{ "key": "wharf:instance", "value": "i" }],
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": SUBNETS } },
    })
}

#[tokio::test]
async fn a_refused_connection_leaves_nothing() {
    let client = start(Options::default()).await;
    client.simulator.fault(Fault::on("RunTask", Mishap::Refused).once());
    client.try_ecs("RunTask", run()).await.expect_err("the connection ends");
    assert_eq!(client.simulator.tasks(), []);
    client.ecs("RunTask", run()).await;
    assert_eq!(client.simulator.tasks().len(), 1);
}

#[tokio::test]
async fn servers_errors_and_throttling_speak_each_services_words() {
    let client = start(Options::default()).await;
    for (mishap, json_code, xml_code, status) in [
        (Mishap::ServerError, "ServerException", "InternalFailure", 500),
        (Mishap::Throttled, "ThrottlingException", "Throttling", 400),
    ] {
        client.simulator.fault(Fault::on("*", mishap));
        let (json_status, answer) = client.try_ecs("ListClusters", json!({})).await.expect("an answer");
        assert_eq!((json_status, &answer["__type"]), (status, &json!(json_code)));
        let (xml_status, answer) = client.query("elasticloadbalancing", "DescribeLoadBalancers", &[]).await;
        assert_eq!(xml_status, status);
        assert!(answer.contains(&format!("<Code>{xml_code}</Code>")), "{answer}");
        client.simulator.mend();
    }
    client.ecs("ListClusters", json!({})).await;
}

#[tokio::test]
async fn denials_come_in_each_services_form() {
    let client = start(Options::default()).await;
    let group = client.simulator.target_group(&TargetGroup::ip("tg", 80));
    client.simulator.fault(Fault::on("*", Mishap::Denied));
    let target = [("TargetGroupArn", group.as_str()), ("Targets.member.1.Id", "10.0.0.9")];
    let (status, answer) = client.query("elasticloadbalancing", "RegisterTargets", &target).await;
    assert_eq!(status, 403);
    assert!(
        answer.contains("<Code>AccessDenied</Code>") && answer.contains(&format!("on resource: {group} ")),
        "{answer}"
    );
    let (status, answer) = client.query("ec2", "DescribeInstances", &[]).await;
    assert!(
        status == 403 && answer.contains("<Code>UnauthorizedOperation</Code>"),
        "{answer}"
    );
    assert_eq!(client.simulator.targets(), []);
}

#[tokio::test]
async fn a_role_that_may_not_be_passed_is_named() {
    let client = start(Options::default()).await;
    client.simulator.fault(Fault::on("iam:PassRole", Mishap::Denied));
    let (code, message) = client.ecs_refusal("RunTask", run()).await;
    assert_eq!(code, "AccessDeniedException");
    assert!(
        message.contains("perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/task "),
        "{message}"
    );
}

#[tokio::test]
async fn a_policy_allows_what_it_says_and_no_more() {
    let client = start(Options::default()).await;
    client.simulator.cluster("other");
    let in_cluster = json!({ "ArnEquals": { "ecs:cluster": "arn:aws:ecs:us-east-1:123456789012:cluster/c" } });
    let passed = json!({ "StringEquals": { "iam:PassedToService": "ecs-tasks.amazonaws.com" } });
    let statements = json!([
        { "Effect": "Allow", "Action": ["ecs:RunTask"], "Resource": "*:task-definition/web:*", "Condition": in_cluster },
        { "Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::123456789012:role/*", "Condition": passed },
    ]);
    client
        .simulator
        .allow_only(&json!({ "Version": "2012-10-17", "Statement": statements }))
        .expect("a policy");
    let (_, message) = client.ecs_refusal("RunTask", run()).await;
    assert!(
        message.contains("ecs:TagResource on resource: arn:aws:ecs:us-east-1:123456789012:task/c/*"),
        "{message}"
    );
    let mut untagged = run();
    untagged["tags"] = json!([]);
    client.ecs("RunTask", untagged.clone()).await;
    untagged["cluster"] = json!("other");
    assert_eq!(client.ecs_refusal("RunTask", untagged).await.0, "AccessDeniedException");
    assert_eq!(
        client.ecs_refusal("ListTasks", json!({ "cluster": "c" })).await.0,
        "AccessDeniedException"
    );
    let (status, _) = client.query("sts", "GetCallerIdentity", &[]).await;
    assert_eq!((status, client.simulator.tasks().len()), (200, 1));
    let strange = json!({ "Statement": { "Effect": "Allow", "NotAction": "*", "Resource": "*" } });
    assert!(client.simulator.allow_only(&strange).is_err());
}

#[tokio::test]
async fn every_call_is_known_with_what_it_needed() {
    let client = start(Options::default()).await;
    client.ecs("RunTask", run()).await;
    client
        .ecs_refusal("StopTask", json!({ "cluster": "c", "task": "0123" }))
        .await;
    let calls = client.simulator.calls();
    let needed: Vec<_> = calls[0]
        .permissions
        .iter()
        .map(|needed| (needed.action.as_str(), needed.resource.as_str()))
        .collect();
    assert_eq!(
        needed,
        [
            (
                "ecs:RunTask",
                "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1"
            ),
            ("iam:PassRole", "arn:aws:iam::123456789012:role/task"),
            ("iam:PassRole", "arn:aws:iam::123456789012:role/execution"),
            ("ecs:TagResource", "arn:aws:ecs:us-east-1:123456789012:task/c/*"),
        ]
    );
    assert_eq!((calls[0].status, calls[0].error.as_deref()), (200, None));
    assert_eq!(
        (calls[1].status, calls[1].error.as_deref()),
        (400, Some("InvalidParameterException"))
    );
    assert_eq!(
        calls[1].permissions[0].resource,
        "arn:aws:ecs:us-east-1:123456789012:task/c/0123"
    );
}

#[tokio::test]
async fn documented_rates_are_kept_by_simulated_time() {
    let options = Options {
        throttling: Throttling::Documented,
        ..Options::default()
    };
    let client = start(options).await;
    let list = json!({ "cluster": "c" });
    for _ in 0..100 {
        client.ecs("ListTasks", list.clone()).await;
    }
    assert_eq!(
        client.ecs_refusal("ListTasks", list.clone()).await.0,
        "ThrottlingException"
    );
    client.simulator.advance(Duration::from_millis(50));
    client.ecs("ListTasks", list).await;
    assert_eq!(client.simulator.throttled()["ecs:ListTasks"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_takes_its_time() {
    let client = start(Options::default()).await;
    client
        .simulator
        .fault(Fault::on("ListClusters", Mishap::Delayed(Duration::from_secs(7))).once());
    let before = tokio::time::Instant::now();
    client.ecs("ListClusters", json!({})).await;
    assert!(before.elapsed() >= Duration::from_secs(7));
}

#[tokio::test]
async fn nonsense_is_refused_and_the_endpoint_stays() {
    let client = start(Options::default()).await;
    let url = client.simulator.url();
    let signed =
        "AWS4-HMAC-SHA256 Credential=AKID/20261102/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0";
    let requests = [
        (Request::post(&url), "", 403),
        (Request::post(&url).header("authorization", "Basic x"), "", 403),
        (
            Request::post(&url)
                .header("authorization", signed)
                .header("x-amz-target", "A.RunTask"),
            "{",
            400,
        ),
        (
            Request::post(&url)
                .header("authorization", signed)
                .header("x-amz-target", "A.RunTask"),
            "[1]",
            400,
        ),
        (
            Request::post(&url)
                .header("authorization", signed)
                .header("x-amz-target", "A.RegisterTaskDefinition"),
            r#"["shop", "bridge", [["web", "image", 1, 256]]]"#,
            400,
        ),
        (
            Request::post(&url)
                .header("authorization", signed)
                .header("x-amz-target", "A.RegisterTaskDefinition"),
            r#"{ "family": "shop", "containerDefinitions": [["web", "image", 1, 256]] }"#,
            400,
        ),
        (
            Request::post(&url)
                .header("authorization", signed)
                .header("x-amz-target", "A.Nothing"),
            "{}",
            400,
        ),
        (
            Request::post(&url).header("authorization", signed),
            "Action=RunTask",
            400,
        ),
    ];
    for (request, body, expected) in requests {
        let (status, answer) = client
            .send(request.body(Full::from(body)).expect("a request"))
            .await
            .expect("an answer");
        assert_eq!(status, expected, "{body}: {answer}");
    }
    client.ecs("ListClusters", json!({})).await;
}

#[tokio::test]
async fn tokens_of_pages_that_never_were_are_no_trouble() {
    let client = start(Options::default()).await;
    let far = format!("page-{}", usize::MAX);
    let tasks = client
        .ecs("ListTasks", json!({ "cluster": "c", "nextToken": far }))
        .await;
    assert_eq!(tasks["taskArns"], json!([]));
    let definitions = client.ecs("ListTaskDefinitions", json!({ "nextToken": far })).await;
    assert_eq!(definitions["taskDefinitionArns"], json!([]));
    let groups = client.elb("DescribeTargetGroups", &[("Marker", &far)]).await;
    assert!(!groups.contains("NextMarker"), "{groups}");
    assert_eq!(
        client
            .ecs_refusal("ListTasks", json!({ "cluster": "c", "nextToken": "x" }))
            .await
            .0,
        "InvalidParameterException"
    );
}

#[tokio::test]
async fn nothing_is_left_of_a_simulator_that_is_dropped() {
    let simulator = wharf_aws_simulator::Simulator::start(Options::default())
        .await
        .expect("a free port");
    let address = simulator.url().replace("http://", "");
    tokio::net::TcpStream::connect(&address).await.expect("it listens");
    drop(simulator);
    let gone = async {
        while tokio::net::TcpStream::connect(&address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .expect("it listens no more");
}
