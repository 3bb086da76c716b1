//! The state machine as it is shipped: start, wait, advance, choice.

use serde_json::{Value, json};
use wharf_aws_simulator::{TargetPlan, Unhealthy};

use crate::account::{AUTH_GROUP, Account, Setup, shipped};

#[tokio::test]
async fn a_state_machine_ends_with_the_answer_of_a_start() {
    let account = Account::new().await;
    let execution = account.execute(&json!({"service": "auth"})).await;
    assert_eq!(execution["status"], "SUCCEEDED", "{execution}");
    let output: Value = serde_json::from_str(execution["output"].as_str().expect("an output")).expect("JSON");
    assert_eq!(output["statusCode"], 200, "{output}");
    assert_eq!(output["body"]["healthStatus"], "healthy");
    assert_eq!(
        output["body"]["taskArn"],
        account.simulator.live_tasks()[0].arn.as_str()
    );
}

#[tokio::test]
async fn a_state_machine_fails_with_the_code_of_a_start_that_failed_and_nothing_is_left() {
    let impatient = shipped().replace("start_timeout = \"5m\"", "start_timeout = \"10s\"");
    let account = Setup::default().configured(impatient).deploy().await;
    account
        .simulator
        .target_plan(AUTH_GROUP, TargetPlan::Never(Unhealthy::TimedOut));
    let execution = account.execute(&json!({"service": "auth"})).await;
    assert_eq!(execution["status"], "FAILED", "{execution}");
    assert_eq!(execution["error"], "route.unhealthy", "{execution}");
    account.nothing_is_left().await;
    let instances = account.all_in_state(1, "failed").await;
    assert_eq!(instances[0]["clean"], true);
}
