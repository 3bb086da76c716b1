//! The contract of `Tasks` and `TaskEvents`, in an account whose time passes fast.

use crate::site::{Site, task};
use std::{sync::Arc, time::Duration};
use wharf_aws_simulator::{Consistency, Options, TaskDefinition, TaskPlan, Then};
use wharf_domain::service::RunSpec;
use wharf_testkit::contracts::tasks::{EXIT_CODE, Fixture, Programs};

async fn make() -> Fixture {
    let site = Site::with(Options {
        // Its own eventual consistency has tests of its own.
        consistency: Consistency::STRONG,
        ..Options::following(100.0)
    })
    .await;
    let program = |family: &str, plan: TaskPlan| {
        let definition = TaskDefinition::fargate(family).container("web", 8080);
        site.simulator.task_definition(&definition).expect("a definition");
        site.simulator.plan(family, plan);
        RunSpec::Ecs(task(family))
    };
    let ends = Then::ExitsAfter {
        after: Duration::from_secs(1),
        code: EXIT_CODE,
        reason: None,
    };
    let programs = Programs {
        lasting: program("lasting", TaskPlan::at_once()),
        crashing: program("crashing", TaskPlan::at_once().then(ends)),
        stubborn: program("stubborn", TaskPlan::at_once().stops_after(Duration::from_secs(30))),
        impossible: RunSpec::Ecs(task("never-registered")),
    };
    let mut events = site.simulator.events();
    let tasks = site.tasks.clone();
    let delivery = tokio::spawn(async move {
        // Until the simulator is gone.
        while let Ok(event) = events.recv().await {
            tasks.heard(&event);
        }
    });
    Fixture {
        tasks: site.tasks.clone(),
        events: site.tasks.clone(),
        deployment: site.deployment.clone(),
        programs,
        tells_output: false,
        keeps: Box::new((Arc::new(site), delivery)),
    }
}

wharf_testkit::tasks_contract!(real make);
