//! What is in order, and how the account answers.

use super::support::{Site, doctor, examine, faults};
use std::{
    net::TcpListener,
    time::{Duration, Instant},
};
use wharf_aws::{
    ClientOptions,
    doctor::{Deployment, Grade},
};
use wharf_aws_simulator::{Fault, Mishap};

#[tokio::test]
async fn a_good_set_up_is_well_in_every_point() {
    let site = Site::new().await;
    let examination = site.examine().await;
    assert_eq!(examination.grade(), Grade::Ok, "{:#?}", faults(examination));
    for (subject, what) in [
        ("account", "identity"),
        ("account", "permissions"),
        ("auth", "cluster auth-cluster"),
        ("auth", "task definition auth-api-task:1"),
        ("auth", "task definition auth-api-task:1: execution role"),
        ("auth", "log group /ecs/auth-api-task"),
        ("auth", "target group auth-tg: target type"),
        ("auth", "target group auth-tg: load balancer"),
        ("auth", "target group auth-tg: health check"),
        ("auth", "target group auth-tg: deregistration delay"),
        ("auth", "VPC "),
        ("auth", "subnet "),
        ("auth", "security group "),
        ("shop", "cluster my-poc-cluster: container instances"),
        ("shop", "ports 8000-9000"),
        ("shop", "security group "),
    ] {
        let is_there =
            |finding: &wharf_aws::doctor::Finding| finding.subject == subject && finding.what.starts_with(what);
        assert!(examination.findings.iter().any(is_there), "{subject}: {what}");
    }
}

#[tokio::test]
async fn the_six_questions_are_answered_for_each_service() {
    let examination = Site::new().await.examine().await;
    let answers = serde_json::to_string_pretty(&examination.answers).expect("JSON");
    insta::assert_snapshot!("answers", answers);
}

#[tokio::test]
async fn nothing_is_changed_by_an_examination() {
    let site = Site::new().await;
    site.examine().await;
    for call in site.simulator.calls() {
        let (_, name) = call.action.split_once(':').expect("an action");
        let reads = ["Describe", "List", "Get", "Simulate"];
        assert!(reads.iter().any(|read| name.starts_with(read)), "{}", call.action);
    }
}

#[tokio::test]
async fn each_call_that_is_denied_is_a_finding_with_its_action_and_no_end() {
    let site = Site::new().await;
    site.examine().await;
    let actions: Vec<String> = site.simulator.call_counts().into_keys().collect();
    assert!(actions.len() >= 14, "{actions:?}");
    for action in actions {
        site.simulator.fault(Fault::on(&action, Mishap::Denied));
        let examination = site.examine().await;
        site.simulator.mend();
        assert_eq!(examination.answers.len(), 2, "{action}");
        let found = faults(examination);
        let named = found.iter().find(|finding| {
            let text = finding.found.as_deref().unwrap_or_default();
            finding.what.contains(&action) || text.contains(&action)
        });
        let named = named.unwrap_or_else(|| panic!("{action} in {found:#?}"));
        let hint = named.hint.as_deref().expect("a hint");
        assert!(hint.contains(&action), "{action}: {hint}");
    }
}

#[tokio::test]
async fn a_right_to_change_that_lacks_is_found_without_a_change() {
    let site = Site::new().await;
    for action in ["ecs:RunTask", "iam:PassRole", "elasticloadbalancing:RegisterTargets"] {
        site.simulator.fault(Fault::on(action, Mishap::Denied));
        let (found, hint) = site
            .fault("account", &format!("permission {action}"), Grade::Failed)
            .await;
        assert!(found.contains("role/wharf") && hint.contains(action), "{found} {hint}");
        site.simulator.mend();
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_one_finding_and_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let site = Site::new().await;
    let begun = Instant::now();
    let examination = examine(ClientOptions::emulator(url), &site.services()).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let [finding] = &examination.findings[..] else {
        panic!("one finding: {:#?}", examination.findings);
    };
    assert_eq!(finding.grade, Grade::Failed);
    let hint = finding.hint.as_deref().expect("a hint");
    assert!(hint.contains("AWS_ENDPOINT_URL"), "{hint}");
}

#[tokio::test]
async fn one_service_of_aws_that_does_not_answer_is_said_once() {
    let site = Site::new().await;
    site.simulator
        .fault(Fault::on("elasticloadbalancing:DescribeTargetGroups", Mishap::Refused));
    let (found, _) = site
        .fault("account", "service elasticloadbalancing", Grade::Failed)
        .await;
    assert!(found.contains("DescribeTargetGroups"), "{found}");
}

#[tokio::test]
async fn without_services_the_account_is_still_looked_at() {
    let site = Site::new().await;
    let options = ClientOptions::emulator(site.simulator.url());
    let examination = doctor(options).examine(&Deployment::default()).await;
    assert_eq!(examination.findings[0].what, "identity");
}
