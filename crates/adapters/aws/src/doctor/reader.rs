//! Every call of an examination: its time limit, and what becomes of one that fails. What is asked, and in which order, is `look`'s business.

use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_ecs::types::{ContainerInstance, Resource};
use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError;
use futures::future::LocalBoxFuture;
use parking_lot::Mutex;
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};
use wharf_domain::{Code, DeploymentId, Failure};
use wharf_saga::Clock;

use super::world::{Balancer, Cluster, Host, Known, Listener, Queue, Secret, Table};
use crate::{
    Clients, Ec2, EcsLogs, Governor, Sts, ecs::Definitions, elb, failure::failure, operations::Operation,
    signed::Signed,
};

/// Of one call, its tries and its turn included.
const CALL_LIMIT: Duration = Duration::from_secs(6);
/// Container instances that are looked at in one cluster: what one call describes.
const HOSTS: i32 = 100;

/// A call that gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) operation: Operation,
    pub(super) failure: Failure,
}

#[derive(Debug, Default)]
struct Troubles {
    all: Vec<Trouble>,
    /// Services that did not answer: one wait for each is enough.
    out_of_reach: BTreeSet<&'static str>,
}

pub(super) struct Reader {
    pub(super) clients: Arc<Clients>,
    pub(super) governor: Arc<Governor>,
    pub(super) signed: Signed,
    pub(super) ec2: Ec2,
    pub(super) sts: Sts,
    pub(super) logs: EcsLogs,
    pub(super) definitions: Arc<Definitions>,
    pub(super) elb: elb::Api,
    deadline: Instant,
    troubles: Mutex<Troubles>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn new(
        clients: Arc<Clients>,
        governor: Arc<Governor>,
        clock: Arc<dyn Clock>,
        deadline: Instant,
    ) -> Self {
        let signed = Signed::new(clients.clone(), governor.clone(), clock.clone());
        let definitions = Arc::new(Definitions::new(clients.clone(), governor.clone()));
        Self {
            ec2: Ec2::new(signed.clone()),
            sts: Sts::new(clients.clone(), governor.clone(), clock),
            logs: EcsLogs::new(signed.clone(), definitions.clone()),
            elb: elb::Api {
                clients: clients.clone(),
                governor: governor.clone(),
                // Nothing is made here that could be anybody's.
                deployment: DeploymentId::new([0; 10]),
            },
            clients,
            governor,
            signed,
            definitions,
            deadline,
            troubles: Mutex::default(),
        }
    }

    /// When a call that begins now has to be over.
    pub(super) fn until(&self) -> Instant {
        self.deadline.min(Instant::now() + CALL_LIMIT)
    }

    pub(super) fn troubles(&self) -> Vec<Trouble> {
        self.troubles.lock().all.clone()
    }

    /// What a call gives, `None` in it for what is not there. A failure is kept, once, and the examination goes on.
    pub(super) fn ask<'a, T: 'a>(
        &'a self,
        operation: Operation,
        call: impl Future<Output = Result<Option<T>, Failure>> + 'a,
    ) -> LocalBoxFuture<'a, Known<T>> {
        // The SDK's calls are large, and there are many at a time.
        let call = Box::pin(call);
        Box::pin(async move {
            if self.troubles.lock().out_of_reach.contains(operation.service()) {
                return Known::Unknown;
            }
            match self.limited(operation, call).await {
                Ok(Some(value)) => Known::Is(value),
                Ok(None) => Known::Absent,
                Err(failure) => {
                    self.keep(operation, failure);
                    Known::Unknown
                }
            }
        })
    }

    pub(super) fn limited<'a, T: 'a>(
        &'a self,
        operation: Operation,
        call: impl Future<Output = Result<T, Failure>> + 'a,
    ) -> LocalBoxFuture<'a, Result<T, Failure>> {
        let call = Box::pin(call);
        Box::pin(async move {
            timeout_at(self.until(), call).await.unwrap_or_else(|_| {
                Err(Failure::new(
                    Code::AwsUnavailable,
                    format!("{} had no answer in time", operation.action()),
                )
                .hint("look at the network's way to AWS (endpoint, DNS, NAT or VPC endpoints), the region, and AWS_ENDPOINT_URL"))
            })
        })
    }

    pub(super) fn keep(&self, operation: Operation, failure: Failure) {
        let mut troubles = self.troubles.lock();
        let is_first = failure.code != Code::AwsUnavailable || troubles.out_of_reach.insert(operation.service());
        let trouble = Trouble { operation, failure };
        if is_first && !troubles.all.contains(&trouble) {
            troubles.all.push(trouble);
        }
    }

    pub(super) async fn cluster(&self, name: &str) -> Result<Option<Cluster>, Failure> {
        let client = self.clients.ecs().await;
        let send = || client.describe_clusters().clusters(name).send();
        let answer = self
            .governor
            .ask(Operation::EcsDescribeClusters, name, self.until(), send)
            .await?;
        Ok(answer.clusters().first().map(|cluster| Cluster {
            status: cluster.status().unwrap_or_default().to_owned(),
            capacity_providers: cluster.capacity_providers().to_vec(),
        }))
    }

    /// The first hundred; an empty list where the cluster has none.
    pub(super) async fn container_instances(&self, cluster: &str) -> Result<Option<Vec<String>>, Failure> {
        let client = self.clients.ecs().await;
        let send = || {
            client
                .list_container_instances()
                .cluster(cluster)
                .max_results(HOSTS)
                .send()
        };
        let operation = Operation::EcsListContainerInstances;
        let answer = self.governor.ask(operation, cluster, self.until(), send).await?;
        Ok(Some(answer.container_instance_arns.unwrap_or_default()))
    }

    pub(super) async fn hosts(&self, cluster: &str, arns: &[String]) -> Result<Option<Vec<Host>>, Failure> {
        let client = self.clients.ecs().await;
        let send = || {
            client
                .describe_container_instances()
                .cluster(cluster)
                .set_container_instances(Some(arns.to_vec()))
                .send()
        };
        let operation = Operation::EcsDescribeContainerInstances;
        let answer = self.governor.ask(operation, cluster, self.until(), send).await?;
        Ok(Some(answer.container_instances().iter().filter_map(host).collect()))
    }

    pub(super) async fn balancer(&self, arn: &str) -> Result<Option<Balancer>, Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let operation = Operation::ElbDescribeLoadBalancers;
        let send = || client.describe_load_balancers().load_balancer_arns(arn).send();
        let answer = self.governor.ask(operation, arn, self.until(), send).await;
        let answer = match answer {
            Err(failure) if failure.message.contains("LoadBalancerNotFound") => return Ok(None),
            answer => answer?,
        };
        let balancer = answer.load_balancers.unwrap_or_default().into_iter().next();
        Ok(balancer.map(|balancer| {
            let zones = balancer.availability_zones.unwrap_or_default();
            Balancer {
                name: balancer.load_balancer_name.unwrap_or_default(),
                security_groups: balancer.security_groups.unwrap_or_default(),
                subnets: zones.into_iter().filter_map(|zone| zone.subnet_id).collect(),
            }
        }))
    }

    pub(super) async fn listener(&self, arn: &str) -> Result<Option<Listener>, Failure> {
        let client = self.clients.elasticloadbalancingv2().await;
        let operation = Operation::ElbDescribeListeners;
        let send = || client.describe_listeners().listener_arns(arn).send();
        let answer = self.governor.ask(operation, arn, self.until(), send).await;
        let answer = match answer {
            Err(failure) if failure.message.contains("ListenerNotFound") => return Ok(None),
            answer => answer?,
        };
        let listener = answer.listeners.unwrap_or_default().into_iter().next();
        Ok(listener.and_then(|listener| {
            Some(Listener {
                balancer: listener.load_balancer_arn?,
                rules: None,
            })
        }))
    }

    pub(super) async fn table(&self, name: &str) -> Result<Option<Table>, Failure> {
        let client = self.clients.dynamodb().await;
        let answer = match client.describe_table().table_name(name).send().await {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeTableError::is_resource_not_found_exception) =>
            {
                return Ok(None);
            }
            answer => answer.map_err(|error| failure(&error, &Operation::DynamoDescribeTable.on(name)))?,
        };
        Ok(answer.table.map(|table| {
            let attributes = table.attribute_definitions();
            let named = |key: &[aws_sdk_dynamodb::types::KeySchemaElement]| {
                let names = key.iter().map(|element| {
                    let name = element.attribute_name();
                    let attribute = attributes.iter().find(|attribute| attribute.attribute_name() == name);
                    format!(
                        "{name} ({})",
                        attribute.map_or("?", |attribute| attribute.attribute_type().as_str())
                    )
                });
                names.collect::<Vec<_>>()
            };
            let indexes = table.global_secondary_indexes().iter();
            Table {
                status: table.table_status().map_or("", |status| status.as_str()).to_owned(),
                key: named(table.key_schema()),
                indexes: indexes
                    .filter_map(|index| Some((index.index_name()?.to_owned(), named(index.key_schema()))))
                    .collect(),
            }
        }))
    }

    pub(super) async fn queue(&self, url: &str) -> Result<Option<Queue>, Failure> {
        use aws_sdk_sqs::types::QueueAttributeName as Name;
        let client = self.clients.sqs().await;
        let answer = client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(Name::VisibilityTimeout)
            .attribute_names(Name::RedrivePolicy)
            .send()
            .await;
        let answer = match answer {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetQueueAttributesError::is_queue_does_not_exist) =>
            {
                return Ok(None);
            }
            answer => answer.map_err(|error| failure(&error, &Operation::SqsGetQueueAttributes.on(url)))?,
        };
        let attributes = answer.attributes.unwrap_or_default();
        let seconds = attributes.get(&Name::VisibilityTimeout);
        let seconds = seconds.and_then(|seconds| seconds.parse().ok());
        Ok(Some(Queue {
            visibility: Duration::from_secs(seconds.unwrap_or_default()),
            has_dead_letters: attributes.contains_key(&Name::RedrivePolicy),
        }))
    }

    /// Whether its value is given to us. What it is, is forgotten here.
    pub(super) async fn secret(&self, name: &str) -> Result<Option<Secret>, Failure> {
        let client = self.clients.secretsmanager().await;
        let Err(error) = client.get_secret_value().secret_id(name).send().await else {
            return Ok(Some(Secret {
                is_being_deleted: false,
            }));
        };
        match error.as_service_error() {
            Some(refused) if refused.is_resource_not_found_exception() => Ok(None),
            Some(refused) if refused.is_invalid_request_exception() => Ok(Some(Secret { is_being_deleted: true })),
            _ => Err(failure(&error, &Operation::SecretsGetSecretValueOfWharf.on(name))),
        }
    }
}

fn host(instance: &ContainerInstance) -> Option<Host> {
    let left = |name: &str| {
        let resources = instance.remaining_resources().iter();
        let mut named = resources.filter(|resource| resource.name() == Some(name));
        named.next().map_or(0, Resource::integer_value)
    };
    Some(Host {
        ec2_instance: instance.ec2_instance_id()?.to_owned(),
        status: instance.status().unwrap_or_default().to_owned(),
        agent_connected: instance.agent_connected(),
        cpu_left: left("CPU"),
        memory_left: left("MEMORY"),
    })
}
