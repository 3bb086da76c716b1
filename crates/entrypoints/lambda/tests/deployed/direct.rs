//! Direct invocations: they wait, and answer in the documented form.

use serde_json::json;
use wharf_aws_simulator::{Fault, Mishap};

use crate::account::{AUTH_GROUP, Account};

#[tokio::test]
async fn whoever_waits_gets_the_documented_answer() {
    let account = Account::new().await;
    let answer = account
        .invoke(&json!({"service": "auth", "waitForHealthy": true}))
        .await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let body = &answer["body"];
    let task = &account.simulator.live_tasks()[0];
    let (address, port) = task.address.clone().expect("an address");
    assert_eq!(body["service"], "auth");
    assert_eq!(body["taskArn"], task.arn.as_str());
    assert_eq!(body["taskId"], task.arn.rsplit('/').next().expect("an id"));
    assert_eq!((&body["privateIp"], &body["port"]), (&json!(address), &json!(port)));
    assert_eq!(body["targetGroupArn"], AUTH_GROUP);
    assert_eq!(body["healthStatus"], "healthy");
    assert_eq!(account.simulator.targets()[0].state, "healthy");
}

#[tokio::test]
async fn a_service_that_is_not_known_is_answered_with_those_that_are() {
    let account = Account::new().await;
    let answer = account.invoke(&json!({"service": "atuh"})).await;
    assert_eq!(answer["body"]["code"], "service.unknown", "{answer}");
    let hint = answer["body"]["hint"].as_str().expect("a hint");
    for known in ["auth", "batch", "fa", "pdf", "users"] {
        assert!(hint.contains(known), "{hint}");
    }
    assert!(account.simulator.calls().is_empty());
}

#[tokio::test]
async fn a_call_that_is_denied_is_named_with_its_resource_and_all_is_taken_back() {
    let account = Account::new().await;
    account.simulator.fault(Fault::on("RegisterTargets", Mishap::Denied));
    let answer = account.invoke(&json!({"service": "auth"})).await;
    let body = &answer["body"];
    assert_eq!(body["code"], "aws.denied", "{answer}");
    let told = format!("{} {}", body["error"], body["hint"]);
    assert!(told.contains("elasticloadbalancing:RegisterTargets"), "{told}");
    assert!(told.contains(AUTH_GROUP), "{told}");
    let instances = account.all_in_state(1, "failed").await;
    assert_eq!(instances[0]["clean"], true);
    account.nothing_is_left().await;
}
