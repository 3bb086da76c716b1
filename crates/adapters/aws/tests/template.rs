//! The stack that is deployed, held against what this crate calls and where it keeps things: `deploy/template.yaml` is written by hand, but for
//! the policy of what the function calls.

use std::{collections::BTreeSet, time::Duration};
use wharf_aws::{
    operations::{Operation, Part, Scope},
    policy::actions_by_scope,
    store::tables::{Attribute, PORTS, REGISTRY, Table, WHARF},
};
use wharf_platform::databases::call::{ANSWER_WITHIN, CALL_WITHIN};

const TEMPLATE: &str = include_str!("../../../../deploy/template.yaml");

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("there is no {start}"));
    rest.split_once(end).map_or(rest, |(inside, _)| inside)
}

/// What the function does: all but listening to the queue, which Lambda does for it, and `wharf doctor`.
const PARTS: [Part; 10] = [
    Part::Tasks,
    Part::StaticPorts,
    Part::Addresses,
    Part::Targets,
    Part::ListenerRules,
    Part::Registry,
    Part::Queue,
    Part::Secrets,
    Part::Databases,
    Part::Logs,
];

/// A scope in the template's words.
#[derive(Default)]
struct InTemplate {
    /// Lines below `Resource`.
    resources: Vec<String>,
    condition: Option<String>,
    only_if: Option<&'static str>,
}

impl InTemplate {
    fn of(resources: Vec<String>) -> Self {
        Self {
            resources,
            ..Self::default()
        }
    }

    fn under(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }
}

/// For each item of a parameter that is a list, what stands before and after it. CloudFormation fills nothing else into a list, so that
/// partition, region and account stay open.
fn each(parameter: &str, forms: &[(&str, &str)]) -> Vec<String> {
    let items = ["names", "again"];
    let text: Vec<String> = forms
        .iter()
        .zip(&items)
        .map(|((before, after), item)| format!("{before}${{{item}}}{after}"))
        .collect();
    let joined: Vec<String> = forms
        .iter()
        .zip(&items)
        .map(|((before, after), item)| format!("{item}: !Join [\"{after},{before}\", !Ref {parameter}]"))
        .collect();
    vec![
        "!Split".to_owned(),
        "  - \",\"".to_owned(),
        "  - !Sub".to_owned(),
        format!("    - \"{}\"", text.join(",")),
        format!("    - {{ {} }}", joined.join(", ")),
    ]
}

/// An ARN of this account and region.
fn own(service: &str, resource: &str) -> String {
    format!("!Sub arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}")
}

fn table(made: &str, resource: &str) -> String {
    let name = format!("!If [Makes{made}, !Ref {made}, !Ref Existing{made}]");
    format!(
        "- !Sub [\"arn:${{AWS::Partition}}:dynamodb:${{AWS::Region}}:${{AWS::AccountId}}:table/${{name}}{resource}\", {{ name: {name} }}]"
    )
}

fn in_template(scope: Scope) -> InTemplate {
    const CLUSTERS: &str = "ArnLike: { ecs:cluster: !Split [\",\", !Sub [\"arn:*:ecs:*:*:cluster/${names}\", { names: !Join [\",arn:*:ecs:*:*:cluster/\", !Ref AllowedClusters] }]] }";
    let derived = ("arn:*:ecs:*:*:task-definition/", "-wharf-*:*");
    let tasks = || each("AllowedClusters", &[("arn:*:ecs:*:*:task/", "/*")]);
    let rules = || own("elasticloadbalancing", "listener-rule/*/${AllowedLoadBalancers}/*");
    let made_by = |key: &str, operation: Operation| format!("StringEquals: {{ {key}: {} }}", operation.name());
    let only_with_rules = |resource: String| InTemplate {
        only_if: Some("MakesRules"),
        ..InTemplate::of(vec![resource])
    };
    match scope {
        Scope::TaskDefinitions => InTemplate::of(each(
            "AllowedTaskDefinitions",
            &[("arn:*:ecs:*:*:task-definition/", ":*"), derived],
        ))
        .under(CLUSTERS),
        Scope::DerivedTaskDefinitions => InTemplate::of(each("AllowedTaskDefinitions", &[derived])),
        Scope::NewTaskDefinitions => InTemplate::of(each("AllowedTaskDefinitions", &[derived]))
            .under(made_by("ecs:CreateAction", Operation::EcsRegisterTaskDefinition)),
        Scope::Tasks => InTemplate::of(tasks()).under(CLUSTERS),
        Scope::NewTasks => InTemplate::of(tasks()).under(made_by("ecs:CreateAction", Operation::EcsRunTask)),
        Scope::ContainerInstances => {
            InTemplate::of(each("AllowedClusters", &[("arn:*:ecs:*:*:container-instance/", "/*")])).under(CLUSTERS)
        }
        Scope::AnyInClusters => InTemplate::of(vec!["\"*\"".to_owned()]).under(CLUSTERS),
        Scope::TaskRoles => InTemplate::of(each("AllowedTaskRoles", &[("arn:*:iam::*:role/", "")]))
            .under("StringEquals: { iam:PassedToService: ecs-tasks.amazonaws.com }"),
        Scope::TargetGroups => InTemplate::of(each(
            "AllowedTargetGroups",
            &[("arn:*:elasticloadbalancing:*:*:targetgroup/", "/*")],
        )),
        Scope::Listeners => only_with_rules(own("elasticloadbalancing", "listener/*/${AllowedLoadBalancers}/*")),
        Scope::ListenerRules => only_with_rules(rules()),
        Scope::NewListenerRules => {
            only_with_rules(rules()).under(made_by("elasticloadbalancing:CreateAction", Operation::ElbCreateRule))
        }
        Scope::Tables => InTemplate::of(
            ["Table", "RegistryTable", "PortsTable"]
                .map(|made| table(made, ""))
                .into(),
        ),
        Scope::Indexes => InTemplate::of(["Table", "PortsTable"].map(|made| table(made, "/index/*")).into()),
        Scope::Queues => InTemplate::of(vec!["!GetAtt WakeQueue.Arn".to_owned()]),
        Scope::SecretsOfInstances => InTemplate::of(vec![own("secretsmanager", "secret:wharf/${Stage}/inst_*")]),
        // Secrets Manager ends a secret's ARN in a dash and six characters of its own.
        Scope::SecretsOfWharf => InTemplate::of(vec![
            format!(
                "- {}",
                own("secretsmanager", "secret:wharf/${Stage}/admin-token-??????")
            ),
            // What webhooks are signed with.
            format!("- {}", own("secretsmanager", "secret:wharf/${Stage}/webhook-*")),
            "- !If".to_owned(),
            "  - MakesTokenKey".to_owned(),
            format!(
                "  - {}",
                own("secretsmanager", "secret:wharf/${Stage}/token-key-??????")
            ),
            format!(
                "  - {}",
                own("secretsmanager", "secret:${ExistingTokenKeySecret}-??????")
            ),
            "- !If".to_owned(),
            "  - HasResend".to_owned(),
            format!("  - {}", own("secretsmanager", "secret:${ResendSecret}-??????")),
            "  - !Ref AWS::NoValue".to_owned(),
            "- !If".to_owned(),
            "  - HasDatabases".to_owned(),
            format!("  - {}", own("secretsmanager", "secret:${PostgresSecret}-??????")),
            "  - !Ref AWS::NoValue".to_owned(),
        ]),
        Scope::DatabasesFunction => InTemplate {
            only_if: Some("HasDatabases"),
            ..InTemplate::of(vec!["!GetAtt DatabasesFunction.Arn".to_owned()])
        },
        Scope::LogStreams => InTemplate::of(each(
            "AllowedLogGroups",
            &[("arn:*:logs:*:*:log-group:", ":log-stream:*")],
        )),
        Scope::Everything => InTemplate::of(vec!["\"*\"".to_owned()]),
        Scope::Clusters => panic!("only `wharf doctor` looks at {scope:?}, and it does not run in the function"),
    }
}

/// One statement, in lines.
fn statement(scope: Scope, actions: &BTreeSet<&str>) -> Vec<String> {
    let InTemplate {
        resources,
        condition,
        only_if,
    } = in_template(scope);
    let mut lines = vec![
        format!("Sid: {scope:?}"),
        "Effect: Allow".to_owned(),
        "Action:".to_owned(),
    ];
    lines.extend(actions.iter().map(|action| format!("  - {action}")));
    let is_list = resources[0].starts_with("- ");
    if is_list {
        lines.push("Resource:".to_owned());
    }
    for (number, resource) in resources.iter().enumerate() {
        lines.push(match number {
            0 if !is_list => format!("Resource: {resource}"),
            _ if is_list => format!("  {resource}"),
            _ => resource.clone(),
        });
    }
    lines.extend(condition.map(|condition| format!("Condition: {{ {condition} }}")));
    let item = |lines: Vec<String>| -> Vec<String> {
        let numbered = lines.into_iter().enumerate();
        numbered
            .map(|(number, line)| format!("{}{line}", if number == 0 { "- " } else { "  " }))
            .collect()
    };
    let Some(condition) = only_if else {
        return item(lines);
    };
    let mut choice = vec!["- !If".to_owned(), format!("  - {condition}")];
    choice.extend(item(lines).into_iter().map(|line| format!("  {line}")));
    choice.push("  - !Ref AWS::NoValue".to_owned());
    choice
}

/// Everything between the marks.
fn section() -> String {
    let indent = " ".repeat(14);
    let mut lines = vec![
        "# Made from the operations that wharf-aws calls (operations.rs), by the test that compares the two:"
            .to_owned(),
        "# WHARF_BLESS=1 cargo nextest run -p wharf-aws the_functions_policy".to_owned(),
    ];
    for (scope, actions) in actions_by_scope(&PARTS.into()) {
        lines.extend(statement(scope, &actions));
    }
    let lines: Vec<String> = lines.into_iter().map(|line| format!("{indent}{line}")).collect();
    lines.join("\n") + "\n"
}

#[test]
fn the_functions_policy_is_made_from_the_operations_that_it_calls() {
    const START: &str = "              # >>> operations\n";
    const END: &str = "              # <<< operations\n";
    let made = section();
    if std::env::var_os("WHARF_BLESS").is_some() {
        let (before, rest) = TEMPLATE.split_once(START).expect("it begins");
        let (_, after) = rest.split_once(END).expect("it ends");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../deploy/template.yaml");
        std::fs::write(path, format!("{before}{START}{made}{END}{after}")).expect("written");
        return;
    }
    assert!(
        between(TEMPLATE, START, END) == made,
        "deploy/template.yaml has another policy than the table of operations makes: WHARF_BLESS=1 writes it anew\n{made}"
    );
}

#[test]
fn the_function_of_databases_outlasts_its_work_and_is_outwaited() {
    let section = between(TEMPLATE, "\n  DatabasesFunction:\n", "\n\n");
    let seconds = between(section, "\n      Timeout: ", "\n").parse().expect("seconds");
    let timeout = Duration::from_secs(seconds);
    assert!(ANSWER_WITHIN < timeout && timeout < CALL_WITHIN);
}

/// A table as the template writes it.
fn written(table: &Table) -> Vec<String> {
    let pair = |name: &str, kind: &str| format!("{{ AttributeName: {name}, KeyType: {kind} }}");
    let keys = |partition: Attribute, sort: Option<Attribute>| {
        let sort = sort
            .map(|sort| format!(", {}", pair(sort.name(), "RANGE")))
            .unwrap_or_default();
        format!("KeySchema: [{}{sort}]", pair(partition.name(), "HASH"))
    };
    let mut lines = vec![keys(table.partition, table.sort)];
    let mut attributes = vec![table.partition];
    attributes.extend(table.sort);
    for index in table.indexes {
        attributes.extend([index.partition, index.sort]);
        lines.push(format!("IndexName: {}\n", index.name));
        lines.push(keys(index.partition, Some(index.sort)));
        lines.push(if index.includes.is_empty() {
            "Projection: { ProjectionType: KEYS_ONLY }".to_owned()
        } else {
            format!(
                "Projection: {{ ProjectionType: INCLUDE, NonKeyAttributes: [{}] }}",
                index.includes.join(", ")
            )
        });
    }
    lines.extend(attributes.iter().map(|attribute| {
        format!(
            "{{ AttributeName: {}, AttributeType: {} }}",
            attribute.name(),
            attribute.kind()
        )
    }));
    if let Some(attribute) = table.time_to_live {
        lines.push(format!(
            "TimeToLiveSpecification: {{ AttributeName: {attribute}, Enabled: true }}"
        ));
    }
    if table.point_in_time_recovery {
        lines.push("PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true }".to_owned());
    }
    lines
}

#[test]
fn the_stacks_tables_are_those_that_the_store_makes() {
    for (name, table) in [("Table", &WHARF), ("RegistryTable", &REGISTRY), ("PortsTable", &PORTS)] {
        let section = between(TEMPLATE, &format!("\n  {name}:\n"), "\n\n");
        for line in written(table) {
            assert!(section.contains(&line), "{name} lacks {line}");
        }
        assert_eq!(section.matches("IndexName:").count(), table.indexes.len(), "{name}");
        let attributes: BTreeSet<_> = section.split("AttributeType").collect();
        assert_eq!(
            attributes.len() - 1,
            written(table)
                .iter()
                .filter(|line| line.contains("AttributeType"))
                .collect::<BTreeSet<_>>()
                .len(),
            "{name} has no attribute that nothing is keyed by"
        );
    }
}
