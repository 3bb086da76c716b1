//! RunTask: the request that starts an attempt's task, the same to the byte however often it is made, and what ECS makes of it.

use aws_sdk_ecs::{
    Client,
    operation::run_task::{RunTaskError, builders::RunTaskFluentBuilder},
    types::{
        AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, KeyValuePair, LaunchType,
        NetworkConfiguration, TaskOverride,
    },
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use tokio::time::Instant;
use wharf_domain::{
    Code, Failure,
    service::{EcsTask, Launch, SecretsAs},
};
use wharf_platform::{Owner, TaskSpec};

use super::{
    definitions::NetworkMode,
    marks::{Notes, client_token, started_by, tags},
    shape::{Placement, Shape},
    unplaced,
};
use crate::{Governor, failure, governor::CallError, operations::Operation};

/// ECS's bound on all overrides of a task, as JSON.
const OVERRIDES_MAX: usize = 8_192;
/// What is kept as an instance's secrets, and reaches the container as a value or not at all.
const SECRETS: &[&str] = &["APP_PASSWORD"];
/// A URL with a password in it that is kept as one of an instance's secrets, too.
const DATABASE_URL: &str = "DATABASE_URL";

/// What RunTask came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// This task runs, or did: now, or from an earlier request with the same token.
    Task(String),
    /// The token was used, and ECS does not say for which task.
    Earlier,
    /// Nothing was started.
    Nothing(Failure),
}

/// One start.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) spec: &'a TaskSpec,
    pub(super) task: &'a EcsTask,
    pub(super) shape: &'a Shape,
    pub(super) definition: &'a str,
}

impl Run<'_> {
    /// Asks for the task.
    pub(super) async fn send(&self, client: &Client, governor: &Governor, deadline: Instant) -> Result<Ran, Failure> {
        let request = self.request(client)?;
        let operation = if self.shape.placement.is_fargate() {
            Operation::EcsRunTaskOnFargate
        } else {
            Operation::EcsRunTask
        };
        let answer = governor.call(operation, deadline, || request.clone().send()).await;
        let cluster = &self.task.cluster;
        match answer {
            Ok(answer) => Ok(match answer.tasks().iter().find_map(|task| task.task_arn()) {
                Some(arn) => Ran::Task(arn.to_owned()),
                None => Ran::Nothing(unplaced::failure(answer.failures(), cluster)),
            }),
            Err(CallError::Failed(error)) => match error.as_service_error() {
                Some(RunTaskError::ConflictException(conflict)) => {
                    let earlier = conflict.resource_ids().iter().find(|id| id.starts_with("arn:"));
                    Ok(earlier.map_or(Ran::Earlier, |arn| Ran::Task(arn.clone())))
                }
                Some(refusal) if let Some(failure) = self.refused(refusal) => Ok(Ran::Nothing(failure)),
                _ => Err(failure::failure(&error, &operation.on(self.definition))),
            },
            Err(error) => Err(error.into_failure(operation, |error| {
                failure::failure(&error, &operation.on(self.definition))
            })),
        }
    }

    /// What only ECS says no with.
    fn refused(&self, refusal: &RunTaskError) -> Option<Failure> {
        let words = refusal.message().unwrap_or("no reason given");
        let cluster = &self.task.cluster;
        let placement = |message: String, hint: &str| Some(Failure::new(Code::TaskPlacement, message).hint(hint));
        match refusal {
            RunTaskError::ClusterNotFoundException(_) => Some(
                Failure::new(
                    Code::ConfigInvalid,
                    format!("there is no cluster {cluster} in this account and region"),
                )
                .hint("correct the service's `cluster` or ECS_CLUSTER, the region, or the account that the credentials are of"),
            ),
            RunTaskError::PlatformTaskDefinitionIncompatibilityException(_)
            | RunTaskError::PlatformUnknownException(_)
            | RunTaskError::UnsupportedFeatureException(_) => placement(
                format!("{} cannot run as its launch type says: {words}", self.definition),
                "change the service's `launch`, or the task definition",
            ),
            RunTaskError::InvalidParameterException(_) if words.contains("No Container Instances were found") => placement(
                format!("the cluster {cluster} has no container instances: {words}"),
                "add a container instance to the cluster, or run the service on Fargate",
            ),
            _ => None,
        }
    }

    fn request(&self, client: &Client) -> Result<RunTaskFluentBuilder, Failure> {
        let Self {
            spec,
            task,
            shape,
            definition,
        } = self;
        let notes = Notes::of(shape, spec.public, task.host_address);
        let request = client
            .run_task()
            .cluster(&task.cluster)
            .task_definition(*definition)
            .count(1)
            .client_token(client_token(&spec.owner))
            .started_by(started_by(&spec.owner))
            .set_tags(Some(tags(&spec.owner, &spec.service, &notes)))
            .enable_execute_command(task.execute_command)
            .set_network_configuration(self.network()?)
            .overrides(self.overrides()?);
        Ok(self.place(request))
    }

    fn place(&self, request: RunTaskFluentBuilder) -> RunTaskFluentBuilder {
        match (&self.shape.placement, &self.task.launch) {
            (Placement::Fargate, _) => request.launch_type(LaunchType::Fargate),
            (Placement::External, _) => request.launch_type(LaunchType::External),
            (Placement::Providers { .. }, Launch::CapacityProviders(providers)) => {
                let items = providers.iter().filter_map(|provider| {
                    let item = CapacityProviderStrategyItem::builder()
                        .capacity_provider(&provider.name)
                        .weight(provider.weight.into())
                        .base(i32::try_from(provider.base).unwrap_or(i32::MAX));
                    item.build().ok()
                });
                request.set_capacity_provider_strategy(Some(items.collect()))
            }
            (Placement::Ec2 | Placement::Providers { .. }, _) => request.launch_type(LaunchType::Ec2),
        }
    }

    fn network(&self) -> Result<Option<NetworkConfiguration>, Failure> {
        if self.shape.network != NetworkMode::Awsvpc {
            return Ok(None);
        }
        let task = self.task;
        let groups = (!task.security_groups.is_empty()).then(|| task.security_groups.clone());
        // A container instance cannot give a task's interface a public address: ECS refuses to be asked for one.
        let assign_public_ip = self.shape.placement.is_fargate().then_some(if task.assign_public_ip {
            AssignPublicIp::Enabled
        } else {
            AssignPublicIp::Disabled
        });
        let interface = AwsVpcConfiguration::builder()
            .set_subnets(Some(task.subnets.clone()))
            .set_security_groups(groups)
            .set_assign_public_ip(assign_public_ip)
            .build()
            .map_err(|error| Failure::internal(format!("a network configuration without subnets: {error}")))?;
        Ok(Some(
            NetworkConfiguration::builder().awsvpc_configuration(interface).build(),
        ))
    }

    fn overrides(&self) -> Result<TaskOverride, Failure> {
        let environment = environment(self.spec, self.task, self.shape.port, self.definition);
        // Names and values with what JSON puts around them.
        let size: usize = environment
            .iter()
            .map(|(name, value)| name.len() + value.expose_secret().len() + r#"{"name":"","value":""},"#.len())
            .chain(
                self.task
                    .command
                    .iter()
                    .flatten()
                    .map(|word| word.len() + r#""","#.len()),
            )
            .sum();
        if size > OVERRIDES_MAX {
            return Err(Failure::new(
                Code::ConfigInvalid,
                format!("environment and command of the task have {size} characters, and ECS takes {OVERRIDES_MAX}"),
            )
            .hint("put what is the same for all instances into the task definition"));
        }
        let variables = environment.into_iter().map(|(name, value)| {
            let variable = KeyValuePair::builder().name(name).value(value.expose_secret());
            variable.build()
        });
        let number = |value: Option<u32>| value.map(|value| i32::try_from(value).unwrap_or(i32::MAX));
        let container = ContainerOverride::builder()
            .name(&self.shape.container)
            .set_environment(Some(variables.collect()))
            .set_command(self.task.command.clone())
            .set_cpu(number(self.task.cpu))
            .set_memory(number(self.task.memory))
            .build();
        Ok(TaskOverride::builder().container_overrides(container).build())
    }
}

/// What the container is given, in the order of its names.
fn environment(spec: &TaskSpec, task: &EcsTask, port: u16, definition: &str) -> BTreeMap<String, SecretString> {
    let mut environment = spec.environment.clone();
    // Where it listens is the container's port, whichever the host's is.
    environment.insert("PORT".to_owned(), SecretString::from(port.to_string()));
    if task.secrets == SecretsAs::Arn {
        environment.retain(|name, _| !SECRETS.contains(&name.as_str()));
        if let Some(url) = environment.get_mut(DATABASE_URL) {
            *url = SecretString::from(without_password(url.expose_secret()));
        }
        if let Some(arn) = secrets_arn(&spec.owner, definition) {
            environment.insert("WHARF_SECRETS_ARN".to_owned(), SecretString::from(arn));
        }
    }
    environment
}

/// A URL whose user says no password: whoever may describe a task can read it.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // What ends the authority cannot be in a password that is percent-encoded, as Wharf's are.
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}{path}")
        }
        None => url.to_owned(),
    }
}

/// The ARN under which GetSecretValue finds the instance's secrets: without the six characters that Secrets Manager appends, which need not be given.
/// Partition, region and account are the task definition's.
fn secrets_arn(owner: &Owner, definition: &str) -> Option<String> {
    let mut parts = definition.split(':');
    let (partition, region, account) = (parts.nth(1)?, parts.nth(1)?, parts.next()?);
    let name = format!("wharf/{}/{}", owner.deployment, owner.instance);
    Some(format!(
        "arn:{partition}:secretsmanager:{region}:{account}:secret:{name}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::{Attempt, DeploymentId, InstanceId, Timestamp, service::RunSpec};

    const DEFINITION: &str = "arn:aws:ecs:eu-central-1:111122223333:task-definition/shop:3";

    fn task(secrets: SecretsAs) -> EcsTask {
        EcsTask {
            secrets,
            ..super::super::shape::tests::task()
        }
    }

    fn spec(task: &EcsTask) -> TaskSpec {
        TaskSpec {
            owner: Owner {
                deployment: "shop-prod".parse::<DeploymentId>().expect("a name"),
                instance: InstanceId::new(Timestamp(1), [2; 10]),
                attempt: Attempt(1),
            },
            service: "shop".parse().expect("a name"),
            run: RunSpec::Ecs(task.clone()),
            port: Some(8001),
            environment: [
                ("PORT".to_owned(), SecretString::from("8001")),
                ("APP_PASSWORD".to_owned(), SecretString::from("hush")),
            ]
            .into(),
            public: false,
            intended_at: Timestamp(1),
        }
    }

    fn texts(environment: &BTreeMap<String, SecretString>) -> Vec<(&str, &str)> {
        environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose_secret()))
            .collect()
    }

    #[test]
    fn the_port_that_a_container_is_told_is_its_own() {
        let task = task(SecretsAs::Values);
        let environment = environment(&spec(&task), &task, 8000, DEFINITION);
        assert_eq!(texts(&environment), [("APP_PASSWORD", "hush"), ("PORT", "8000")]);
    }

    #[test]
    fn who_reads_secrets_by_itself_has_no_password_in_its_databases_url() {
        let with_database = |secrets: SecretsAs| {
            let task = task(secrets);
            let mut spec = spec(&task);
            let url = "postgresql+asyncpg://user_acme:s%40cret@10.0.0.5:5432/user_acme?sslmode=require";
            spec.environment
                .insert(DATABASE_URL.to_owned(), SecretString::from(url));
            let environment = environment(&spec, &task, 8000, DEFINITION);
            environment[DATABASE_URL].expose_secret().to_owned()
        };
        assert_eq!(
            with_database(SecretsAs::Arn),
            "postgresql+asyncpg://user_acme@10.0.0.5:5432/user_acme?sslmode=require"
        );
        assert!(with_database(SecretsAs::Values).contains(":s%40cret@"));
    }

    #[test]
    fn who_reads_secrets_by_itself_is_told_where_and_nothing_more() {
        let task = task(SecretsAs::Arn);
        let spec = spec(&task);
        let environment = environment(&spec, &task, 8000, DEFINITION);
        let arn = format!(
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:wharf/shop-prod/{}",
            spec.owner.instance
        );
        assert_eq!(
            texts(&environment),
            [("PORT", "8000"), ("WHARF_SECRETS_ARN", arn.as_str())]
        );
    }
}
