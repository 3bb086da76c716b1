//! `wharf doctor` on ECS, as people read it, against a simulated account; what it finds there, the adapter's own tests say.

use std::{net::TcpListener, time::Duration};
use wharf_aws_simulator::{Options, SECURITY_GROUP, SUBNETS, Simulator, TargetGroup, TaskDefinition};

use crate::{
    cli::seen,
    harness::{Deployment, Setup},
};

const ROLE: &str = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole";

async fn account() -> (Simulator, String) {
    let simulator = Simulator::start(Options::default()).await.expect("a simulator");
    simulator.cluster("auth-cluster");
    let definition = TaskDefinition::fargate("auth-api-task")
        .container("auth", 8080)
        .roles(ROLE, ROLE)
        .logs_to("/ecs/auth-api-task");
    simulator.task_definition(&definition).expect("a definition");
    let group = TargetGroup::ip("auth-tg", 8080)
        .health_check("/healthz", Duration::from_secs(10), 2)
        .deregistration_delay(Duration::from_secs(30));
    let group = simulator.target_group(&group);
    (simulator, group)
}

fn on_aws(url: &str) -> Deployment {
    Setup::new()
        .with("AWS_ENDPOINT_URL", url)
        .with("AWS_REGION", "us-east-1")
        .with("AWS_ACCESS_KEY_ID", "simulated")
        .with("AWS_SECRET_ACCESS_KEY", "simulated")
        .not_running()
}

fn configure(deployment: &Deployment, cluster: &str, group: &str) {
    deployment.configure(&format!(
        r#"
[server]
listen = "{listen}"
[platform]
kind = "ecs"
[services.auth]
start_timeout = "5m"
drain_timeout = "30s"
health = {{ path = "/healthz" }}
[services.auth.ecs]
cluster = "{cluster}"
task_definition = "auth-api-task"
port = 8080
subnets = ["{subnet}"]
security_groups = ["{SECURITY_GROUP}"]
route = {{ kind = "target_groups", arns = ["{group}"] }}
"#,
        listen = deployment.listen(),
        subnet = SUBNETS[0],
    ));
}

#[tokio::test]
async fn an_account_in_order_is_well_and_the_questions_are_answered() {
    let (simulator, group) = account().await;
    let deployment = on_aws(&simulator.url());
    configure(&deployment, "auth-cluster", &group);
    seen("doctor-ecs", &deployment, &deployment.wharf(&["doctor"]).await.exits(0));
    let report = deployment.wharf(&["doctor", "--json"]).await.exits(0).json();
    assert_eq!(report["answers"][0]["service"], "auth");
    assert!(
        report["checks"].as_array().is_some_and(|checks| checks.len() > 15),
        "{report:#}"
    );
}

#[tokio::test]
async fn what_is_wrong_on_ecs_has_its_hint_and_an_exit_code() {
    let (simulator, group) = account().await;
    simulator.delete_log_group("/ecs/auth-api-task");
    simulator.route_subnet(SUBNETS[0], None);
    let deployment = on_aws(&simulator.url());
    configure(&deployment, "no-cluster", &group);
    seen(
        "doctor-ecs-bad",
        &deployment,
        &deployment.wharf(&["doctor"]).await.exits(5),
    );
}

#[tokio::test]
async fn an_account_out_of_reach_is_one_line_with_its_hint() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let deployment = on_aws(&url);
    configure(
        &deployment,
        "auth-cluster",
        "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/auth-tg/0123456789abcdef",
    );
    let report = deployment.wharf(&["doctor", "--json"]).await.exits(5).json();
    let of_aws: Vec<_> = report["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| check["subject"] != "machine")
        .collect();
    assert_eq!(of_aws.len(), 1, "{report:#}");
    assert!(
        of_aws[0]["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("AWS_ENDPOINT_URL"))
    );
}
