//! The looks of an examination, in rounds: what a round finds says what the next one looks for. Nothing is judged here.

use futures::future::join_all;
use std::collections::BTreeSet;
use wharf_domain::{
    Code, Failure, Service,
    service::{EcsTask, RouteRule, RunSpec},
};

use super::{
    Deployment,
    finding::{Finding, Grade},
    is_on_ecs,
    reader::Reader,
    world::{Known, Named, World, of},
};
use crate::{ecs::Shape, failure::STRANGER, operations::Operation, sts::Identity};

/// Who asks, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    /// `None` where STS does not say, and other services answer.
    pub(super) identity: Option<Identity>,
    pub(super) region: String,
}

/// Whether AWS can be asked at all, and by whom; otherwise the one finding that says why not.
pub(super) async fn who(reader: &Reader, deployment: &Deployment<'_>) -> Result<Who, Finding> {
    let Some(region) = reader.clients.config().await.region().map(ToString::to_string) else {
        let failure = Failure::new(
            Code::ConfigInvalid,
            "it is not said in which region of AWS everything is",
        )
        .hint("set `region` in [aws], or AWS_REGION");
        return Err(alone(&failure));
    };
    let operation = Operation::StsGetCallerIdentity;
    let failure = match reader.limited(operation, reader.sts.identity(reader.until())).await {
        Ok(identity) => {
            return Ok(Who {
                identity: Some(identity),
                region,
            });
        }
        Err(failure) => failure,
    };
    if failure.message.starts_with(STRANGER) || failure.code == Code::Internal {
        return Err(alone(&failure));
    }
    // STS may be the only one that this network has no way to.
    if failure.code == Code::AwsUnavailable
        && let Some((_, task)) = on_ecs(deployment).next()
        && let Err(other) = reader
            .limited(Operation::EcsDescribeClusters, reader.cluster(&task.cluster))
            .await
        && other.code == Code::AwsUnavailable
    {
        return Err(alone(&failure));
    }
    reader.keep(operation, failure);
    Ok(Who { identity: None, region })
}

fn alone(failure: &Failure) -> Finding {
    Finding {
        subject: "account".to_owned(),
        what: "AWS".to_owned(),
        grade: Grade::Failed,
        found: Some(failure.message.clone()),
        hint: failure.hint.clone(),
    }
}

/// Everything that the deployment names, and what that leads to.
pub(super) async fn look(reader: &Reader, who: &Who, deployment: &Deployment<'_>) -> World {
    let mut world = World {
        region: who.region.clone(),
        ..World::default()
    };
    Box::pin(named_parts(reader, deployment, &mut world)).await;
    Box::pin(behind_parts(reader, deployment, &mut world)).await;
    Box::pin(networks(reader, deployment, &mut world)).await;
    world
}

/// What the configuration names.
async fn named_parts(reader: &Reader, deployment: &Deployment<'_>, world: &mut World) {
    let tasks: Vec<_> = on_ecs(deployment).collect();
    let clusters = each(tasks.iter().map(|(_, task)| &task.cluster), async |name| {
        reader.ask(Operation::EcsDescribeClusters, reader.cluster(&name)).await
    });
    let definitions = each(tasks.iter().map(|(_, task)| &task.task_definition), async |name| {
        let call = async {
            let described = reader.definitions.describe(&name, reader.until()).await?;
            Ok(described.map(|(definition, _)| definition))
        };
        reader.ask(Operation::EcsDescribeTaskDefinition, call).await
    });
    let arns = || tasks.iter().flat_map(|(service, _)| arns(service));
    let groups = each(arns(), async |arn| {
        let call = async {
            match reader.elb.target_group(&arn, reader.until()).await {
                Err(failure) if failure.code == Code::RouteMismatch => Ok(None),
                found => found.map(Some),
            }
        };
        reader.ask(Operation::ElbDescribeTargetGroups, call).await
    });
    let listeners = tasks.iter().filter_map(|(service, _)| listener(service));
    let listeners = each(listeners, async |arn| {
        let mut found = reader.ask(Operation::ElbDescribeListeners, reader.listener(&arn)).await;
        if let Known::Is(listener) = &mut found {
            let call = reader.elb.rules(&arn, reader.until());
            let rules = reader.ask(Operation::ElbDescribeRules, call).await;
            // The default rule has no priority.
            listener.rules = rules
                .is()
                .map(|rules| rules.iter().filter(|rule| rule.priority.is_some()).count());
        }
        found
    });
    let tables: Vec<String> = match &deployment.tables {
        Some(tables) => tables.all().map(|(name, _)| name.to_owned()).to_vec(),
        None => Vec::new(),
    };
    let tables = each(&tables, async |name| {
        reader.ask(Operation::DynamoDescribeTable, reader.table(&name)).await
    });
    let names: Vec<String> = deployment.secrets.iter().map(|(_, name)| (*name).to_owned()).collect();
    let secrets = each(&names, async |name| {
        reader
            .ask(Operation::SecretsGetSecretValueOfWharf, reader.secret(&name))
            .await
    });
    let queue = async {
        match deployment.queue_url {
            Some(url) => reader.ask(Operation::SqsGetQueueAttributes, reader.queue(url)).await,
            None => Known::Unknown,
        }
    };
    (world.clusters, world.definitions, world.target_groups, world.listeners) =
        tokio::join!(clusters, definitions, groups, listeners);
    (world.tables, world.secrets, world.queue) = tokio::join!(tables, secrets, queue);
}

/// What stands behind it: load balancers, container instances, log groups.
async fn behind_parts(reader: &Reader, deployment: &Deployment<'_>, world: &mut World) {
    let found = world.target_groups.iter().filter(|(_, group)| group.is().is_some());
    let found: Vec<&String> = found.map(|(arn, _)| arn).collect();
    let delays = each(found, async |arn| {
        let call = async { reader.elb.deregistration_delay(&arn, reader.until()).await.map(Some) };
        reader.ask(Operation::ElbDescribeTargetGroupAttributes, call).await
    });
    let of_groups = world.target_groups.values().filter_map(Known::is);
    let of_listeners = world.listeners.values().filter_map(Known::is);
    let balancers = of_groups
        .flat_map(|group| &group.load_balancers)
        .chain(of_listeners.map(|listener| &listener.balancer));
    let balancers = each(balancers, async |arn| {
        reader
            .ask(Operation::ElbDescribeLoadBalancers, reader.balancer(&arn))
            .await
    });
    let clusters: Vec<&String> = on_ecs(deployment)
        .filter(|(_, task)| runs_on_instances(task, world))
        .map(|(_, task)| &task.cluster)
        .collect();
    let hosts = each(clusters, async |cluster| {
        let call = reader.container_instances(&cluster);
        match reader.ask(Operation::EcsListContainerInstances, call).await {
            Known::Is(arns) if arns.is_empty() => Known::Is(Vec::new()),
            Known::Is(arns) => {
                let call = reader.hosts(&cluster, &arns);
                reader.ask(Operation::EcsDescribeContainerInstances, call).await
            }
            Known::Absent => Known::Absent,
            Known::Unknown => Known::Unknown,
        }
    });
    let definitions = world.definitions.values().filter_map(Known::is);
    let logs: Vec<String> = definitions
        .flat_map(|definition| &definition.containers)
        .filter_map(|container| container.logs.as_ref())
        .filter(|logs| logs.region.as_ref().is_none_or(|region| *region == world.region))
        .map(|logs| logs.group.clone())
        .collect();
    let logs = each(&logs, async |name| {
        let call = async {
            let groups = reader.logs.groups(&name, reader.until()).await?;
            Ok(groups.iter().any(|group| group.name == name).then_some(()))
        };
        reader.ask(Operation::LogsDescribeLogGroups, call).await
    });
    let (delays, balancers, hosts, logs) = tokio::join!(delays, balancers, hosts, logs);
    world.deregistration_delays = delays;
    world.balancers = balancers;
    world.hosts = hosts;
    world.log_groups = logs;
}

/// The networks of all of it.
async fn networks(reader: &Reader, deployment: &Deployment<'_>, world: &mut World) {
    let hosts = world.hosts.values().filter_map(Known::is).flatten();
    let hosts: Vec<&String> = hosts.map(|host| &host.ec2_instance).collect();
    world.instances = several(
        reader,
        Operation::Ec2DescribeInstances,
        hosts,
        async |ids| reader.ec2.instances(ids, reader.until()).await,
        |instance| &instance.id,
    )
    .await;

    let tasks = on_ecs(deployment).map(|(_, task)| task);
    let balancers = || world.balancers.values().filter_map(Known::is);
    let subnets: Vec<&String> = tasks
        .clone()
        .flat_map(|task| &task.subnets)
        .chain(balancers().flat_map(|balancer| &balancer.subnets))
        .collect();
    let instances = world.instances.values().filter_map(Known::is);
    let groups: Vec<&String> = tasks
        .flat_map(|task| &task.security_groups)
        .chain(balancers().flat_map(|balancer| &balancer.security_groups))
        .chain(instances.flat_map(|instance| &instance.security_groups))
        .collect();
    let subnets = several(
        reader,
        Operation::Ec2DescribeSubnets,
        subnets,
        async |ids| reader.ec2.subnets(ids, reader.until()).await,
        |subnet| &subnet.id,
    );
    let groups = several(
        reader,
        Operation::Ec2DescribeSecurityGroups,
        groups,
        async |ids| reader.ec2.security_groups(ids, reader.until()).await,
        |group| &group.id,
    );
    let (subnets, groups) = tokio::join!(subnets, groups);
    (world.subnets, world.security_groups) = (subnets, groups);

    let vpcs: BTreeSet<&str> = on_ecs(deployment)
        .flat_map(|(_, task)| &task.subnets)
        .filter_map(|id| of(&world.subnets, id))
        .map(|subnet| subnet.vpc.as_str())
        .collect();
    if !vpcs.is_empty() {
        let vpcs: Vec<&str> = vpcs.into_iter().collect();
        let call = async { reader.ec2.route_tables(&vpcs, reader.until()).await.map(Some) };
        world.route_tables = reader.ask(Operation::Ec2DescribeRouteTables, call).await;
    }
}

/// Each name once, all at the same time.
async fn each<'a, T, F>(names: impl IntoIterator<Item = &'a String>, look: impl Fn(String) -> F) -> Named<T>
where
    F: Future<Output = Known<T>>,
{
    let names: BTreeSet<&String> = names.into_iter().collect();
    let looks = names.into_iter().map(|name| {
        let found = look(name.clone());
        async { (name.clone(), found.await) }
    });
    join_all(looks).await.into_iter().collect()
}

/// All with one call. EC2 gives nothing where one of them is not there: then each is asked for by itself.
async fn several<T>(
    reader: &Reader,
    operation: Operation,
    ids: Vec<&String>,
    look: impl AsyncFn(&[&str]) -> Result<Vec<T>, Failure>,
    id_of: fn(&T) -> &String,
) -> Named<T> {
    let ids: BTreeSet<&String> = ids.into_iter().collect();
    if ids.is_empty() {
        return Named::new();
    }
    let all: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    let is_missing = |failure: &Failure| failure.code == Code::AwsRefused;
    let together = async {
        match look(&all).await {
            Err(failure) if is_missing(&failure) => Ok(None),
            found => found.map(Some),
        }
    };
    match reader.ask(operation, together).await {
        Known::Is(found) => {
            let mut named: Named<T> = ids.into_iter().map(|id| (id.clone(), Known::Absent)).collect();
            named.extend(found.into_iter().map(|one| (id_of(&one).clone(), Known::Is(one))));
            named
        }
        Known::Unknown => ids.into_iter().map(|id| (id.clone(), Known::Unknown)).collect(),
        Known::Absent => {
            let mut named = Named::new();
            for id in ids {
                let alone = async {
                    match look(&[id.as_str()]).await {
                        Err(failure) if is_missing(&failure) => Ok(None),
                        found => found.map(|found| found.into_iter().next()),
                    }
                };
                named.insert(id.clone(), reader.ask(operation, alone).await);
            }
            named
        }
    }
}

fn on_ecs<'a>(deployment: &'a Deployment<'a>) -> impl Iterator<Item = (&'a Service, &'a EcsTask)> + Clone {
    let services = deployment.services.iter().filter(|service| is_on_ecs(service));
    services.filter_map(|service| match &service.run {
        RunSpec::Ecs(task) => Some((*service, task)),
        RunSpec::Process { .. } | RunSpec::Docker(_) => None,
    })
}

fn arns(service: &Service) -> &[String] {
    match &service.route {
        RouteRule::TargetGroups { arns, .. } => arns,
        _ => &[],
    }
}

fn listener(service: &Service) -> Option<&String> {
    match &service.route {
        RouteRule::TargetGroups { rule, .. } => rule.as_ref().map(|rule| &rule.listener),
        _ => None,
    }
}

/// Whether its tasks need container instances, as far as that can be told.
fn runs_on_instances(task: &EcsTask, world: &World) -> bool {
    let definition = of(&world.definitions, &task.task_definition);
    let shape = definition.map(|definition| Shape::of(task, definition));
    matches!(shape, Some(Ok(shape)) if !shape.placement.is_fargate())
}
