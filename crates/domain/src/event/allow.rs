//! What a start event may name: being allowed to put an event is not being allowed to run anything anywhere.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::StartDetail;
use crate::{
    Code, Failure, Service,
    service::{EcsTask, RouteRule, RunSpec},
};

/// A pattern of more characters is none; no ARN is as long.
const PATTERN_MAX: usize = 512;

/// A name or an ARN in which `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// `None` where the text has a character that no name of AWS has.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | '*');
        let good = (1..=PATTERN_MAX).contains(&text.len()) && text.chars().all(fits);
        good.then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern fits the whole text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let Some(mut text) = text.strip_prefix(head) else {
            return false;
        };
        let mut parts: Vec<&str> = rest.split('*').collect();
        let tail = parts.pop().unwrap_or_default();
        // The first place where a part fits leaves the most for those after it.
        for part in parts {
            let Some(at) = text.find(part) else { return false };
            text = &text[at + part.len()..];
        }
        text.ends_with(tail)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What events may name beyond what is configured, kind by kind. The default allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allow {
    pub clusters: Vec<Pattern>,
    pub task_definitions: Vec<Pattern>,
    pub target_groups: Vec<Pattern>,
    pub subnets: Vec<Pattern>,
    pub security_groups: Vec<Pattern>,
    pub containers: Vec<Pattern>,
}

/// One thing that an event names.
struct Named<'a> {
    /// The field of `detail`.
    field: &'static str,
    /// The key of `[events.allow]`.
    kind: &'static str,
    name: &'a str,
    patterns: &'a [Pattern],
    is_own: IsOwn,
}

/// Whether a service is configured with a name.
type IsOwn = fn(&Service, &EcsTask, &str) -> bool;

impl Allow {
    /// Checks that everything that an event names is either what this service is configured with, or allowed.
    ///
    /// It is one service that it is held against: the cluster of one with the task definition or the target group of another is
    /// a combination that nobody configured.
    ///
    /// # Errors
    /// `event.not_allowed`, with the first name that is not.
    pub fn check(&self, detail: &StartDetail, service: &Service) -> Result<(), Failure> {
        let refused = self.named(detail).find(|named| {
            let own = match &service.run {
                RunSpec::Ecs(task) => (named.is_own)(service, task, named.name),
                RunSpec::Process { .. } | RunSpec::Docker(_) => false,
            };
            !own && !named.patterns.iter().any(|pattern| pattern.matches(named.name))
        });
        refused.map_or(Ok(()), |named| Err(refusal(&named, service)))
    }

    fn named<'a>(&'a self, detail: &'a StartDetail) -> impl Iterator<Item = Named<'a>> {
        let all = |field, kind, names: &'a [String], patterns: &'a [Pattern], is_own: IsOwn| {
            names.iter().map(move |name| Named {
                field,
                kind,
                name,
                patterns,
                is_own,
            })
        };
        let groups = detail.target_group_arns.as_deref().unwrap_or_default();
        let subnets = detail.subnets.as_deref().unwrap_or_default();
        let security_groups = detail.security_groups.as_deref().unwrap_or_default();
        let cluster: IsOwn = |_, task, name| task.cluster == name;
        let definition: IsOwn = |_, task, name| is_definition(&task.task_definition, name);
        let container: IsOwn = |_, task, name| task.container.as_deref() == Some(name);
        let group: IsOwn = |service, _, name| matches!(&service.route, RouteRule::TargetGroups { arns, .. } if arns.iter().any(|own| own == name));
        let subnet: IsOwn = |_, task, name| task.subnets.iter().any(|own| own == name);
        let security_group: IsOwn = |_, task, name| task.security_groups.iter().any(|own| own == name);
        all(
            "cluster",
            "clusters",
            detail.cluster.as_slice(),
            &self.clusters,
            cluster,
        )
        .chain(all(
            "taskDefinition",
            "task_definitions",
            detail.task_definition.as_slice(),
            &self.task_definitions,
            definition,
        ))
        .chain(all(
            "targetGroupArn",
            "target_groups",
            detail.target_group_arn.as_slice(),
            &self.target_groups,
            group,
        ))
        .chain(all(
            "targetGroupArns",
            "target_groups",
            groups,
            &self.target_groups,
            group,
        ))
        .chain(all("subnets", "subnets", subnets, &self.subnets, subnet))
        .chain(all(
            "securityGroups",
            "security_groups",
            security_groups,
            &self.security_groups,
            security_group,
        ))
        .chain(all(
            "containerName",
            "containers",
            detail.container_name.as_slice(),
            &self.containers,
            container,
        ))
    }
}

/// Whether an event's task definition is the configured one: written the same way, or a revision of the configured family.
fn is_definition(configured: &str, named: &str) -> bool {
    let is_revision = |named: &str| {
        let (family, revision) = named.split_once(':').unwrap_or_default();
        family == configured && !revision.is_empty() && revision.bytes().all(|b| b.is_ascii_digit())
    };
    configured == named || (!configured.is_empty() && is_revision(named))
}

fn refusal(named: &Named<'_>, service: &Service) -> Failure {
    let Named { field, kind, name, .. } = named;
    let shown: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    Failure::new(
        Code::EventNotAllowed,
        format!(
            "the event names {shown:?} in \"{field}\", which is neither configured for the service {} nor allowed",
            service.name
        ),
    )
    .hint(format!(
        "take it out of the event, or allow it: [events] allow = {{ {kind} = [{shown:?}] }}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Ask, Event};
    use serde_json::{Value, json};

    fn service() -> Service {
        let json = json!({
            "name": "auth", "tenant": false, "singleton": false, "database": false, "port": {"kind": "dynamic"},
            "route": {"kind": "target_groups", "arns": ["arn:aws:elasticloadbalancing:x:1:targetgroup/auth/1"]},
            "health": {"path": "/", "interval": 1000, "timeout": 1000, "healthy": 1, "unhealthy": 3},
            "start_timeout": 1000, "stop_timeout": 1000, "drain_timeout": 1000, "identity_header": null, "environment": {},
            "run": {
                "platform": "ecs", "cluster": "auth-cluster", "task_definition": "auth-api-task", "container": "api",
                "subnets": ["subnet-1"], "security_groups": ["sg-1"], "assign_public_ip": true
            },
        });
        serde_json::from_value(json).expect("a service")
    }

    fn detail(value: &Value) -> StartDetail {
        match Event::parse(value).expect("an event").ask {
            Ask::Start(detail) => *detail,
            ask => panic!("{ask:?} is no start"),
        }
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::new(text).expect(text)).collect()
    }

    #[test]
    fn a_star_stands_for_any_text() {
        let cases = [
            ("auth-*", "auth-cluster", true),
            ("auth-*", "auth-", true),
            ("auth-*", "oauth-cluster", false),
            ("*", "", true),
            ("*-a-*-b", "x-a-y-b", true),
            ("*-a-*-b", "x-a-b", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "abcbc", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ];
        for (pattern, text, fits) in cases {
            assert_eq!(patterns(&[pattern])[0].matches(text), fits, "{pattern} {text}");
        }
        assert_eq!(Pattern::new(""), None);
        assert_eq!(Pattern::new("a b"), None);
    }

    #[test]
    fn an_event_names_what_its_service_is_configured_with() {
        let own = json!({
            "service": "auth", "cluster": "auth-cluster", "taskDefinition": "auth-api-task:7", "subnets": ["subnet-1"],
            "targetGroupArn": "arn:aws:elasticloadbalancing:x:1:targetgroup/auth/1", "securityGroups": ["sg-1"],
            "containerName": "api", "port": 9090,
        });
        assert_eq!(Allow::default().check(&detail(&own), &service()), Ok(()));
        assert_eq!(Allow::default().check(&detail(&json!({})), &service()), Ok(()));
    }

    #[test]
    fn whatever_else_an_event_names_is_refused_unless_a_pattern_of_its_kind_allows_it() {
        let cases = [
            (json!({"cluster": "other"}), "cluster", "clusters"),
            (
                json!({"taskDefinition": "auth-api-task:latest"}),
                "taskDefinition",
                "task_definitions",
            ),
            (
                json!({"taskDefinition": "other:1"}),
                "taskDefinition",
                "task_definitions",
            ),
            (json!({"targetGroupArn": "arn:x"}), "targetGroupArn", "target_groups"),
            (
                json!({"targetGroupArns": ["arn:x"]}),
                "targetGroupArns",
                "target_groups",
            ),
            (json!({"subnets": ["subnet-1", "subnet-2"]}), "subnets", "subnets"),
            (json!({"securityGroups": ["sg-2"]}), "securityGroups", "security_groups"),
            (json!({"containerName": "sidecar"}), "containerName", "containers"),
        ];
        for (event, field, kind) in cases {
            let event = detail(&event);
            let failure = Allow::default().check(&event, &service()).expect_err(field);
            assert_eq!(failure.code, Code::EventNotAllowed);
            assert!(failure.message.contains(&format!("\"{field}\"")), "{}", failure.message);
            let hint = failure.hint.expect("a hint");
            assert!(hint.contains(&format!("{kind} = [")), "{hint}");
            let of_kind: Allow = serde_json::from_value(json!({kind: ["*"]})).expect("a kind");
            assert_eq!(of_kind.check(&event, &service()), Ok(()), "{kind}");
        }
        let allow = Allow {
            clusters: patterns(&["team-*"]),
            ..Allow::default()
        };
        assert_eq!(allow.check(&detail(&json!({"cluster": "team-a"})), &service()), Ok(()));
        assert!(
            allow
                .check(&detail(&json!({"taskDefinition": "team-a"})), &service())
                .is_err()
        );
    }

    #[test]
    fn a_process_is_configured_with_nothing_of_ecs() {
        let mut process = service();
        process.run = RunSpec::Process {
            command: vec!["auth".into()],
            memory: None,
            directory: None,
        };
        assert!(
            Allow::default()
                .check(&detail(&json!({"cluster": ""})), &process)
                .is_err()
        );
    }
}
