//! Which service a start event means, and what of it the event overrides. Precedence: event > environment > `wharf.toml` >
//! default; the last three are the configured service.
//!
//! Being allowed to put an event is not being allowed to run anything anywhere: what it names is configured for some service, or
//! matched by what the operator allows.

use std::collections::BTreeMap;

use super::{Allow, StartDetail};
use crate::{
    Code, Failure, Service, ServiceName,
    service::{EcsTask, RouteRule, RunSpec},
};

/// What an event is held against.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub services: &'a BTreeMap<ServiceName, Service>,
    /// What an event means that names no service.
    pub default: Option<&'a ServiceName>,
    pub allow: &'a Allow,
}

impl StartDetail {
    /// The service that this starts, with what the event overrides. On a platform other than ECS the overrides mean nothing, and the service is as configured.
    ///
    /// # Errors
    /// `service.unknown` with the known ones; `event.not_allowed` with the field that names something else.
    pub fn resolve(&self, known: Known<'_>) -> Result<Service, Failure> {
        let mut service = self.service_of(known)?.clone();
        let RunSpec::Ecs(own) = &service.run else {
            return Ok(service);
        };
        let mut task = own.clone();
        let own = own.clone();
        if let Some(cluster) = &self.cluster {
            task.cluster = known.named("cluster", cluster, &own, |task| vec![task.cluster.clone()])?;
        }
        if let Some(definition) = &self.task_definition {
            let configured = |task: &EcsTask| vec![task.task_definition.clone()];
            task.task_definition = known.named("taskDefinition", definition, &own, configured)?;
        }
        if let Some(container) = &self.container_name {
            let configured = |task: &EcsTask| task.container.iter().cloned().collect();
            task.container = Some(known.named("containerName", container, &own, configured)?);
        }
        if let Some(port) = self.port {
            let configured = |task: &EcsTask| task.port.iter().map(u16::to_string).collect();
            known.named("port", &port.to_string(), &own, configured)?;
            task.port = Some(port);
        }
        if let Some(subnets) = self.subnets.as_ref().filter(|list| !list.is_empty()) {
            task.subnets = known.all_named("subnets", subnets, &own, |task| task.subnets.clone())?;
        }
        if let Some(groups) = self.security_groups.as_ref().filter(|list| !list.is_empty()) {
            task.security_groups =
                known.all_named("securityGroups", groups, &own, |task| task.security_groups.clone())?;
        }
        let (fields, arns): (Vec<_>, Vec<_>) = self.target_groups().into_iter().unzip();
        if !arns.is_empty() && arns != target_groups(&service) {
            for (field, arn) in fields.into_iter().zip(&arns) {
                known.target_group(field, arn)?;
            }
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
        if let Some(name) = self.service.as_ref().or(known.default) {
            return known.services.get(name).ok_or_else(|| {
                Failure::new(
                    Code::ServiceUnknown,
                    format!("no service is called {:?}", name.as_str()),
                )
                .hint(format!("the configured services are {}", known.names()))
            });
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
        Err(Failure::new(
            Code::EventNotAllowed,
            format!("the event names no \"service\", and {why}"),
        )
        .hint(format!("name one of {} in \"detail.service\"", known.names())))
    }

    /// Whether everything that the event names of ECS is this service's own, and it names something.
    fn is_configured_for(&self, service: &Service) -> bool {
        let RunSpec::Ecs(task) = &service.run else {
            return false;
        };
        let groups = self.target_groups();
        let names_place = self.cluster.is_some() || self.task_definition.is_some() || !groups.is_empty();
        let own = target_groups(service);
        !service.tenant
            && names_place
            && self.cluster.as_ref().is_none_or(|name| means(name, &task.cluster))
            && self
                .task_definition
                .as_ref()
                .is_none_or(|name| means(name, &task.task_definition))
            && groups
                .iter()
                .all(|(_, arn)| own.iter().any(|configured| configured == arn))
    }

    /// All target groups that it names, each once, with the field that names it.
    fn target_groups(&self) -> Vec<(&'static str, &str)> {
        let one = self.target_group_arn.iter().map(|arn| ("targetGroupArn", arn.as_str()));
        let more = self.target_group_arns.iter().flatten();
        let mut groups: Vec<(&'static str, &str)> = Vec::new();
        for (field, arn) in one.chain(more.map(|arn| ("targetGroupArns", arn.as_str()))) {
            if !groups.iter().any(|(_, known)| *known == arn) {
                groups.push((field, arn));
            }
        }
        groups
    }
}

impl Known<'_> {
    fn names(&self) -> String {
        let names: Vec<&str> = self.services.keys().map(ServiceName::as_str).collect();
        names.join(", ")
    }

    fn tasks(&self) -> impl Iterator<Item = &EcsTask> {
        self.services.values().filter_map(|service| match &service.run {
            RunSpec::Ecs(task) => Some(task),
            RunSpec::Process { .. } => None,
        })
    }

    /// The value that an event means: as it is configured, first for the service itself.
    fn named(
        &self,
        field: &str,
        value: &str,
        own: &EcsTask,
        configured: impl Fn(&EcsTask) -> Vec<String>,
    ) -> Result<String, Failure> {
        let candidates: Vec<String> = std::iter::once(own).chain(self.tasks()).flat_map(configured).collect();
        if let Some(exact) = candidates.iter().find(|candidate| *candidate == value) {
            return Ok(exact.clone());
        }
        if let Some(arn) = candidates.into_iter().find(|candidate| means(value, candidate)) {
            return Ok(arn);
        }
        self.only_allowed(field, value)
    }

    fn all_named(
        &self,
        field: &str,
        values: &[String],
        own: &EcsTask,
        configured: impl Fn(&EcsTask) -> Vec<String> + Copy,
    ) -> Result<Vec<String>, Failure> {
        values
            .iter()
            .map(|value| self.named(field, value, own, configured))
            .collect()
    }

    fn target_group(&self, field: &str, arn: &str) -> Result<(), Failure> {
        let is_configured = self
            .services
            .values()
            .any(|service| target_groups(service).iter().any(|configured| configured == arn));
        if is_configured {
            Ok(())
        } else {
            self.only_allowed(field, arn).map(drop)
        }
    }

    fn only_allowed(&self, field: &str, value: &str) -> Result<String, Failure> {
        if self.allow.allows(value) {
            return Ok(value.to_owned());
        }
        let shown: String = value.chars().filter(|c| !c.is_control()).take(200).collect();
        Err(Failure::new(
            Code::EventNotAllowed,
            format!("\"{field}\" of the event is {shown:?}, which no service is configured with"),
        )
        .hint(format!(
            "configure a service with it, or add a pattern that it matches to `allow` under [events]; \
             the configured services are {}",
            self.names()
        )))
    }
}

fn target_groups(service: &Service) -> &[String] {
    match &service.route {
        RouteRule::TargetGroups { arns, .. } => arns,
        _ => &[],
    }
}

/// Whether a name means what is configured: the same text, or the name at the end of the configured ARN. Not the other way round, for an
/// ARN may be of another account or region.
fn means(name: &str, configured: &str) -> bool {
    configured == name
        || configured
            .strip_suffix(name)
            .is_some_and(|head| head.starts_with("arn:") && head.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{HealthCheck, Launch, PortRule, SecretsAs};
    use serde_json::json;
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
            identity_header: None,
            environment: BTreeMap::new(),
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
        let cluster = "arn:aws:ecs:us-east-2:123456789012:cluster/pdf-cluster";
        [
            service("auth", "auth-cluster", "auth-api-task", 8080, AUTH_GROUP),
            service("pdf", cluster, "pdf-creator-task", 9080, PDF_GROUP),
        ]
        .into_iter()
        .map(|service| (service.name.clone(), service))
        .collect()
    }

    fn resolve(
        detail: serde_json::Value,
        allow: &[&str],
        default: Option<&str>,
    ) -> Result<(Service, EcsTask), Failure> {
        let detail: StartDetail = serde_json::from_value(detail).expect("a detail");
        let (services, allow) = (services(), Allow::new(allow.iter().copied()));
        let default = default.map(|name| name.parse().expect("a name"));
        let service = detail.resolve(Known {
            services: &services,
            default: default.as_ref(),
            allow: &allow,
        })?;
        let RunSpec::Ecs(task) = service.run.clone() else {
            panic!("on ECS")
        };
        Ok((service, task))
    }

    #[test]
    fn what_an_event_leaves_out_is_the_services_own() {
        let (service, task) = resolve(json!({"service": "auth"}), &[], None).expect("configured");
        assert_eq!(service, services()[&service.name]);
        assert_eq!((task.cluster.as_str(), task.port), ("auth-cluster", Some(8080)));
    }

    #[test]
    fn what_an_event_names_outranks_the_service() {
        let detail = json!({
            "service": "auth", "cluster": "pdf-cluster", "taskDefinition": "pdf-creator-task", "port": 9080,
            "targetGroupArn": PDF_GROUP, "targetGroupArns": [AUTH_GROUP, PDF_GROUP], "subnets": ["subnet-b"], "securityGroups": [],
        });
        let (service, task) = resolve(detail, &[], None).expect("all of it is configured somewhere");
        assert_eq!(service.name.as_str(), "auth");
        assert_eq!(task.cluster, "arn:aws:ecs:us-east-2:123456789012:cluster/pdf-cluster");
        assert_eq!(
            (task.task_definition.as_str(), task.port),
            ("pdf-creator-task", Some(9080))
        );
        assert_eq!(
            (task.subnets, task.security_groups),
            (vec!["subnet-b".to_owned()], vec!["sg-a".to_owned()])
        );
        let RouteRule::TargetGroups { arns, rule, url } = service.route else {
            panic!("target groups")
        };
        assert_eq!(
            (arns, rule, url),
            (vec![PDF_GROUP.to_owned(), AUTH_GROUP.to_owned()], None, None)
        );
    }

    #[test]
    fn naming_the_services_own_groups_changes_nothing() {
        let (service, _) =
            resolve(json!({"service": "auth", "targetGroupArn": AUTH_GROUP}), &[], None).expect("its own");
        assert_eq!(service.route, services()[&service.name].route);
    }

    #[test]
    fn without_a_service_it_is_the_default_or_the_one_that_is_meant() {
        let name = |detail, default| resolve(detail, &[], default).map(|(service, _)| service.name.to_string());
        assert_eq!(name(json!({}), Some("pdf")), Ok("pdf".to_owned()));
        assert_eq!(
            name(json!({"cluster": "auth-cluster"}), Some("pdf")),
            Ok("pdf".to_owned())
        );
        assert_eq!(name(json!({"cluster": "auth-cluster"}), None), Ok("auth".to_owned()));
        assert_eq!(name(json!({"cluster": "pdf-cluster"}), None), Ok("pdf".to_owned()));
        assert_eq!(
            name(json!({"targetGroupArn": PDF_GROUP, "port": 9080}), None),
            Ok("pdf".to_owned())
        );
        for detail in [
            json!({}),
            json!({"port": 8080}),
            json!({"cluster": "auth-cluster", "targetGroupArn": PDF_GROUP}),
        ] {
            let failure = name(detail, None).expect_err("it means none");
            assert_eq!(failure.code, Code::EventNotAllowed);
            assert!(failure.hint.expect("a hint").contains("auth, pdf"));
        }
    }

    #[test]
    fn what_is_neither_configured_nor_allowed_is_refused_by_its_field() {
        for (field, value, pattern) in [
            ("cluster", json!("prod"), "pro*"),
            (
                "cluster",
                json!("arn:aws:ecs:us-east-2:999999999999:cluster/auth-cluster"),
                "*999999999999*",
            ),
            ("taskDefinition", json!("auth-api-task:1"), "auth-api-task:*"),
            ("containerName", json!("sidecar"), "sidecar"),
            ("port", json!(22), "22"),
            ("subnets", json!(["subnet-a", "subnet-x"]), "subnet-*"),
            ("securityGroups", json!(["sg-x"]), "sg-x"),
            ("targetGroupArn", json!("arn:x"), "arn:*"),
            ("targetGroupArns", json!([AUTH_GROUP, "arn:x"]), "arn:x"),
        ] {
            let detail = json!({"service": "auth", field: value});
            let failure = resolve(detail.clone(), &[], None).expect_err(field);
            assert_eq!(failure.code, Code::EventNotAllowed);
            assert!(failure.message.contains(&format!("\"{field}\"")), "{}", failure.message);
            resolve(detail, &[pattern], None).expect("allowed by the pattern");
        }
    }

    #[test]
    fn an_unknown_service_is_told_the_known_ones() {
        let failure = resolve(json!({"service": "nothing"}), &[], None).expect_err("unknown");
        assert_eq!(failure.code, Code::ServiceUnknown);
        assert!(failure.hint.expect("a hint").contains("auth, pdf"));
    }
}
