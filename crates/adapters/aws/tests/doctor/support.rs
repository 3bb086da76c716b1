//! What the tests share: an account with two services in good order, and examinations of it.

use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use wharf_aws::{
    ClientOptions, Clients, Doctor,
    doctor::{Deployment, Examination, Finding, Grade},
};
use wharf_aws_simulator::{
    ContainerInstance, Options, SECURITY_GROUP, SUBNETS, Simulator, TargetGroup, TaskDefinition,
};
use wharf_domain::{Service, Timestamp};
use wharf_saga::{Clock, Ids};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole";

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(1_750_000_000_000)
    }
}

impl Ids for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x80);
    }
}

/// A Fargate service behind a target group, and tenants' tasks on a container instance.
pub(crate) struct Site {
    pub(crate) simulator: Simulator,
    /// The services as configured; a test changes what it is about.
    pub(crate) auth: Value,
    pub(crate) shop: Value,
}

pub(crate) fn auth_group() -> TargetGroup {
    TargetGroup::ip("auth-tg", 8080)
        .health_check("/healthz", 10 * SECOND, 2)
        .deregistration_delay(30 * SECOND)
}

pub(crate) fn auth_definition() -> TaskDefinition {
    TaskDefinition::fargate("auth-api-task")
        .container("auth", 8080)
        .roles(ROLE, ROLE)
        .logs_to("/ecs/auth-api-task")
}

pub(crate) fn shop_definition() -> TaskDefinition {
    TaskDefinition::bridge("crownmercado-poc-task")
        .container("web", 8000)
        .logs_to("/ecs/crownmercado-poc-task")
}

impl Site {
    pub(crate) async fn new() -> Self {
        let simulator = Simulator::start(Options::default()).await.expect("a simulator");
        simulator.cluster("auth-cluster");
        simulator.task_definition(&auth_definition()).expect("a definition");
        simulator.container_instance("my-poc-cluster", &ContainerInstance::default());
        simulator.task_definition(&shop_definition()).expect("a definition");
        let group = simulator.target_group(&auth_group());
        Self {
            auth: json!({
                "name": "auth", "tenant": false, "singleton": false, "database": false,
                "port": {"kind": "dynamic"},
                "route": {"kind": "target_groups", "arns": [group]},
                "health": {"path": "/healthz", "interval": 10_000, "timeout": 5_000, "healthy": 2, "unhealthy": 2},
                "start_timeout": 300_000, "stop_timeout": 30_000, "drain_timeout": 30_000,
                "identity_header": null, "environment": {},
                "run": {
                    "platform": "ecs", "cluster": "auth-cluster", "task_definition": "auth-api-task",
                    "subnets": SUBNETS, "security_groups": [SECURITY_GROUP], "assign_public_ip": true,
                },
            }),
            shop: json!({
                "name": "shop", "tenant": true, "singleton": false, "database": false,
                "port": {"kind": "static", "first": 8000, "last": 9000},
                "route": {"kind": "direct", "url": "http://{subdomain}.{ip}.sslip.io:{port}"},
                "health": {"path": "/", "interval": 500, "timeout": 1_000, "healthy": 1, "unhealthy": 3},
                "start_timeout": 300_000, "stop_timeout": 30_000, "drain_timeout": 30_000,
                "identity_header": null, "environment": {},
                "run": {
                    "platform": "ecs", "cluster": "my-poc-cluster", "task_definition": "crownmercado-poc-task",
                    "assign_public_ip": true,
                },
            }),
            simulator,
        }
    }

    pub(crate) fn services(&self) -> Vec<Service> {
        [&self.auth, &self.shop]
            .map(|service| serde_json::from_value(service.clone()).expect("a service"))
            .to_vec()
    }

    pub(crate) async fn examine(&self) -> Examination {
        examine(ClientOptions::emulator(self.simulator.url()), &self.services()).await
    }

    /// What is not well.
    pub(crate) async fn faults(&self) -> Vec<Finding> {
        faults(self.examine().await)
    }

    /// The one finding of this subject that begins so, which has to be of this grade; its text and its hint.
    pub(crate) async fn fault(&self, subject: &str, what: &str, grade: Grade) -> (String, String) {
        let faults = self.faults().await;
        let found: Vec<&Finding> = faults
            .iter()
            .filter(|finding| finding.subject == subject && finding.what.starts_with(what))
            .collect();
        let [finding] = found[..] else {
            panic!("one fault {subject}: {what} in {faults:#?}");
        };
        assert_eq!(finding.grade, grade, "{finding:#?}");
        let hint = finding.hint.clone().expect("a hint mends it");
        (finding.found.clone().unwrap_or_default(), hint)
    }
}

pub(crate) fn faults(examination: Examination) -> Vec<Finding> {
    let findings = examination.findings.into_iter();
    findings.filter(|finding| finding.grade != Grade::Ok).collect()
}

pub(crate) async fn examine(options: ClientOptions, services: &[Service]) -> Examination {
    let deployment = Deployment {
        services: services.iter().collect(),
        ..Deployment::default()
    };
    doctor(options).examine(&deployment).await
}

pub(crate) fn doctor(options: ClientOptions) -> Doctor {
    Doctor::new(Clients::new(options), Arc::new(Fixed), Arc::new(Fixed))
}
