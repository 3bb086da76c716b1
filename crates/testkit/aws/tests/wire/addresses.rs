//! EC2, STS, IAM and CloudWatch Logs: addresses, networks, who is asking, what was written.

use super::client::{Client, elements, text};
use serde_json::{Value, json};
use wharf_aws_simulator::{
    ContainerInstance, Fault, Ingress, Mishap, Options, SECURITY_GROUP, SUBNETS, TaskDefinition, TaskPlan, VPC,
};

#[tokio::test]
async fn an_instance_has_a_public_address_while_it_runs() {
    let client = Client::start(Options::default()).await;
    let host = client
        .simulator
        .container_instance("poc", &ContainerInstance::default());
    let ask = [("InstanceId.1", host.ec2_instance_id.as_str())];
    let (status, xml) = client.query("ec2", "DescribeInstances", &ask).await;
    assert_eq!(status, 200, "{xml}");
    assert!(
        xml.starts_with("<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>"),
        "{xml}"
    );
    assert_eq!(elements(&xml, "ipAddress"), [host.public_address]);
    assert_eq!(elements(&xml, "privateIpAddress"), [host.private_address]);
    client.simulator.set_ec2_state(&host.ec2_instance_id, "stopped");
    let (_, xml) = client.query("ec2", "DescribeInstances", &ask).await;
    assert_eq!(elements(&xml, "ipAddress"), [""; 0]);
    let (status, xml) = client
        .query("ec2", "DescribeInstances", &[("InstanceId.1", "i-none")])
        .await;
    assert_eq!(
        (status, elements(&xml, "Code")),
        (400, vec!["InvalidInstanceID.NotFound".to_owned()])
    );
    assert!(xml.starts_with("<Response><Errors><Error>"), "{xml}");
}

#[tokio::test]
async fn a_public_task_is_found_by_its_interface() {
    let client = Client::start(Options::default()).await;
    client.simulator.cluster("c");
    client.simulator.plan_all(TaskPlan::at_once());
    client
        .simulator
        .task_definition(&TaskDefinition::fargate("web").container("web", 80))
        .expect("a definition");
    let network = json!({ "subnets": SUBNETS, "securityGroups": [SECURITY_GROUP], "assignPublicIp": "ENABLED" });
    let run = json!({
        "cluster": "c", "taskDefinition": "web", "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": network },
    });
    let arn = text(&client.ecs("RunTask", run).await["tasks"][0]["taskArn"]);
    client.simulator.advance(std::time::Duration::from_secs(1));
    let task = client
        .ecs("DescribeTasks", json!({ "cluster": "c", "tasks": [arn] }))
        .await;
    let details = task["tasks"][0]["attachments"][0]["details"]
        .as_array()
        .expect("details");
    let interface = details
        .iter()
        .find(|detail| detail["name"] == "networkInterfaceId")
        .map(|detail| text(&detail["value"]));
    let interface = interface.expect("an interface");
    let ask = [("NetworkInterfaceId.1", interface.as_str())];
    let (_, xml) = client.query("ec2", "DescribeNetworkInterfaces", &ask).await;
    assert!(elements(&xml, "publicIp")[0].starts_with("198.18."), "{xml}");
    assert_eq!(elements(&xml, "groupId"), [SECURITY_GROUP]);
    client.ecs("StopTask", json!({ "cluster": "c", "task": arn })).await;
    let (status, xml) = client.query("ec2", "DescribeNetworkInterfaces", &ask).await;
    assert_eq!(
        (status, elements(&xml, "Code")),
        (400, vec!["InvalidNetworkInterfaceID.NotFound".to_owned()])
    );
}

#[tokio::test]
async fn networks_say_what_they_are_and_let_in() {
    let client = Client::start(Options::default()).await;
    let ingress = |cidr: &str| Ingress {
        from_port: 32_768,
        to_port: 65_535,
        cidr: cidr.to_owned(),
    };
    client
        .simulator
        .security_group("sg-open", "vpc-2", vec![ingress("0.0.0.0/0"), ingress("sg-lb")]);
    let (_, xml) = client
        .query("ec2", "DescribeSubnets", &[("SubnetId.1", SUBNETS[1])])
        .await;
    assert_eq!(
        (elements(&xml, "vpcId"), elements(&xml, "availabilityZone")),
        (vec![VPC.to_owned()], vec!["us-east-1b".to_owned()])
    );
    let (_, xml) = client
        .query("ec2", "DescribeSecurityGroups", &[("GroupId.1", "sg-open")])
        .await;
    assert_eq!(elements(&xml, "fromPort"), ["32768", "32768"]);
    assert!(
        xml.contains("<ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges>"),
        "{xml}"
    );
    assert!(xml.contains("<groupId>sg-lb</groupId></item></groups>"), "{xml}");
}

#[tokio::test]
async fn a_caller_is_told_who_he_is_and_what_he_may() {
    let client = Client::start(Options::default()).await;
    let (_, xml) = client.query("sts", "GetCallerIdentity", &[]).await;
    assert_eq!(elements(&xml, "Account"), ["123456789012"]);
    let caller = elements(&xml, "Arn").remove(0);
    client.simulator.fault(Fault::on("ecs:StopTask", Mishap::Denied));
    let ask = [
        ("PolicySourceArn", caller.as_str()),
        ("ActionNames.member.1", "ecs:RunTask"),
        ("ActionNames.member.2", "ecs:StopTask"),
    ];
    let (_, xml) = client.query("iam", "SimulatePrincipalPolicy", &ask).await;
    assert_eq!(elements(&xml, "EvalDecision"), ["allowed", "implicitDeny"]);
}

#[tokio::test]
async fn what_a_task_writes_is_read_forward_and_back() {
    let client = Client::start(Options::default()).await;
    client.simulator.cluster("c");
    client.simulator.plan_all(TaskPlan::at_once());
    let definition = TaskDefinition::bridge("web").container("web", 80).logs_to("/ecs/web");
    client.simulator.task_definition(&definition).expect("a definition");
    client.simulator.container_instance("c", &ContainerInstance::default());
    let arn = text(
        &client
            .ecs("RunTask", json!({ "cluster": "c", "taskDefinition": "web" }))
            .await["tasks"][0]["taskArn"],
    );
    for line in ["one", "two", "three"] {
        assert!(client.simulator.write_log(&arn, "web", line));
    }
    let stream = format!("ecs/web/{}", arn.rsplit('/').next().expect("an id"));
    let read = |token: Option<Value>, from_head: bool| {
        let mut input =
            json!({ "logGroupName": "/ecs/web", "logStreamName": stream, "limit": 2, "startFromHead": from_head });
        if let Some(token) = token {
            input["nextToken"] = token;
        }
        async {
            client
                .json("Logs_20140328.GetLogEvents", "logs", &{ input })
                .await
                .expect("an answer")
                .1
        }
    };
    let lines = |answer: &Value| {
        answer["events"]
            .as_array()
            .expect("events")
            .iter()
            .map(|event| text(&event["message"]))
            .collect::<Vec<_>>()
    };
    let first = read(None, true).await;
    assert_eq!(lines(&first), ["one", "two"]);
    let next = read(Some(first["nextForwardToken"].clone()), true).await;
    assert_eq!(lines(&next), ["three"]);
    let end = read(Some(next["nextForwardToken"].clone()), true).await;
    assert_eq!(
        (lines(&end).len(), &end["nextForwardToken"]),
        (0, &next["nextForwardToken"])
    );
    assert_eq!(lines(&read(None, false).await), ["two", "three"]);
    let groups = json!({ "logGroupNamePrefix": "/ecs/" });
    let (_, groups) = client
        .json("Logs_20140328.DescribeLogGroups", "logs", &groups)
        .await
        .expect("an answer");
    assert_eq!(groups["logGroups"][0]["logGroupName"], "/ecs/web");
    let none = json!({ "logGroupName": "/ecs/none", "logStreamName": "x" });
    let (status, none) = client
        .json("Logs_20140328.GetLogEvents", "logs", &none)
        .await
        .expect("an answer");
    assert_eq!((status, &none["__type"]), (400, &json!("ResourceNotFoundException")));
}
