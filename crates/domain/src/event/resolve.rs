//! Which service a start event means, and what of it the event overrides. Precedence: event > environment > `wharf.toml` >
//! default; the last three are the configured service.

use std::collections::BTreeMap;

use super::{Allow, StartDetail};
use crate::{
    Code, Failure, Service, ServiceName,
    service::{RouteRule, RunSpec},
};

/// What an event is held against.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub services: &'a BTreeMap<ServiceName, Service>,
    /// What an event means that names no service, and nothing that another one is configured for.
    pub default: Option<&'a ServiceName>,
    /// What such an event is laid over where there is no default; its cluster and its task definition may be empty.
    pub template: Option<&'a Service>,
    pub allow: &'a Allow,
}

impl StartDetail {
    /// The service that this starts, with what the event overrides. On a platform other than ECS the overrides mean nothing, and the service is as configured.
    ///
    /// # Errors
    /// `service.unknown` with the known ones; `event.not_allowed` with the field that names what it may not; `event.invalid` where nobody says what is to run.
    pub fn resolve(&self, known: Known<'_>) -> Result<Service, Failure> {
        let mut service = self.service_of(known)?.clone();
        let RunSpec::Ecs(mut task) = service.run.clone() else {
            return Ok(service);
        };
        known.allow.check(self, &service)?;
        let lay = |own: &mut String, named: &Option<String>| {
            if let Some(named) = named {
                own.clone_from(named);
            }
        };
        lay(&mut task.cluster, &self.cluster);
        lay(&mut task.task_definition, &self.task_definition);
        for (field, value) in [("cluster", &task.cluster), ("taskDefinition", &task.task_definition)] {
            if value.is_empty() {
                return Err(Failure::new(
                    Code::EventInvalid,
                    format!("neither the event nor the configuration says which \"{field}\""),
                )
                .hint(format!(
                    "name it in \"detail.{field}\", or one of the services {}",
                    known.names()
                )));
            }
        }
        task.container = self.container_name.clone().or(task.container);
        task.port = self.port.or(task.port);
        for (own, named) in [
            (&mut task.subnets, &self.subnets),
            (&mut task.security_groups, &self.security_groups),
        ] {
            if let Some(named) = named.as_ref().filter(|named| !named.is_empty()) {
                own.clone_from(named);
            }
        }
        let arns = self.target_groups();
        if !arns.is_empty() && arns != target_groups(&service) {
            // A rule leads to the configured group, and so does the URL: neither is right for another.
            service.route = RouteRule::TargetGroups {
                arns: arns.into_iter().map(str::to_owned).collect(),
                rule: None,
                url: None,
            };
        }
        service.run = RunSpec::Ecs(task);
        Ok(service)
    }

    fn service_of<'a>(&self, known: Known<'a>) -> Result<&'a Service, Failure> {
        if let Some(name) = &self.service {
            return known.service(name);
        }
        let default = known.default.map(|name| known.service(name)).transpose()?;
        if let Some(service) = default.filter(|service| self.is_configured_for(service)) {
            return Ok(service);
        }
        let mut fitting = known
            .services
            .values()
            .filter(|service| self.is_configured_for(service));
        let why = match (fitting.next(), fitting.next()) {
            (Some(service), None) => return Ok(service),
            (Some(_), Some(_)) => "several services are configured for what it names",
            (None, _) => "no service is configured for what it names",
        };
        default.or(known.template).ok_or_else(|| {
            Failure::new(
                Code::EventNotAllowed,
                format!("the event names no \"service\", and {why}"),
            )
            .hint(format!("name one of {} in \"detail.service\"", known.names()))
        })
    }

    /// Whether the place that the event names is this service's own, and it names one. What else it names is held against that service then, so that a
    /// refusal speaks of what is wrong.
    fn is_configured_for(&self, service: &Service) -> bool {
        let place = Self {
            cluster: self.cluster.clone(),
            task_definition: self.task_definition.clone(),
            target_group_arn: self.target_group_arn.clone(),
            target_group_arns: self.target_group_arns.clone(),
            ..Self::default()
        };
        let on_ecs = matches!(service.run, RunSpec::Ecs(_));
        on_ecs && !service.tenant && place != Self::default() && Allow::default().check(&place, service).is_ok()
    }

    /// All target groups that it names, each once.
    fn target_groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        let all = self
            .target_group_arn
            .iter()
            .chain(self.target_group_arns.iter().flatten());
        for arn in all {
            if !groups.contains(&arn.as_str()) {
                groups.push(arn);
            }
        }
        groups
    }
}

impl<'a> Known<'a> {
    fn service(&self, name: &ServiceName) -> Result<&'a Service, Failure> {
        self.services.get(name).ok_or_else(|| {
            Failure::new(
                Code::ServiceUnknown,
                format!("no service is called {:?}", name.as_str()),
            )
            .hint(format!("the configured services are {}", self.names()))
        })
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.services.keys().map(ServiceName::as_str).collect();
        names.join(", ")
    }
}

fn target_groups(service: &Service) -> &[String] {
    match &service.route {
        RouteRule::TargetGroups { arns, .. } => arns,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Pattern,
        service::{EcsTask, HealthCheck, Launch, PortRule, SecretsAs},
    };
    use serde_json::{Value, json};
    use std::time::Duration;

    const AUTH_GROUP: &str = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/auth-lb/73e2d6bc24d8a067";
    const PDF_GROUP: &str = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/pdf-lb/6d0ecf831eec9f09";

    fn service(name: &str, cluster: &str, definition: &str, port: u16, group: &str) -> Service {
        let second = Duration::from_secs(1);
        Service {
            name: name.parse().expect("a name"),
            tenant: false,
            singleton: false,
            database: false,
            port: PortRule::Dynamic,
            route: RouteRule::TargetGroups {
                arns: vec![group.to_owned()],
                rule: None,
                url: Some("https://api.example.com".to_owned()),
            },
            health: HealthCheck {
                path: "/".to_owned(),
                interval: second,
                timeout: second,
                healthy: 1,
                unhealthy: 3,
            },
            start_timeout: second,
            stop_timeout: second,
            drain_timeout: second,
            sleep: None,
            identity_header: None,
            environment: BTreeMap::new(),
            trial: None,
            run: RunSpec::Ecs(EcsTask {
                cluster: cluster.to_owned(),
                task_definition: definition.to_owned(),
                container: None,
                port: Some(port),
                subnets: vec!["subnet-a".to_owned(), "subnet-b".to_owned()],
                security_groups: vec!["sg-a".to_owned()],
                assign_public_ip: true,
                launch: Launch::Auto,
                command: None,
                cpu: None,
                memory: None,
                execute_command: false,
                secrets: SecretsAs::Values,
                host_address: None,
            }),
        }
    }

    fn services() -> BTreeMap<ServiceName, Service> {
        [
            service("auth", "auth-cluster", "auth-api-task", 8080, AUTH_GROUP),
            service("pdf", "pdf-cluster", "pdf-creator-task", 9080, PDF_GROUP),
        ]
        .into_iter()
        .map(|service| (service.name.clone(), service))
        .collect()
    }

    fn anything() -> Allow {
        let any = vec![Pattern::new("*").expect("a pattern")];
        Allow {
            clusters: any.clone(),
            task_definitions: any.clone(),
            target_groups: any.clone(),
            subnets: any.clone(),
            security_groups: any.clone(),
            containers: any,
        }
    }

    fn resolve(detail: &Value, allow: &Allow, default: Option<&str>) -> Result<(Service, EcsTask), Failure> {
        over(detail, allow, default, None)
    }

    fn over(
        detail: &Value,
        allow: &Allow,
        default: Option<&str>,
        template: Option<&Service>,
    ) -> Result<(Service, EcsTask), Failure> {
        let detail: StartDetail = serde_json::from_value(detail.clone()).expect("a detail");
        let services = services();
        let default = default.map(|name| name.parse().expect("a name"));
        let service = detail.resolve(Known {
            services: &services,
            default: default.as_ref(),
            template,
            allow,
        })?;
        let RunSpec::Ecs(task) = service.run.clone() else {
            panic!("on ECS")
        };
        Ok((service, task))
    }

    #[test]
    fn what_an_event_leaves_out_is_the_services_own() {
        let (service, task) = resolve(&json!({"service": "auth"}), &Allow::default(), None).expect("configured");
        assert_eq!(service, services()[&service.name]);
        assert_eq!((task.cluster.as_str(), task.port), ("auth-cluster", Some(8080)));
    }

    #[test]
    fn what_an_event_names_outranks_the_service() {
        let detail = json!({
            "service": "auth", "cluster": "pdf-cluster", "taskDefinition": "pdf-creator-task", "port": 9080,
            "targetGroupArn": PDF_GROUP, "targetGroupArns": [AUTH_GROUP, PDF_GROUP], "subnets": ["subnet-b"], "securityGroups": [],
        });
        let (service, task) = resolve(&detail, &anything(), None).expect("allowed");
        assert_eq!((service.name.as_str(), task.cluster.as_str()), ("auth", "pdf-cluster"));
        assert_eq!(
            (task.task_definition.as_str(), task.port),
            ("pdf-creator-task", Some(9080))
        );
        assert_eq!((task.subnets.len(), task.security_groups.len()), (1, 1));
        let RouteRule::TargetGroups { arns, rule, url } = service.route else {
            panic!("target groups")
        };
        assert_eq!(arns, [PDF_GROUP, AUTH_GROUP]);
        assert_eq!((rule, url), (None, None));
    }

    #[test]
    fn naming_the_services_own_groups_changes_nothing() {
        let detail = json!({"service": "auth", "targetGroupArn": AUTH_GROUP});
        let (service, _) = resolve(&detail, &Allow::default(), None).expect("its own");
        assert_eq!(service.route, services()[&service.name].route);
    }

    #[test]
    fn without_a_service_it_is_the_one_that_is_meant_or_the_default() {
        let name = |detail: &Value, default| {
            resolve(detail, &Allow::default(), default).map(|(service, _)| service.name.to_string())
        };
        assert_eq!(name(&json!({}), Some("pdf")), Ok("pdf".to_owned()));
        let of_auth = json!({"cluster": "auth-cluster"});
        assert_eq!(name(&of_auth, Some("pdf")), Ok("auth".to_owned()));
        assert_eq!(name(&of_auth, None), Ok("auth".to_owned()));
        let of_pdf = json!({"targetGroupArn": PDF_GROUP, "port": 9080});
        assert_eq!(name(&of_pdf, None), Ok("pdf".to_owned()));
        let mixed = json!({"cluster": "auth-cluster", "targetGroupArn": PDF_GROUP});
        for detail in [json!({}), json!({"port": 8080}), mixed] {
            let failure = name(&detail, None).expect_err("it means none");
            assert_eq!(failure.code, Code::EventNotAllowed);
            assert!(failure.hint.expect("a hint").contains("auth, pdf"));
        }
    }

    #[test]
    fn what_does_not_fit_the_service_that_is_meant_is_what_the_refusal_speaks_of() {
        let template = service("start", "", "", 80, AUTH_GROUP);
        let detail =
            json!({"cluster": "auth-cluster", "taskDefinition": "auth-api-task", "subnets": ["subnet-foreign"]});
        let refused = over(&detail, &Allow::default(), None, Some(&template)).expect_err("not allowed");
        assert_eq!(refused.code, Code::EventNotAllowed);
        assert!(refused.message.contains("subnet-foreign"), "{}", refused.message);
    }

    #[test]
    fn what_no_service_is_configured_for_is_laid_over_the_template_if_it_is_allowed() {
        let template = service("start", "", "", 80, AUTH_GROUP);
        let detail = json!({"cluster": "team-a", "taskDefinition": "job:3"});
        let (service, task) = over(&detail, &anything(), None, Some(&template)).expect("allowed");
        assert_eq!((service.name.as_str(), task.cluster.as_str()), ("start", "team-a"));
        assert_eq!(task.task_definition, "job:3");
        let refused = over(&detail, &Allow::default(), None, Some(&template)).expect_err("not allowed");
        assert_eq!(refused.code, Code::EventNotAllowed);
        let half = json!({"cluster": "team-a"});
        let half = over(&half, &anything(), None, Some(&template)).expect_err("half of it");
        assert_eq!(half.code, Code::EventInvalid);
        assert!(half.message.contains("taskDefinition"), "{}", half.message);
    }

    #[test]
    fn what_is_neither_configured_nor_allowed_is_refused_by_its_field() {
        let foreign = "arn:aws:ecs:us-east-2:999999999999:cluster/auth-cluster";
        for (field, value) in [
            ("cluster", json!("prod")),
            ("cluster", json!(foreign)),
            ("taskDefinition", json!("pdf-creator-task")),
            ("containerName", json!("sidecar")),
            ("subnets", json!(["subnet-a", "subnet-x"])),
            ("securityGroups", json!(["sg-x"])),
            ("targetGroupArn", json!("arn:x")),
            ("targetGroupArns", json!([AUTH_GROUP, "arn:x"])),
        ] {
            let detail = json!({"service": "auth", field: value});
            let failure = resolve(&detail, &Allow::default(), None).expect_err(field);
            assert_eq!(failure.code, Code::EventNotAllowed);
            assert!(failure.message.contains(&format!("\"{field}\"")), "{}", failure.message);
            resolve(&detail, &anything(), None).expect("allowed");
        }
    }

    #[test]
    fn an_unknown_service_is_told_the_known_ones() {
        let failure = resolve(&json!({"service": "nothing"}), &Allow::default(), None).expect_err("unknown");
        assert_eq!(failure.code, Code::ServiceUnknown);
        assert!(failure.hint.expect("a hint").contains("auth, pdf"));
    }
}
