//! The IAM policy that a deployment of Wharf needs, made from the table of operations: what is called is allowed, and nothing else,
//! each on as little as AWS lets one name. No action is written here by hand.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

use crate::operations::{Operation, Part, Scope};

/// What a deployment names. Any text may hold CloudFormation's pseudo parameters (`${AWS::Region}`), for a template that substitutes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `aws`, unless it is another partition.
    pub partition: String,
    pub region: String,
    pub account: String,
    pub parts: BTreeSet<Part>,
    /// Names or ARNs.
    pub clusters: Vec<String>,
    /// Families, ARNs, or either with a revision.
    pub task_definitions: Vec<String>,
    /// ARNs of the task definitions' task and execution roles.
    pub task_roles: Vec<String>,
    /// ARNs.
    pub target_groups: Vec<String>,
    /// ARNs.
    pub listeners: Vec<String>,
    /// Names or ARNs.
    pub tables: Vec<String>,
    /// ARNs.
    pub queues: Vec<String>,
    /// Name patterns or ARNs of the secrets that Wharf makes for instances, `wharf/*` for one.
    pub instance_secrets: Vec<String>,
    /// ARNs of secrets that Wharf only reads.
    pub own_secrets: Vec<String>,
    /// Names or ARNs of the functions that make databases.
    pub database_functions: Vec<String>,
    /// Names.
    pub log_groups: Vec<String>,
}

/// What has to be allowed on which resources, for these parts.
#[must_use]
pub fn actions_by_scope(parts: &BTreeSet<Part>) -> BTreeMap<Scope, BTreeSet<&'static str>> {
    let mut by_scope: BTreeMap<Scope, BTreeSet<&str>> = BTreeMap::new();
    for operation in Operation::ALL {
        let row = operation.row();
        if parts.contains(&row.part) {
            for grant in row.grants {
                by_scope.entry(grant.scope).or_default().insert(grant.action);
            }
        }
    }
    by_scope
}

/// The policy document. A scope of which the parameters name nothing has no statement.
#[must_use]
pub fn policy(parameters: &Parameters) -> Value {
    let statements: Vec<Value> = actions_by_scope(&parameters.parts)
        .into_iter()
        .filter_map(|(scope, actions)| statement(scope, &actions, parameters))
        .collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn statement(scope: Scope, actions: &BTreeSet<&str>, parameters: &Parameters) -> Option<Value> {
    let (resources, condition) = parameters.of(scope);
    if resources.is_empty() {
        return None;
    }
    let mut statement = json!({
        "Sid": format!("{scope:?}"),
        "Effect": "Allow",
        "Action": actions,
        "Resource": resources,
    });
    if let Some(condition) = condition {
        statement["Condition"] = condition;
    }
    Some(statement)
}

impl Parameters {
    /// Resources, and what a condition holds them to.
    fn of(&self, scope: Scope) -> (Vec<String>, Option<Value>) {
        let in_clusters = || json!({"ArnEquals": {"ecs:cluster": self.clusters()}});
        let created_by = |key: &str, action: &str| json!({"StringEquals": {key: action}});
        match scope {
            Scope::Clusters => (self.clusters(), None),
            Scope::TaskDefinitions => {
                let families = self.families().flat_map(|family| {
                    [
                        self.arn("ecs", &format!("task-definition/{family}:*")),
                        self.arn("ecs", &format!("task-definition/{}:*", derived_family(&family))),
                    ]
                });
                (families.collect(), Some(in_clusters()))
            }
            Scope::DerivedTaskDefinitions => (self.derived(), None),
            Scope::NewTaskDefinitions => {
                let condition = created_by("ecs:CreateAction", Operation::EcsRegisterTaskDefinition.name());
                (self.derived(), Some(condition))
            }
            Scope::Tasks => (self.in_each_cluster("task"), Some(in_clusters())),
            Scope::NewTasks => {
                let condition = created_by("ecs:CreateAction", Operation::EcsRunTask.name());
                (self.in_each_cluster("task"), Some(condition))
            }
            Scope::ContainerInstances => (self.in_each_cluster("container-instance"), Some(in_clusters())),
            Scope::AnyInClusters => (vec!["*".to_owned()], Some(in_clusters())),
            Scope::TaskRoles => {
                let condition = json!({"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}});
                (self.task_roles.clone(), Some(condition))
            }
            Scope::TargetGroups => (self.target_groups.clone(), None),
            Scope::Listeners => (self.listeners.clone(), None),
            Scope::ListenerRules => (self.listener_rules(), None),
            Scope::NewListenerRules => {
                let key = "elasticloadbalancing:CreateAction";
                let condition = created_by(key, Operation::ElbCreateRule.name());
                (self.listener_rules(), Some(condition))
            }
            Scope::Tables => (self.tables(), None),
            Scope::Indexes => {
                let indexes = self.tables().into_iter().map(|table| format!("{table}/index/*"));
                (indexes.collect(), None)
            }
            Scope::Queues => (self.queues.clone(), None),
            Scope::SecretsOfInstances => {
                let secrets = self.instance_secrets.iter();
                let secrets = secrets.map(|name| self.arn_of("secretsmanager", "secret:", name));
                (secrets.collect(), None)
            }
            Scope::SecretsOfWharf => (self.own_secrets.clone(), None),
            Scope::DatabasesFunction => {
                let functions = self.database_functions.iter();
                let functions = functions.map(|name| self.arn_of("lambda", "function:", name));
                (functions.collect(), None)
            }
            Scope::LogStreams => {
                let groups = self.log_groups.iter();
                let groups = groups.map(|group| self.arn("logs", &format!("log-group:{group}:log-stream:*")));
                (groups.collect(), None)
            }
            Scope::Everything => (vec!["*".to_owned()], None),
        }
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        let Self {
            partition,
            region,
            account,
            ..
        } = self;
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }

    /// Of what is a name, or an ARN already.
    fn arn_of(&self, service: &str, kind: &str, name: &str) -> String {
        if name.starts_with("arn:") {
            name.to_owned()
        } else {
            self.arn(service, &format!("{kind}{name}"))
        }
    }

    fn clusters(&self) -> Vec<String> {
        let clusters = self.clusters.iter();
        clusters.map(|name| self.arn_of("ecs", "cluster/", name)).collect()
    }

    fn in_each_cluster(&self, kind: &str) -> Vec<String> {
        let names = self.clusters.iter().map(|cluster| last_part(cluster));
        names.map(|name| self.arn("ecs", &format!("{kind}/{name}/*"))).collect()
    }

    fn families(&self) -> impl Iterator<Item = String> {
        let families: BTreeSet<&str> = self.task_definitions.iter().map(|name| family_of(name)).collect();
        families.into_iter().map(str::to_owned)
    }

    fn derived(&self) -> Vec<String> {
        self.families()
            .map(|family| self.arn("ecs", &format!("task-definition/{}:*", derived_family(&family))))
            .collect()
    }

    fn listener_rules(&self) -> Vec<String> {
        let listeners = self.listeners.iter();
        listeners
            .map(|listener| format!("{}/*", listener.replacen(":listener/", ":listener-rule/", 1)))
            .collect()
    }

    fn tables(&self) -> Vec<String> {
        let tables = self.tables.iter();
        tables.map(|name| self.arn_of("dynamodb", "table/", name)).collect()
    }
}

/// What every family that is derived from this one matches (`ecs/derived.rs` names them).
fn derived_family(family: &str) -> String {
    format!("{family}{}*", crate::ecs::DERIVED_MARK)
}

/// The name at an ARN's end, or the name itself.
fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The family of a task definition's ARN or name, with or without a revision.
fn family_of(name: &str) -> &str {
    let name = last_part(name);
    match name.rsplit_once(':') {
        // What follows the last colon of `${AWS::StackName}` is no revision.
        Some((family, revision)) if !revision.ends_with('}') => family,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        let text = |texts: &[&str]| texts.iter().copied().map(str::to_owned).collect::<Vec<_>>();
        Parameters {
            partition: "aws".into(),
            region: "eu-central-1".into(),
            account: "111122223333".into(),
            parts: [
                Part::Tasks,
                Part::StaticPorts,
                Part::Targets,
                Part::ListenerRules,
                Part::Addresses,
                Part::Logs,
            ]
            .into(),
            clusters: text(&["shop", "arn:aws:ecs:eu-central-1:111122223333:cluster/other"]),
            task_definitions: text(&["storefront", "auth:7"]),
            task_roles: text(&["arn:aws:iam::111122223333:role/task"]),
            target_groups: text(&[
                "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/auth/0123456789abcdef",
            ]),
            listeners: text(&["arn:aws:elasticloadbalancing:eu-central-1:111122223333:listener/app/main/1/2"]),
            log_groups: text(&["/ecs/shop"]),
            ..Parameters::default()
        }
    }

    fn statement_of<'a>(policy: &'a Value, action: &str) -> &'a Value {
        let statements = policy["Statement"].as_array().expect("statements");
        let mut found = statements
            .iter()
            .filter(|statement| statement["Action"].as_array().expect("a list").contains(&json!(action)));
        let statement = found.next().unwrap_or_else(|| panic!("{action} is allowed"));
        assert!(found.next().is_none(), "{action} is allowed once");
        statement
    }

    #[test]
    fn every_operation_of_a_part_is_allowed_and_no_other() {
        let parameters = parameters();
        let policy = policy(&parameters);
        let allowed: BTreeSet<&str> = policy["Statement"]
            .as_array()
            .expect("statements")
            .iter()
            .flat_map(|statement| statement["Action"].as_array().expect("a list"))
            .filter_map(Value::as_str)
            .collect();
        for operation in Operation::ALL {
            let wanted = parameters.parts.contains(&operation.row().part);
            assert_eq!(allowed.contains(operation.action()), wanted, "{operation:?}");
        }
    }

    #[test]
    fn roles_are_passed_to_tasks_and_to_nothing_else() {
        let policy = policy(&parameters());
        let statement = statement_of(&policy, "iam:PassRole");
        assert_eq!(statement["Resource"], json!(["arn:aws:iam::111122223333:role/task"]));
        assert_eq!(
            statement["Condition"],
            json!({"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}})
        );
    }

    #[test]
    fn without_roles_none_is_passed() {
        let parameters = Parameters {
            task_roles: Vec::new(),
            ..parameters()
        };
        assert!(!policy(&parameters).to_string().contains("iam:PassRole"));
    }

    #[test]
    fn tasks_are_started_from_the_named_definitions_in_the_named_clusters() {
        let policy = policy(&parameters());
        let run = statement_of(&policy, "ecs:RunTask");
        let resources = run["Resource"].as_array().expect("a list");
        for definition in ["auth:*", "auth-wharf-*:*", "storefront:*"] {
            let arn = format!("arn:aws:ecs:eu-central-1:111122223333:task-definition/{definition}");
            assert!(resources.contains(&json!(arn)), "{arn} in {resources:?}");
        }
        assert_eq!(
            run["Condition"]["ArnEquals"]["ecs:cluster"],
            json!([
                "arn:aws:ecs:eu-central-1:111122223333:cluster/shop",
                "arn:aws:ecs:eu-central-1:111122223333:cluster/other"
            ])
        );
        let stop = statement_of(&policy, "ecs:StopTask");
        assert_eq!(
            stop["Resource"],
            json!([
                "arn:aws:ecs:eu-central-1:111122223333:task/shop/*",
                "arn:aws:ecs:eu-central-1:111122223333:task/other/*"
            ])
        );
        let list = statement_of(&policy, "ecs:ListTasks");
        assert_eq!(list["Resource"], json!(["*"]));
        assert!(list["Condition"]["ArnEquals"]["ecs:cluster"].is_array());
    }

    #[test]
    fn tags_are_given_only_to_what_is_being_made() {
        let policy = policy(&parameters());
        let statements = policy["Statement"].as_array().expect("statements");
        let tagging = statements.iter().filter(|statement| {
            statement["Action"].to_string().contains("Tag") && !statement["Action"].to_string().contains("Describe")
        });
        let mut count = 0;
        for statement in tagging {
            assert!(
                statement["Condition"].to_string().contains("CreateAction"),
                "{statement}"
            );
            count += 1;
        }
        assert_eq!(count, 3);
    }

    #[test]
    fn a_template_s_names_are_not_taken_for_revisions() {
        assert_eq!(family_of("${AWS::StackName}"), "${AWS::StackName}");
        assert_eq!(family_of("${Family}:7"), "${Family}");
        assert_eq!(family_of("arn:aws:ecs:eu-central-1:1:task-definition/auth:12"), "auth");
    }
}
