//! The policy that is made from the table of operations, held against what was called: nothing is called without a statement.

use crate::site::{CLUSTER, ROLES, Site, task, web};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};
use wharf_aws::{
    Governor, Sts,
    operations::Part,
    policy::{Parameters, policy},
};
use wharf_aws_simulator::{ContainerInstance, TargetGroup, TaskDefinition};
use wharf_domain::service::{EcsTask, RunSpec};
use wharf_platform::{Logs, Printer, RouteKey, TaskSpec, Tasks};

/// `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|text| (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))),
    }
}

fn allows(policy: &Value, action: &str, resource: &str) -> bool {
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten();
        texts.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let statements = policy["Statement"].as_array().into_iter().flatten();
    statements.into_iter().any(|statement| {
        texts(&statement["Action"]).iter().any(|allowed| allowed == action)
            && texts(&statement["Resource"])
                .iter()
                .any(|allowed| matches(allowed, resource))
    })
}

/// Everything that Wharf does with tasks, once.
async fn everything(site: &Site) {
    for definition in [
        TaskDefinition::fargate("web").container("web", 8080),
        TaskDefinition::bridge("bridge").container("web", 8000),
    ] {
        let definition = definition.roles(ROLES[0], ROLES[1]).logs_to("/ecs/shop");
        site.simulator.task_definition(&definition).expect("a definition");
    }
    site.simulator
        .container_instance(CLUSTER, &ContainerInstance::sized(4096, 8192));
    let group = site.simulator.target_group(&TargetGroup::ip("web", 8080));
    let key = RouteKey::TargetGroups {
        arns: vec![group],
        rule: None,
    };
    site.check(&RunSpec::Ecs(web()), Some(&key)).await.expect("good");

    let on_host = site.owner();
    let spec = TaskSpec {
        port: Some(8123),
        ..site.spec(&on_host, task("bridge"))
    };
    let bridge = (on_host, site.start(spec).await.expect("it starts"));
    let public = site.owner();
    let spec = TaskSpec {
        public: true,
        ..site.spec(
            &public,
            EcsTask {
                assign_public_ip: true,
                ..web()
            },
        )
    };
    let fargate = (public, site.start(spec).await.expect("it starts"));
    for started in [&bridge, &fargate] {
        assert!(site.endpoint(started).await.is_some());
        let printer = Printer {
            instance: started.0.instance.clone(),
            task: Some(started.1.clone()),
            run: RunSpec::Ecs(web()),
        };
        site.logs().read(&printer, 1, false).await.map(drop).expect("readable");
    }
    site.all(&[RunSpec::Ecs(web())]).await.expect("listed");
    for (owner, task) in [&bridge, &fargate] {
        site.stop(owner, task, Duration::ZERO).await.expect("stopped");
    }
    let sts = Sts::new(
        site.clients.clone(),
        site.governor.clone(),
        std::sync::Arc::new(site.clock.clone()),
    );
    sts.identity(Governor::deadline()).await.expect("known");
}

#[tokio::test]
async fn the_policy_allows_every_call_that_is_made() {
    let site = Site::new().await;
    everything(&site).await;
    let text = |texts: &[&str]| texts.iter().copied().map(str::to_owned).collect::<Vec<_>>();
    let policy = policy(&Parameters {
        partition: "aws".into(),
        region: "us-east-1".into(),
        account: "123456789012".into(),
        parts: [
            Part::Tasks,
            Part::StaticPorts,
            Part::Addresses,
            Part::Targets,
            Part::Logs,
            Part::Doctor,
        ]
        .into(),
        clusters: text(&[CLUSTER]),
        task_definitions: text(&["web", "bridge"]),
        task_roles: text(&ROLES),
        log_groups: text(&["/ecs/shop"]),
        ..Parameters::default()
    });
    let mut made = BTreeSet::new();
    for call in site.simulator.calls() {
        for permission in call.permissions {
            made.insert((permission.action, permission.resource));
        }
    }
    assert!(made.iter().any(|(action, _)| action == "iam:PassRole"), "{made:?}");
    for (action, resource) in &made {
        assert!(
            allows(&policy, action, resource),
            "{action} on {resource} in {policy:#}"
        );
    }
    // And not on what is somebody else's.
    assert!(!allows(
        &policy,
        "ecs:StopTask",
        "arn:aws:ecs:us-east-1:123456789012:task/other/1"
    ));
    assert!(!allows(
        &policy,
        "ecs:RunTask",
        "arn:aws:ecs:us-east-1:123456789012:task-definition/other:1"
    ));
    assert!(!allows(&policy, "iam:PassRole", "arn:aws:iam::123456789012:role/other"));
}
