//! What the role may do. Reads are tried by the looks themselves; what changes something has no dry run on ECS and ELBv2, so IAM is asked
//! what it would say. What is asked for is the generated policy (`crate::policy`), statement by statement: no action is listed here.

use roxmltree::{Document, Node};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use wharf_domain::{Code, Failure, service::PortRule};

use super::{Deployment, case::Case, finding::Notes, look::Who, reader::Reader, world::World};
use crate::{
    operations::{Operation, Part},
    policy::{Parameters, policy},
    signed::{IAM, IAM_REGION, Question},
};

const VERSION: &str = "2010-05-08";
const WHAT: &str = "permissions";

/// An action that IAM would not allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Denied {
    action: String,
    resource: String,
}

pub(super) async fn check(
    reader: &Reader,
    who: &Who,
    deployment: &Deployment<'_>,
    cases: &[Case<'_>],
    world: &World,
    notes: &mut Notes,
) {
    let Some(identity) = &who.identity else { return };
    let hint = "reads were tried; allow the action iam:SimulatePrincipalPolicy on the role itself to have changes checked too, or hold its \
                policy against the one that `wharf deploy` renders";
    let Some(principal) = principal(&identity.arn) else {
        notes.warn(
            WHAT,
            format!(
                "what changes something was not tried (RunTask has no dry run), and IAM cannot be asked about {}",
                identity.arn
            ),
            hint,
        );
        return;
    };
    let document = policy(&parameters(&identity.account, who, deployment, cases, world));
    let (mut denied, mut asked) = (BTreeSet::new(), BTreeSet::new());
    for statement in document["Statement"].as_array().into_iter().flatten() {
        asked.extend(texts(&statement["Action"]));
        match simulate(reader, &principal, statement).await {
            Ok(found) => denied.extend(found),
            Err(failure) => {
                notes.warn(
                    WHAT,
                    format!("what changes something was not tried (RunTask has no dry run), and IAM was not to be asked: {failure}"),
                    hint,
                );
                return;
            }
        }
    }
    if denied.is_empty() {
        notes.ok(
            WHAT,
            format!(
                "IAM allows {principal} all {} actions that Wharf calls (asked of IAM: RunTask has no dry run)",
                asked.len()
            ),
        );
    }
    let mut by_action: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Denied { action, resource } in denied {
        by_action.entry(action).or_default().push(resource);
    }
    for (action, resources) in by_action {
        let resources = resources.join(", ");
        notes.fail(
            format!("permission {action}"),
            format!("IAM would not allow it to {principal} on {resources}"),
            format!("allow the action {action} on {resources} in the role's IAM policy"),
        );
    }
}

async fn simulate(reader: &Reader, principal: &str, statement: &Value) -> Result<Vec<Denied>, Failure> {
    let mut parameters = vec![("PolicySourceArn".to_owned(), principal.to_owned())];
    for (number, action) in (1..).zip(texts(&statement["Action"])) {
        parameters.push((format!("ActionNames.member.{number}"), action));
    }
    for (number, resource) in (1..).zip(texts(&statement["Resource"])) {
        parameters.push((format!("ResourceArns.member.{number}"), resource));
    }
    let conditions = statement["Condition"].as_object().into_iter().flatten();
    let keys = conditions.filter_map(|(_, keys)| keys.as_object()).flatten();
    for (number, (key, values)) in (1..).zip(keys) {
        let entry = format!("ContextEntries.member.{number}");
        parameters.push((format!("{entry}.ContextKeyName"), key.clone()));
        parameters.push((format!("{entry}.ContextKeyType"), "string".to_owned()));
        // Any of them is as good: the calls that are made have one of them.
        let value = texts(values).into_iter().next().unwrap_or_default();
        parameters.push((format!("{entry}.ContextKeyValues.member.1"), value));
    }
    let operation = Operation::IamSimulatePrincipalPolicy;
    let question = Question {
        region: Some(IAM_REGION.to_owned()),
        ..Question::query(IAM, operation.name(), VERSION, &parameters)
    };
    let call = reader.signed.ask(operation, principal, reader.until(), &question);
    let answer = reader.limited(operation, call).await?;
    let document = Document::parse(&answer).map_err(|error| {
        Failure::new(
            Code::AwsUnavailable,
            format!("{}'s answer is not XML: {error}", operation.action()),
        )
    })?;
    Ok(denied(&document))
}

/// A decision for each action on each resource; of several resources they stand below that of the action.
fn denied(document: &Document<'_>) -> Vec<Denied> {
    let text = |node: Node<'_, '_>, name: &str| {
        let child = node.children().find(|child| child.tag_name().name() == name)?;
        Some(child.text()?.trim().to_owned())
    };
    let results = document
        .descendants()
        .filter(|node| node.tag_name().name() == "member" && text(*node, "EvalDecision").is_some());
    let mut denied = Vec::new();
    for result in results {
        let action = text(result, "EvalActionName").unwrap_or_default();
        let mut of_resources = result
            .descendants()
            .filter(|node| text(*node, "EvalResourceDecision").is_some())
            .peekable();
        if of_resources.peek().is_none() {
            if text(result, "EvalDecision").is_some_and(|decision| decision != "allowed") {
                let resource = text(result, "EvalResourceName").unwrap_or_else(|| "*".to_owned());
                denied.push(Denied { action, resource });
            }
            continue;
        }
        for one in
            of_resources.filter(|one| text(*one, "EvalResourceDecision").is_some_and(|decision| decision != "allowed"))
        {
            denied.push(Denied {
                action: action.clone(),
                resource: text(one, "EvalResourceName").unwrap_or_else(|| "*".to_owned()),
            });
        }
    }
    denied
}

/// What the deployment would need if it was one with this configuration.
fn parameters(account: &str, who: &Who, deployment: &Deployment<'_>, cases: &[Case<'_>], world: &World) -> Parameters {
    let mut parts = BTreeSet::from([Part::Tasks, Part::Logs]);
    let mut part = |is_used: bool, part: Part| {
        if is_used {
            parts.insert(part);
        }
    };
    part(deployment.tables.is_some(), Part::Registry);
    part(deployment.queue_url.is_some(), Part::Queue);
    part(!deployment.secrets.is_empty(), Part::Secrets);
    part(deployment.databases_function.is_some(), Part::Databases);
    part(cases.iter().any(|case| !case.arns.is_empty()), Part::Targets);
    part(cases.iter().any(|case| case.rule.is_some()), Part::ListenerRules);
    part(cases.iter().any(|case| !case.is_awsvpc()), Part::Addresses);
    part(
        cases
            .iter()
            .any(|case| !case.is_awsvpc() && matches!(case.service.port, PortRule::Static { .. })),
        Part::StaticPorts,
    );
    let definitions = || cases.iter().filter_map(|case| case.definition);
    let roles = definitions().flat_map(|definition| {
        let source = &definition.source;
        [source.task_role_arn(), source.execution_role_arn()]
    });
    let groups = definitions().flat_map(|definition| &definition.containers);
    let groups = groups.filter_map(|container| Some(container.logs.as_ref()?.group.clone()));
    let (partition, region) = (partition(&who.region), who.region.clone());
    let queue = deployment.queue_url.and_then(|url| url.rsplit('/').next());
    let each = |texts: BTreeSet<String>| texts.into_iter().collect::<Vec<_>>();
    Parameters {
        queues: queue
            .map(|name| format!("arn:{partition}:sqs:{region}:{account}:{name}"))
            .into_iter()
            .collect(),
        partition: partition.to_owned(),
        region,
        account: account.to_owned(),
        parts,
        clusters: each(world.clusters.keys().cloned().collect()),
        task_definitions: each(world.definitions.keys().cloned().collect()),
        task_roles: each(roles.flatten().map(str::to_owned).collect()),
        target_groups: each(cases.iter().flat_map(|case| case.arns).cloned().collect()),
        listeners: each(world.listeners.keys().cloned().collect()),
        tables: each(world.tables.keys().cloned().collect()),
        instance_secrets: Vec::new(),
        own_secrets: deployment
            .secrets
            .iter()
            .map(|(_, name)| (*name).to_owned())
            .filter(|name| name.starts_with("arn:"))
            .collect(),
        database_functions: deployment.databases_function.into_iter().map(str::to_owned).collect(),
        log_groups: each(groups.collect()),
    }
}

/// The ARN of the user or role whose policies count. A role's session does not tell the role's path: such a role is not found, and IAM
/// says so. The root user has no policies.
fn principal(arn: &str) -> Option<String> {
    let mut parts = arn.splitn(6, ':');
    let (_, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (_, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    match (service, resource.split('/').collect::<Vec<_>>().as_slice()) {
        ("sts", ["assumed-role", role, _]) => Some(format!("arn:{partition}:iam::{account}:role/{role}")),
        ("iam", ["user" | "role", ..]) => Some(arn.to_owned()),
        _ => None,
    }
}

fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// A text, or a list of them.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_those_of_the_role_behind_a_session() {
        assert_eq!(
            principal("arn:aws:sts::111122223333:assumed-role/wharf/session").as_deref(),
            Some("arn:aws:iam::111122223333:role/wharf")
        );
        assert_eq!(
            principal("arn:aws:iam::111122223333:user/ops/anna").as_deref(),
            Some("arn:aws:iam::111122223333:user/ops/anna")
        );
        assert_eq!(principal("arn:aws:iam::111122223333:root"), None);
        assert_eq!(principal("nobody"), None);
    }

    #[test]
    fn a_decision_is_read_for_the_action_or_for_each_resource() {
        let xml = "<R><EvaluationResults>
            <member><EvalActionName>ecs:ListTasks</EvalActionName><EvalResourceName>*</EvalResourceName><EvalDecision>implicitDeny</EvalDecision></member>
            <member><EvalActionName>ecs:StopTask</EvalActionName><EvalResourceName>*</EvalResourceName><EvalDecision>explicitDeny</EvalDecision>
                <ResourceSpecificResults>
                    <member><EvalResourceName>a</EvalResourceName><EvalResourceDecision>allowed</EvalResourceDecision></member>
                    <member><EvalResourceName>b</EvalResourceName><EvalResourceDecision>explicitDeny</EvalResourceDecision></member>
                </ResourceSpecificResults></member>
            <member><EvalActionName>ecs:DescribeTasks</EvalActionName><EvalResourceName>*</EvalResourceName><EvalDecision>allowed</EvalDecision></member>
        </EvaluationResults></R>";
        let document = Document::parse(xml).expect("XML");
        let named = |action: &str, resource: &str| Denied {
            action: action.to_owned(),
            resource: resource.to_owned(),
        };
        assert_eq!(
            denied(&document),
            [named("ecs:ListTasks", "*"), named("ecs:StopTask", "b")]
        );
    }
}
