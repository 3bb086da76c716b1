//! The policy that is made from the table of operations, held against what is called: nothing without a statement, and no
//! statement without a call.

use crate::site::{CLUSTER, ROLES, Site, task, web};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};
use wharf_aws::{
    Governor, Sts,
    operations::Part,
    policy::{Parameters, actions_by_scope, policy},
};
use wharf_aws_simulator::{ContainerInstance, TargetGroup, TaskDefinition};
use wharf_domain::{
    Code,
    service::{EcsTask, RunSpec},
};
use wharf_platform::{Logs, Printer, RouteKey, TaskSpec, Tasks};

/// The policy of a deployment that runs `web` and `bridge` in one cluster.
fn policy_of(parts: &[Part]) -> Value {
    let text = |texts: &[&str]| texts.iter().copied().map(str::to_owned).collect::<Vec<_>>();
    policy(&Parameters {
        partition: "aws".into(),
        region: "us-east-1".into(),
        account: "123456789012".into(),
        parts: parts.iter().copied().collect(),
        clusters: text(&[CLUSTER]),
        task_definitions: text(&["web", "bridge"]),
        task_roles: text(&ROLES),
        log_groups: text(&["/ecs/shop"]),
        ..Parameters::default()
    })
}

/// What is about tasks.
const PARTS: [Part; 4] = [Part::Tasks, Part::StaticPorts, Part::Addresses, Part::Logs];

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
    let policy = policy_of(&[PARTS.as_slice(), &[Part::Targets, Part::Doctor]].concat());
    site.simulator.allow_only(&policy).expect("a policy");
    everything(&site).await;
}

#[tokio::test]
async fn the_policy_allows_nothing_that_is_never_called() {
    let site = Site::new().await;
    everything(&site).await;
    let calls = site.simulator.calls();
    let made: BTreeSet<&str> = calls
        .iter()
        .flat_map(|call| &call.permissions)
        .map(|permission| permission.action.as_str())
        .collect();
    for (scope, actions) in actions_by_scope(&PARTS.into()) {
        for action in actions {
            assert!(made.contains(action), "{action} on {scope:?} in {made:?}");
        }
    }
}

#[tokio::test]
async fn the_policy_allows_nothing_in_others_clusters_and_of_others_definitions() {
    let site = Site::new().await;
    site.simulator.cluster("other");
    let definition = TaskDefinition::fargate("other").container("web", 8080);
    site.simulator.task_definition(&definition).expect("a definition");
    site.simulator.allow_only(&policy_of(&PARTS)).expect("a policy");
    let elsewhere = EcsTask {
        cluster: "other".into(),
        ..web()
    };
    for run in [elsewhere, task("other")] {
        let failure = site.start(site.spec(&site.owner(), run)).await.expect_err("denied");
        assert_eq!(failure.code, Code::AwsDenied);
        assert!(failure.message.contains("ecs:RunTask"), "{}", failure.message);
    }
    assert!(site.simulator.tasks().is_empty());
    site.started().await;
}
