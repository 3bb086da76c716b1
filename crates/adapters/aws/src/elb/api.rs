//! Every call to ELBv2, through the governor, in Wharf's words. Nothing is decided here.

use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, ForwardActionConfig, HostHeaderConditionConfig, PathPatternConditionConfig, Rule,
    RuleCondition, Tag, TagDescription, TargetDescription, TargetGroup as SdkGroup, TargetHealthDescription,
    TargetTypeEnum,
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::{collections::BTreeSet, error::Error, sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::{DeploymentId, Failure, service::ListenerRule};

use super::{
    batches::Change,
    groups::{HealthCheck, TargetGroup, TargetKind},
    looks::Seen,
    refusal,
    rule::{Conditions, Known},
    target::Target,
};
use crate::{
    clients::Clients,
    failure::{failure, may_have_happened},
    governor::{CallError, Governor},
    operations::Operation,
};

/// The tag by which a rule is known to be ours.
const DEPLOYMENT_TAG: &str = "wharf:deployment";
/// The most that one answer may hold.
const PAGE: i32 = 400;
/// Pages of rules; a load balancer has 100 rules unless AWS granted more.
const PAGES: usize = 20;
/// ELB's own default, where it says nothing.
const DEREGISTRATION_DELAY: Duration = Duration::from_mins(5);

/// What became of a rule that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Done,
    PriorityInUse,
    /// No answer came: it may be there.
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) clients: Arc<Clients>,
    pub(crate) governor: Arc<Governor>,
    pub(crate) deployment: DeploymentId,
}

impl Api {
    /// One that does not exist is `route.mismatch`, and nothing else is.
    pub(crate) async fn target_group(&self, arn: &str, deadline: Instant) -> Result<TargetGroup, Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let operation = Operation::ElbDescribeTargetGroups;
        let send = || client.describe_target_groups().target_group_arns(arn).send();
        let answer = match self.governor.call(operation, deadline, send).await {
            Ok(answer) => answer,
            Err(error) if is(&error, "TargetGroupNotFound") => return Err(refusal::no_such_group(arn)),
            Err(error) => return Err(refused(error, operation, arn, |_, _| None)),
        };
        let group = answer.target_groups.unwrap_or_default().into_iter().next();
        group.map(target_group).ok_or_else(|| refusal::no_such_group(arn))
    }

    pub(crate) async fn deregistration_delay(&self, arn: &str, deadline: Instant) -> Result<Duration, Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let send = || client.describe_target_group_attributes().target_group_arn(arn).send();
        let answer = self
            .governor
            .ask(Operation::ElbDescribeTargetGroupAttributes, arn, deadline, send)
            .await?;
        let seconds = answer
            .attributes()
            .iter()
            .find(|attribute| attribute.key() == Some("deregistration_delay.timeout_seconds"))
            .and_then(|attribute| attribute.value()?.parse().ok());
        Ok(seconds.map_or(DEREGISTRATION_DELAY, Duration::from_secs))
    }

    /// Registers or deregisters these targets, which are asked for when the call is sent. A target or a group that is not there is deregistered already.
    pub(super) async fn change(
        &self,
        change: Change,
        group: &str,
        targets: impl Fn() -> Vec<Target> + Send + Sync,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let described = || Some(targets().iter().map(description).collect());
        match change {
            Change::Register => {
                let operation = Operation::ElbRegisterTargets;
                let send = || {
                    let call = client.register_targets().target_group_arn(group);
                    call.set_targets(described()).send()
                };
                match self.governor.call(operation, deadline, send).await {
                    Ok(_) => Ok(()),
                    Err(error) => {
                        let names: Vec<_> = targets().iter().map(ToString::to_string).collect();
                        Err(refused(error, operation, group, |code, message| {
                            refusal::of_target(code, message, group, &names.join(", "))
                        }))
                    }
                }
            }
            Change::Deregister => {
                let operation = Operation::ElbDeregisterTargets;
                let send = || {
                    let call = client.deregister_targets().target_group_arn(group);
                    call.set_targets(described()).send()
                };
                match self.governor.call(operation, deadline, send).await {
                    Ok(_) => Ok(()),
                    Err(error) if is(&error, "TargetGroupNotFound") => Ok(()),
                    // Of several it may be one, and then none is deregistered.
                    Err(error) if is(&error, "InvalidTarget") && targets().len() < 2 => Ok(()),
                    Err(error) => Err(refused(error, operation, group, |code, message| {
                        refusal::of_target(code, message, group, "a target")
                    })),
                }
            }
        }
    }

    /// Every target of the group, those that drain included. A group that does not exist is `route.mismatch`.
    pub(super) async fn target_health(&self, group: &str, deadline: Instant) -> Result<Vec<Seen>, Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let operation = Operation::ElbDescribeTargetHealth;
        let send = || client.describe_target_health().target_group_arn(group).send();
        match self.governor.call(operation, deadline, send).await {
            Ok(answer) => Ok(answer
                .target_health_descriptions
                .unwrap_or_default()
                .into_iter()
                .filter_map(seen)
                .collect()),
            Err(error) if is(&error, "TargetGroupNotFound") => Err(refusal::no_such_group(group)),
            Err(error) => Err(refused(error, operation, group, |_, _| None)),
        }
    }

    /// `None` where there is no such listener.
    pub(crate) async fn rules(&self, listener: &str, deadline: Instant) -> Result<Option<Vec<Known>>, Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let operation = Operation::ElbDescribeRules;
        let mut rules = Vec::new();
        let mut marker = None;
        for _ in 0..PAGES {
            let send = || {
                let call = client.describe_rules().listener_arn(listener).page_size(PAGE);
                call.set_marker(marker.clone()).send()
            };
            let answer = match self.governor.call(operation, deadline, send).await {
                Ok(answer) => answer,
                Err(error) if is(&error, "ListenerNotFound") => return Ok(None),
                Err(error) => {
                    return Err(refused(error, operation, listener, |_, _| None));
                }
            };
            rules.extend(answer.rules.unwrap_or_default().into_iter().filter_map(known));
            marker = answer.next_marker;
            if marker.is_none() {
                break;
            }
        }
        Ok(Some(rules))
    }

    pub(super) async fn create_rule(
        &self,
        wanted: &ListenerRule,
        conditions: &Conditions,
        priority: u32,
        group: &str,
        deadline: Instant,
    ) -> Result<Made, Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let operation = Operation::ElbCreateRule;
        let listener = &wanted.listener;
        let send = || {
            client
                .create_rule()
                .listener_arn(listener)
                .priority(i32::try_from(priority).unwrap_or(i32::MAX))
                .set_conditions(Some(conditions.iter().map(condition).collect()))
                .actions(
                    Action::builder()
                        .r#type(ActionTypeEnum::Forward)
                        .target_group_arn(group)
                        .build(),
                )
                .tags(
                    Tag::builder()
                        .key(DEPLOYMENT_TAG)
                        .value(self.deployment.as_str())
                        .build(),
                )
                .send()
        };
        match self.governor.call(operation, deadline, send).await {
            Ok(_) => Ok(Made::Done),
            Err(error) if is(&error, "PriorityInUse") => Ok(Made::PriorityInUse),
            Err(CallError::Failed(error)) if may_have_happened(&error) && Instant::now() < deadline => {
                Ok(Made::Unknown)
            }
            Err(error) => Err(refused(error, operation, listener, |code, message| {
                refusal::of_rule(code, message, listener, group)
            })),
        }
    }

    /// Also well where it is gone.
    pub(super) async fn delete_rule(&self, arn: &str, deadline: Instant) -> Result<(), Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let operation = Operation::ElbDeleteRule;
        match self
            .governor
            .call(operation, deadline, || client.delete_rule().rule_arn(arn).send())
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if is(&error, "RuleNotFound") => Ok(()),
            Err(error) => Err(refused(error, operation, arn, |_, _| None)),
        }
    }

    /// Those of at most 20 rules that carry this deployment's tag. If one is gone meanwhile they are asked for one by one.
    pub(super) async fn ours(&self, rules: Vec<&str>, deadline: Instant) -> Result<BTreeSet<String>, Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let operation = Operation::ElbDescribeTags;
        let arns: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        let asked = self.governor.call(operation, deadline, || {
            client.describe_tags().set_resource_arns(Some(arns.clone())).send()
        });
        match asked.await {
            Ok(answer) => Ok(answer
                .tag_descriptions()
                .iter()
                .filter(|described| described.tags().iter().any(|tag| self.is_own_tag(tag)))
                .filter_map(|described| described.resource_arn().map(str::to_owned))
                .collect()),
            Err(error) if is(&error, "RuleNotFound") => {
                let mut ours = BTreeSet::new();
                for rule in rules {
                    if self.is_ours(rule, deadline).await? {
                        ours.insert(rule.to_owned());
                    }
                }
                Ok(ours)
            }
            Err(error) => Err(refused(error, operation, "rules", |_, _| None)),
        }
    }

    fn is_own_tag(&self, tag: &Tag) -> bool {
        tag.key() == Some(DEPLOYMENT_TAG) && tag.value() == Some(self.deployment.as_str())
    }

    /// Whether the rule carries this deployment's tag. One that is gone does not.
    pub(super) async fn is_ours(&self, rule: &str, deadline: Instant) -> Result<bool, Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let operation = Operation::ElbDescribeTags;
        match self
            .governor
            .call(operation, deadline, || {
                client.describe_tags().resource_arns(rule).send()
            })
            .await
        {
            Ok(answer) => Ok(answer
                .tag_descriptions()
                .iter()
                .flat_map(TagDescription::tags)
                .any(|tag| self.is_own_tag(tag))),
            Err(error) if is(&error, "RuleNotFound") => Ok(false),
            Err(error) => Err(refused(error, operation, rule, |_, _| None)),
        }
    }
}

/// The failure that a refusal amounts to, by what ELB alone knows before what all services share.
fn refused<E>(
    error: CallError<SdkError<E, HttpResponse>>,
    operation: Operation,
    resource: &str,
    known: impl FnOnce(&str, &str) -> Option<Failure>,
) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    error.into_failure(operation, |error| {
        known(error.code().unwrap_or_default(), error.message().unwrap_or_default())
            .unwrap_or_else(|| failure(&error, &operation.on(resource)))
    })
}

fn is<E: ProvideErrorMetadata>(error: &CallError<SdkError<E, HttpResponse>>, code: &str) -> bool {
    matches!(error, CallError::Failed(error) if error.code() == Some(code))
}

fn description(target: &Target) -> TargetDescription {
    TargetDescription::builder()
        .id(&target.id)
        .port(i32::from(target.port))
        .build()
}

fn condition((field, values): (&String, &BTreeSet<String>)) -> RuleCondition {
    let values: Vec<String> = values.iter().cloned().collect();
    let condition = RuleCondition::builder().field(field);
    match field.as_str() {
        "host-header" => {
            condition.host_header_config(HostHeaderConditionConfig::builder().set_values(Some(values)).build())
        }
        _ => condition.path_pattern_config(PathPatternConditionConfig::builder().set_values(Some(values)).build()),
    }
    .build()
}

fn target_group(group: SdkGroup) -> TargetGroup {
    let seconds = |seconds: Option<i32>, default| {
        Duration::from_secs(u64::try_from(seconds.unwrap_or(default)).unwrap_or(1).max(1))
    };
    TargetGroup {
        kind: match &group.target_type {
            Some(TargetTypeEnum::Ip) => TargetKind::Ip,
            Some(TargetTypeEnum::Instance) | None => TargetKind::Instance,
            Some(other) => TargetKind::Other(other.as_str().to_owned()),
        },
        check: HealthCheck {
            protocol: group
                .health_check_protocol
                .as_ref()
                .map_or("HTTP", |protocol| protocol.as_str())
                .to_owned(),
            path: group.health_check_path,
            port: group.health_check_port.unwrap_or_else(|| "traffic-port".to_owned()),
            interval: seconds(group.health_check_interval_seconds, 30),
            timeout: seconds(group.health_check_timeout_seconds, 5),
            healthy: u32::try_from(group.healthy_threshold_count.unwrap_or(5))
                .unwrap_or(1)
                .max(1),
            matcher: group
                .matcher
                .and_then(|matcher| matcher.http_code.or(matcher.grpc_code)),
        },
        arn: group.target_group_arn.unwrap_or_default(),
        name: group.target_group_name.unwrap_or_default(),
        vpc: group.vpc_id,
        load_balancers: group.load_balancer_arns.unwrap_or_default(),
    }
}

fn seen(described: TargetHealthDescription) -> Option<Seen> {
    let target = described.target?;
    let health = described.target_health;
    let health = health.as_ref();
    Some(Seen {
        target: Target {
            id: target.id?,
            port: u16::try_from(target.port?).ok()?,
        },
        state: health
            .and_then(|health| health.state())
            .map_or("", |state| state.as_str())
            .to_owned(),
        reason: health
            .and_then(|health| health.reason())
            .map_or("", |reason| reason.as_str())
            .to_owned(),
        description: health
            .and_then(|health| health.description())
            .unwrap_or_default()
            .to_owned(),
    })
}

fn known(rule: Rule) -> Option<Known> {
    let conditions = rule.conditions().iter().map(asked).collect::<Option<Conditions>>();
    let forwards = rule
        .actions()
        .iter()
        .filter(|action| action.r#type() == Some(&ActionTypeEnum::Forward));
    let groups: BTreeSet<String> = forwards
        .flat_map(|action| {
            let weighted = action
                .forward_config()
                .map(ForwardActionConfig::target_groups)
                .unwrap_or_default();
            let weighted = weighted.iter().filter(|group| group.weight() != Some(0));
            weighted
                .filter_map(|group| group.target_group_arn())
                .chain(action.target_group_arn())
        })
        .map(str::to_owned)
        .collect();
    Some(Known {
        priority: rule.priority().and_then(|priority| priority.parse().ok()),
        conditions,
        groups: groups.into_iter().collect(),
        arn: rule.rule_arn?,
    })
}

/// A condition of a host or a path; `None` for any other.
fn asked(condition: &RuleCondition) -> Option<(String, BTreeSet<String>)> {
    if !condition.regex_values().is_empty() {
        return None;
    }
    let configured = match condition.field()? {
        "host-header" => condition.host_header_config().map(HostHeaderConditionConfig::values),
        "path-pattern" => condition.path_pattern_config().map(PathPatternConditionConfig::values),
        _ => return None,
    };
    let values = condition.values().iter().chain(configured.unwrap_or_default());
    let is_host = condition.field() == Some("host-header");
    let values = values.map(|value| {
        if is_host {
            value.to_ascii_lowercase()
        } else {
            value.clone()
        }
    });
    Some((condition.field()?.to_owned(), values.collect()))
}
