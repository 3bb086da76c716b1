//! Each fault that a set-up can have, planted, and found with what mends it.

use super::support::{SECOND, Site, auth_group};
use serde_json::json;
use wharf_aws::doctor::Grade::{Failed, Warning};
use wharf_aws_simulator::{Ingress, SECURITY_GROUP, SUBNETS, TargetGroup, TaskDefinition, VPC};

fn ingress(from_port: u16, to_port: u16, cidr: &str) -> Vec<Ingress> {
    vec![Ingress {
        from_port,
        to_port,
        cidr: cidr.to_owned(),
    }]
}

#[tokio::test]
async fn a_cluster_that_is_not_there_or_not_any_more() {
    let mut site = Site::new().await;
    site.auth["run"]["cluster"] = json!("no-cluster");
    let (_, hint) = site.fault("auth", "cluster no-cluster", Failed).await;
    assert!(
        hint.contains("aws ecs create-cluster --cluster-name no-cluster"),
        "{hint}"
    );
    site.auth["run"]["cluster"] = json!("auth-cluster");
    site.simulator.delete_cluster("auth-cluster");
    let (found, _) = site.fault("auth", "cluster auth-cluster", Failed).await;
    assert!(found.contains("INACTIVE"), "{found}");
}

#[tokio::test]
async fn a_cluster_for_ec2_without_container_instances() {
    let mut site = Site::new().await;
    site.shop["run"]["cluster"] = json!("auth-cluster");
    let (_, hint) = site
        .fault("shop", "cluster auth-cluster: container instances", Failed)
        .await;
    assert!(hint.contains("ECS_CLUSTER=auth-cluster"), "{hint}");
}

#[tokio::test]
async fn capacity_providers_that_the_cluster_has_not() {
    let mut site = Site::new().await;
    site.auth["run"]["launch"] = json!({"capacity_providers": [
        {"name": "FARGATE", "weight": 1, "base": 0}, {"name": "my-asg", "weight": 1, "base": 0},
    ]});
    let (found, _) = site
        .fault("auth", "cluster auth-cluster: capacity providers", Failed)
        .await;
    assert!(found.starts_with("my-asg"), "{found}");
}

#[tokio::test]
async fn a_task_definition_that_is_not_there_or_does_not_fit() {
    let mut site = Site::new().await;
    site.auth["run"]["task_definition"] = json!("no-such-task");
    let (_, hint) = site.fault("auth", "task definition no-such-task", Failed).await;
    assert!(hint.contains("register-task-definition"), "{hint}");
    site.auth["run"]["task_definition"] = json!("auth-api-task");
    site.auth["run"]["container"] = json!("nginx");
    let (found, hint) = site
        .fault("auth", "task definition auth-api-task:1: launch", Failed)
        .await;
    assert!(found.contains("nginx") && hint.contains("auth"), "{found} {hint}");
    site.shop["run"]["launch"] = json!("fargate");
    let (_, hint) = site
        .fault("shop", "task definition crownmercado-poc-task:1: launch", Failed)
        .await;
    assert!(hint.contains("launch"), "{hint}");
}

#[tokio::test]
async fn fargate_without_an_execution_role() {
    let site = Site::new().await;
    // ECS itself refuses one that writes logs without a role, but not one whose image nobody may pull.
    let without = TaskDefinition::fargate("auth-api-task").with(
        "containerDefinitions",
        json!([{
            "name": "auth", "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/auth:1", "essential": true,
            "portMappings": [{"containerPort": 8080}],
        }]),
    );
    site.simulator.task_definition(&without).expect("a definition");
    let (found, hint) = site
        .fault("auth", "task definition auth-api-task:2: execution role", Failed)
        .await;
    assert!(found.contains("to pull its image"), "{found}");
    assert!(hint.contains("AmazonECSTaskExecutionRolePolicy"), "{hint}");
}

#[tokio::test]
async fn a_log_group_that_is_not_there_and_tasks_without_one() {
    let site = Site::new().await;
    site.simulator.delete_log_group("/ecs/auth-api-task");
    let (_, hint) = site.fault("auth", "log group /ecs/auth-api-task", Failed).await;
    assert_eq!(hint, "aws logs create-log-group --log-group-name /ecs/auth-api-task");
    let silent = TaskDefinition::bridge("crownmercado-poc-task").container("web", 8000);
    site.simulator.task_definition(&silent).expect("a definition");
    let (_, hint) = site
        .fault("shop", "task definition crownmercado-poc-task:2: logs", Warning)
        .await;
    assert!(hint.contains("awslogs"), "{hint}");
}

#[tokio::test]
async fn a_target_group_of_the_other_type_or_of_none() {
    let mut site = Site::new().await;
    let other = TargetGroup::instance("inst-tg", 8080).health_check("/healthz", 10 * SECOND, 2);
    let other = site.simulator.target_group(&other);
    site.auth["route"]["arns"] = json!([other]);
    let (found, hint) = site.fault("auth", "target group inst-tg: target type", Failed).await;
    assert!(found.contains("awsvpc") && hint.contains("type ip"), "{found} {hint}");
    site.simulator.delete_target_group(&other);
    let (found, _) = site.fault("auth", "target group inst-tg", Failed).await;
    assert!(found.contains(&other), "{found}");
}

#[tokio::test]
async fn a_target_group_that_no_listener_uses() {
    let mut site = Site::new().await;
    let unused = site
        .simulator
        .target_group(&TargetGroup::unused(TargetGroup::ip("unused-tg", 8080).health_check(
            "/healthz",
            10 * SECOND,
            2,
        )));
    site.auth["route"]["arns"] = json!([unused]);
    let (found, hint) = site
        .fault("auth", "target group unused-tg: load balancer", Failed)
        .await;
    assert!(
        found.contains("Target.NotInUse") && hint.contains("route.rule"),
        "{found} {hint}"
    );
}

#[tokio::test]
async fn health_checks_that_are_too_slow_or_ask_elsewhere() {
    let mut site = Site::new().await;
    site.auth["start_timeout"] = json!(20_000);
    let (_, hint) = site.fault("auth", "target group auth-tg: health check", Warning).await;
    assert!(hint.contains("--health-check-interval-seconds"), "{hint}");
    site.auth["start_timeout"] = json!(10_000);
    site.fault("auth", "target group auth-tg: health check", Failed).await;
    site.auth["start_timeout"] = json!(300_000);
    site.auth["health"]["path"] = json!("/ready");
    let (_, hint) = site
        .fault("auth", "target group auth-tg: health check path", Warning)
        .await;
    assert!(hint.contains("--health-check-path /ready"), "{hint}");
}

#[tokio::test]
async fn a_deregistration_delay_that_is_not_the_drain_timeout() {
    let mut site = Site::new().await;
    for (drain, word) in [(10_000, "cut"), (60_000, "before")] {
        site.auth["drain_timeout"] = json!(drain);
        let (found, hint) = site
            .fault("auth", "target group auth-tg: deregistration delay", Warning)
            .await;
        assert!(found.contains(word), "{found}");
        assert!(hint.contains(&format!("Value={}", drain / 1000)), "{hint}");
    }
}

#[tokio::test]
async fn parts_of_two_vpcs() {
    let mut site = Site::new().await;
    site.simulator.subnet("subnet-elsewhere", "vpc-elsewhere", "a");
    site.auth["run"]["subnets"] = json!(["subnet-elsewhere"]);
    let (found, _) = site.fault("auth", "VPC", Failed).await;
    assert!(found.contains("vpc-elsewhere has subnet subnet-elsewhere"), "{found}");
    site.auth["run"]["subnets"] = json!(SUBNETS);
    let elsewhere = site.simulator.target_group(&auth_group().vpc("vpc-elsewhere"));
    site.auth["route"]["arns"] = json!([elsewhere]);
    let (found, _) = site.fault("auth", "VPC", Failed).await;
    assert!(found.contains("vpc-elsewhere has target group auth-tg"), "{found}");
}

#[tokio::test]
async fn subnets_and_security_groups_that_are_not_there() {
    let mut site = Site::new().await;
    site.auth["run"]["subnets"] = json!([SUBNETS[0], "subnet-none"]);
    site.auth["run"]["security_groups"] = json!([SECURITY_GROUP, "sg-none"]);
    site.fault("auth", "subnet subnet-none", Failed).await;
    site.fault("auth", "security group sg-none", Failed).await;
}

#[tokio::test]
async fn public_addresses_that_lead_nowhere_and_tasks_without_a_way_out() {
    let mut site = Site::new().await;
    site.auth["run"]["subnets"] = json!([SUBNETS[0]]);
    let what = format!("subnet {}: way out", SUBNETS[0]);
    site.simulator.route_subnet(SUBNETS[0], Some("nat-1"));
    let (found, hint) = site.fault("auth", &what, Warning).await;
    assert!(found.contains("nat-1") && hint.contains("DISABLED"), "{found} {hint}");
    site.simulator.route_subnet(SUBNETS[0], None);
    let (_, hint) = site.fault("auth", &what, Warning).await;
    assert!(hint.contains("NAT gateway"), "{hint}");
    site.simulator.route_subnet(SUBNETS[0], Some("igw-1"));
    site.auth["run"]["assign_public_ip"] = json!(false);
    let (_, hint) = site.fault("auth", &what, Warning).await;
    assert!(hint.contains("ENABLED"), "{hint}");
}

#[tokio::test]
async fn a_security_group_that_does_not_let_requests_in() {
    let mut site = Site::new().await;
    site.simulator
        .security_group("sg-tasks", VPC, ingress(443, 443, "10.0.0.0/8"));
    site.auth["run"]["security_groups"] = json!(["sg-tasks"]);
    let (found, hint) = site.fault("auth", "security group sg-tasks: port 8080", Failed).await;
    assert!(found.contains("auth-tg-lb"), "{found}");
    assert!(
        hint.contains("--group-id sg-tasks --protocol tcp --port 8080"),
        "{hint}"
    );
    // The load balancer's own group is as good as its addresses.
    site.simulator
        .security_group("sg-tasks", VPC, ingress(8080, 8080, SECURITY_GROUP));
    assert_eq!(site.faults().await, []);
}

#[tokio::test]
async fn a_host_s_security_group_that_lets_in_a_part_of_the_ports() {
    let site = Site::new().await;
    site.simulator
        .security_group(SECURITY_GROUP, VPC, ingress(8000, 8499, "10.0.0.0/8"));
    let what = format!("security group {SECURITY_GROUP}: port 8000-9000");
    let (found, _) = site.fault("shop", &what, Failed).await;
    assert!(found.contains("8500-9000"), "{found}");
}

#[tokio::test]
async fn what_the_whole_world_may_reach_is_listed() {
    let site = Site::new().await;
    site.simulator
        .security_group(SECURITY_GROUP, VPC, ingress(0, 65_535, "0.0.0.0/0"));
    let what = format!("security group {SECURITY_GROUP}: 0.0.0.0/0");
    for service in ["auth", "shop"] {
        let (found, hint) = site.fault(service, &what, Warning).await;
        assert!(
            found.contains("tcp 0-65535") && hint.contains("revoke"),
            "{found} {hint}"
        );
    }
    // Direct addresses need their own ports open.
    site.simulator
        .security_group(SECURITY_GROUP, VPC, ingress(8000, 9000, "0.0.0.0/0"));
    let faults = site.faults().await;
    assert!(faults.iter().all(|finding| finding.subject == "auth"), "{faults:#?}");
}

#[tokio::test]
async fn ports_that_hosts_keep_for_themselves() {
    let mut site = Site::new().await;
    site.shop["port"] = json!({"kind": "static", "first": 2000, "last": 3000});
    let (found, hint) = site.fault("shop", "ports 2000-3000", Failed).await;
    assert!(found.contains("2375, 2376") && hint.contains("range"), "{found} {hint}");
    site.shop["port"] = json!({"kind": "dynamic"});
    let fixed = TaskDefinition::bridge("crownmercado-poc-task")
        .container_at("web", 8000, 8000)
        .logs_to("/ecs/crownmercado-poc-task");
    site.simulator.task_definition(&fixed).expect("a definition");
    let (_, hint) = site.fault("shop", "host port 8000", Warning).await;
    assert!(hint.contains("hostPort to 0"), "{hint}");
}

#[tokio::test]
async fn a_listener_that_is_not_there_or_is_another_load_balancer_s() {
    let mut site = Site::new().await;
    let listener = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/none/1/2";
    site.auth["route"]["rule"] = json!({"listener": listener, "path": "/api/auth/*"});
    let (found, _) = site.fault("auth", "listener of none", Failed).await;
    assert!(found.contains(listener), "{found}");
    let other = site.simulator.load_balancer("other");
    site.auth["route"]["rule"]["listener"] = json!(other.listener);
    let (found, _) = site
        .fault("auth", "listener of other: target group auth-tg", Failed)
        .await;
    assert!(found.contains("auth-tg-lb"), "{found}");
}
