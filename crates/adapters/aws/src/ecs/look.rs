//! Looks at tasks, together: one DescribeTasks is about all that are asked for in a cluster while the last one is under way, or right after it. The bucket of that call is the smallest that a thousand starts at once have to share.

use aws_sdk_ecs::{
    operation::describe_tasks::{DescribeTasksError, DescribeTasksOutput},
    types::TaskField,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::sync::oneshot;
use wharf_domain::{Code, Failure};

use super::seen::{Seen, cluster_and_id};
use crate::{Clients, Governor, failure, gathering::Gathering, governor::CallError, operations::Operation};

/// So long after a call others gather for the next one.
const GATHER: Duration = Duration::from_millis(30);
/// What one DescribeTasks takes.
pub(crate) const BATCH: usize = 100;

/// What became known of a task: `None` where ECS knows nothing of it.
type Answer = Result<Option<Seen>, Failure>;
type Waiting = BTreeMap<String, Vec<oneshot::Sender<Answer>>>;

#[derive(Debug)]
pub(crate) struct Looks {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    gathering: Gathering<String>,
    /// By cluster; one that has an entry has somebody who asks.
    clusters: Mutex<HashMap<String, Waiting>>,
}

impl Looks {
    pub(crate) fn new(clients: Arc<Clients>, governor: Arc<Governor>) -> Self {
        Self {
            clients,
            governor,
            gathering: Gathering::new(GATHER),
            clusters: Mutex::default(),
        }
    }

    /// A task by its ARN.
    pub(crate) async fn look(self: &Arc<Self>, arn: &str) -> Answer {
        // What is no task's ARN was never one of ours.
        let Some((cluster, _)) = cluster_and_id(arn) else {
            return Ok(None);
        };
        let (sender, answer) = oneshot::channel();
        let is_first = {
            let mut clusters = self.clusters.lock();
            let is_first = !clusters.contains_key(cluster);
            let waiting = clusters.entry(cluster.to_owned()).or_default();
            waiting.entry(arn.to_owned()).or_default().push(sender);
            is_first
        };
        if is_first {
            // In a task of its own: the one who came first may be the first to give up.
            let (looks, cluster) = (self.clone(), cluster.to_owned());
            tokio::spawn(async move { looks.ask_for(&cluster).await });
        }
        answer
            .await
            .unwrap_or_else(|_| Err(Failure::internal("a look at tasks ended without an answer")))
    }

    /// Asks for all who wait, and for those who come meanwhile, until nobody does.
    async fn ask_for(&self, cluster: &str) {
        loop {
            self.gathering.wait(cluster).await;
            let mut batch = Waiting::new();
            let answer = self.describe(cluster, || self.take(cluster, &mut batch)).await;
            // Those who have been taken are answered, and who gave up meanwhile is not missed.
            match answer {
                Ok(mut found) => {
                    for (arn, waiting) in batch {
                        let seen = found.remove(&arn);
                        for sender in waiting {
                            let _ = sender.send(seen.clone().unwrap_or(Ok(None)));
                        }
                    }
                }
                Err(failure) => {
                    // A turn that never came has taken nobody: those wait no longer either.
                    if batch.is_empty() {
                        self.take(cluster, &mut batch);
                    }
                    for sender in batch.into_values().flatten() {
                        let _ = sender.send(Err(failure.clone()));
                    }
                }
            }
            let mut clusters = self.clusters.lock();
            if clusters.get(cluster).is_none_or(BTreeMap::is_empty) {
                clusters.remove(cluster);
                return;
            }
        }
    }

    /// Moves up to a batch of those who wait into `batch`, unless it has some; gives their ARNs.
    fn take(&self, cluster: &str, batch: &mut Waiting) -> Vec<String> {
        if batch.is_empty()
            && let Some(waiting) = self.clusters.lock().get_mut(cluster)
        {
            while batch.len() < BATCH
                && let Some((arn, senders)) = waiting.pop_first()
            {
                batch.insert(arn, senders);
            }
        }
        batch.keys().cloned().collect()
    }

    /// One call. `arns` is asked for them when its turn has come, so that those who came while it waited go with it.
    async fn describe(
        &self,
        cluster: &str,
        mut arns: impl FnMut() -> Vec<String>,
    ) -> Result<BTreeMap<String, Answer>, Failure> {
        let client = self.clients.ecs().await;
        let operation = Operation::EcsDescribeTasks;
        let answer = self
            .governor
            .call(operation, Governor::deadline(), || {
                client
                    .describe_tasks()
                    .cluster(cluster)
                    .set_tasks(Some(arns()))
                    .include(TaskField::Tags)
                    .send()
            })
            .await;
        match answer {
            Ok(answer) => Ok(by_arn(&answer)),
            // A cluster that is gone has no tasks.
            Err(CallError::Failed(error))
                if error
                    .as_service_error()
                    .is_some_and(DescribeTasksError::is_cluster_not_found_exception) =>
            {
                Ok(BTreeMap::new())
            }
            Err(error) => Err(error.into_failure(operation, |error| failure::failure(&error, &operation.on(cluster)))),
        }
    }

    /// All of these, in as many calls as that takes; those that ECS knows nothing of are left out.
    pub(crate) async fn look_at_all(&self, cluster: &str, arns: &[String]) -> Result<Vec<Seen>, Failure> {
        let mut all = Vec::with_capacity(arns.len());
        for batch in arns.chunks(BATCH) {
            let found = self.describe(cluster, || batch.to_vec()).await?;
            for seen in found.into_values() {
                all.extend(seen?);
            }
        }
        Ok(all)
    }
}

fn by_arn(answer: &DescribeTasksOutput) -> BTreeMap<String, Answer> {
    let found = answer
        .tasks()
        .iter()
        .map(Seen::from)
        .map(|seen| (seen.arn.clone(), Ok(Some(seen))));
    let failed = answer.failures().iter().filter_map(|failure| {
        let arn = failure.arn()?.to_owned();
        let reason = failure.reason().unwrap_or_default();
        let answer = if reason == "MISSING" {
            Ok(None)
        } else {
            Err(Failure::new(
                Code::AwsUnavailable,
                format!("ECS cannot tell of the task {arn} now: {reason}"),
            ))
        };
        Some((arn, answer))
    });
    failed.chain(found).collect()
}
