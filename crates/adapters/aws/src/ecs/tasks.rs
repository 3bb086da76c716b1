//! [`EcsTasks`]: starts, looks at, finds, stops and lists tasks, and tells their events. What ECS's answers mean is decided next door.

use async_trait::async_trait;
use aws_sdk_ecs::operation::{list_tasks::ListTasksError, stop_task::StopTaskError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures::{StreamExt, stream::BoxStream};
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};
use tokio::{sync::broadcast, time::Instant};
use tokio_stream::wrappers::BroadcastStream;
use wharf_domain::{
    Code, DeploymentId, Failure,
    instance::TaskRef,
    service::{EcsTask, RunSpec},
};
use wharf_platform::{Owner, PortSource, RouteKey, Stopping, TaskEvent, TaskEvents, TaskSpec, TaskStatus, Tasks};
use wharf_saga::Clock;

use super::{
    definitions::{Definition, Definitions},
    derived::Derived,
    endpoint,
    events::{self, Versions},
    look::Looks,
    marks::{owner_of, started_by},
    places::Places,
    run::{Ran, Run},
    seen::{Seen, cluster_and_id},
    shape::{Shape, is_reserved},
    stopped,
    targets::TargetTypes,
};
use crate::{
    Clients, Governor, ec2::Ec2, failure, governor::CallError, logs::EcsLogs, once::Once, operations::Operation,
    signed::Signed,
};

/// So long a repeated request is known by its token, with room to spare: ECS keeps tokens up to 24 hours, and promises less.
const TOKEN_HOLDS_FOR: Duration = Duration::from_mins(15);
/// RunTask is eventually consistent: "MISSING" for about a minute after it is normal.
const UNKNOWN_FOR: Duration = Duration::from_secs(90);
/// A container's own grace stands in its task definition (`stopTimeout`), and Fargate allows no longer one.
const STOP_TIMEOUT_MAX: Duration = Duration::from_mins(2);
/// From the containers' end until the task's interface is detached and it is STOPPED, with room to spare.
const DEPROVISIONING: Duration = Duration::from_mins(2);
/// Starts of this process that are remembered for as long as ECS may not know them.
const STARTS_REMEMBERED: usize = 10_000;
/// Events that a slow subscriber may be behind.
const EVENTS: usize = 1_024;
/// The last lines of a task that ended by itself.
const LAST_LINES: usize = 20;
const LAST_OUTPUT: usize = 4 * 1024;

/// The tasks of one deployment.
pub struct EcsTasks {
    deployment: DeploymentId,
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    clock: Arc<dyn Clock>,
    definitions: Arc<Definitions>,
    derived: Derived,
    places: Places,
    targets: TargetTypes,
    looks: Arc<Looks>,
    logs: EcsLogs,
    started: Once<String, ()>,
    versions: Versions,
    events: broadcast::Sender<TaskEvent>,
}

impl EcsTasks {
    /// Nothing is called before it is needed.
    #[must_use]
    pub fn new(
        deployment: DeploymentId,
        clients: Arc<Clients>,
        governor: Arc<Governor>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let signed = Signed::new(clients.clone(), governor.clone(), clock.clone());
        let definitions = Arc::new(Definitions::new(clients.clone(), governor.clone()));
        Self {
            deployment,
            derived: Derived::new(clients.clone(), governor.clone()),
            places: Places::new(clients.clone(), governor.clone(), Ec2::new(signed.clone())),
            targets: TargetTypes::new(clients.clone(), governor.clone()),
            looks: Arc::new(Looks::new(clients.clone(), governor.clone())),
            logs: EcsLogs::new(signed, definitions.clone()),
            definitions,
            started: Once::new(STARTS_REMEMBERED, Some(UNKNOWN_FOR)),
            versions: Versions::default(),
            events: broadcast::channel(EVENTS).0,
            clients,
            governor,
            clock,
        }
    }

    /// What its tasks print.
    #[must_use]
    pub fn logs(&self) -> EcsLogs {
        self.logs.clone()
    }

    /// An "ECS Task State Change", as EventBridge delivers it. `Some`, and told to subscribers, if it is news of a task of this deployment.
    pub fn heard(&self, envelope: &serde_json::Value) -> Option<TaskEvent> {
        let seen = events::parse(envelope)?;
        let owner = seen.owner().filter(|owner| owner.deployment == self.deployment)?;
        if !self.versions.is_news(&seen) {
            tracing::debug!(task = seen.arn, version = seen.version, "an event that is no news");
            return None;
        }
        let status = match seen.last_status.as_str() {
            // Where it listens stands in its tags, which events do not have: whoever waits for that looks.
            "RUNNING" => TaskStatus::Running { endpoint: None },
            _ => status(&seen),
        };
        let event = TaskEvent {
            instance: owner.instance.clone(),
            task: seen.task_ref(&owner),
            status,
        };
        // Nobody has to listen.
        let _ = self.events.send(event.clone());
        Some(event)
    }

    /// What is run, and how.
    async fn resolve(&self, task: &EcsTask, deadline: Instant) -> Result<(Arc<Definition>, Shape), Failure> {
        let definition = self.definitions.get(&task.task_definition, deadline).await?;
        let shape = Shape::of(task, &definition)?;
        Ok((definition, shape))
    }

    /// Whether ECS still knows the token of a start that was intended then.
    fn knows_token(&self, spec: &TaskSpec) -> bool {
        self.clock.now().since(spec.intended_at) < TOKEN_HOLDS_FOR
    }

    fn task_ref(&self, owner: &Owner, arn: String) -> TaskRef {
        self.started.put(arn.clone(), ());
        TaskRef {
            id: arn,
            attempt: owner.attempt,
        }
    }

    /// The owner's task, running or stopped, as far as ECS lists it.
    async fn listed(&self, owner: &Owner, cluster: &str, deadline: Instant) -> Result<Option<TaskRef>, Failure> {
        let starter = started_by(owner);
        for status in ["RUNNING", "STOPPED"] {
            let found = self.list(cluster, Some(&starter), status, deadline).await?;
            if let Some(arn) = found.into_iter().next() {
                let attempt = owner.attempt;
                return Ok(Some(TaskRef { id: arn, attempt }));
            }
        }
        Ok(None)
    }

    /// ARNs of tasks that shall run, or shall not. A cluster that is not there has none.
    async fn list(
        &self,
        cluster: &str,
        starter: Option<&str>,
        desired: &str,
        deadline: Instant,
    ) -> Result<Vec<String>, Failure> {
        let client = self.clients.ecs().await;
        let operation = Operation::EcsListTasks;
        let mut arns = Vec::new();
        let mut next = None;
        loop {
            let page = self
                .governor
                .call(operation, deadline, || {
                    client
                        .list_tasks()
                        .cluster(cluster)
                        .set_started_by(starter.map(str::to_owned))
                        .desired_status(desired.into())
                        .set_next_token(next.clone())
                        .send()
                })
                .await;
            let page = match page {
                Err(CallError::Failed(error))
                    if error
                        .as_service_error()
                        .is_some_and(ListTasksError::is_cluster_not_found_exception) =>
                {
                    return Ok(arns);
                }
                Err(error) => {
                    return Err(error.into_failure(operation, |error| failure::failure(&error, &operation.on(cluster))));
                }
                Ok(page) => page,
            };
            arns.extend(page.task_arns.unwrap_or_default());
            next = page.next_token;
            if next.is_none() {
                return Ok(arns);
            }
        }
    }

    /// A task that is this owner's; another's is told, and not touched.
    async fn own(&self, owner: &Owner, task: &TaskRef) -> Result<Option<Seen>, Failure> {
        let Some(seen) = self.looks.look(&task.id).await? else {
            return Ok(None);
        };
        if seen.owner().as_ref() == Some(owner) {
            return Ok(Some(seen));
        }
        let starter = seen.started_by.as_deref().unwrap_or("nobody who says so");
        Err(Failure::new(
            Code::ResourceForeign,
            format!(
                "the task {} was started by {starter}, and not by {}",
                task.id,
                started_by(owner)
            ),
        ))
    }

    /// The task as it is then; `None` where ECS knows of none.
    async fn tell_to_end(&self, owner: &Owner, task: &TaskRef) -> Result<Option<Seen>, Failure> {
        let Some((cluster, _)) = cluster_and_id(&task.id) else {
            return Ok(None);
        };
        let client = self.clients.ecs().await;
        let operation = Operation::EcsStopTask;
        let reason = format!("Wharf: {} ends its attempt {}", owner.instance, owner.attempt);
        let told = self
            .governor
            .call(operation, Governor::deadline(), || {
                client
                    .stop_task()
                    .cluster(cluster)
                    .task(&task.id)
                    .reason(&reason)
                    .send()
            })
            .await;
        match told {
            Ok(answer) => Ok(answer.task().map(Seen::from)),
            Err(CallError::Failed(error)) if error.as_service_error().is_some_and(is_unknown) => Ok(None),
            Err(error) => Err(error.into_failure(operation, |error| failure::failure(&error, &operation.on(&task.id)))),
        }
    }

    /// What it printed last: evidence, and no more than that.
    async fn last_output(&self, seen: &Seen, deadline: Instant) -> Option<String> {
        let (_, id) = cluster_and_id(&seen.arn)?;
        let definition = self.definitions.get(seen.definition.as_deref()?, deadline).await.ok()?;
        let lines = self
            .logs
            .tail(&definition, seen.notes.container.as_deref(), id, LAST_LINES, deadline)
            .await;
        let lines = lines
            .inspect_err(
                |failure| tracing::debug!(task = id, error = %failure.message, "its last output cannot be had"),
            )
            .ok()?;
        let text = lines.join("\n");
        let cut = (text.len().saturating_sub(LAST_OUTPUT)..text.len()).find(|at| text.is_char_boundary(*at));
        cut.map(|at| text[at..].to_owned())
    }
}

impl fmt::Debug for EcsTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EcsTasks")
            .field("deployment", &self.deployment)
            .finish_non_exhaustive()
    }
}

/// ECS has no code for it: `InvalidParameterException: The referenced task was not found.`
fn is_unknown(error: &StopTaskError) -> bool {
    error.is_cluster_not_found_exception() || error.message().is_some_and(|message| message.contains("not found"))
}

/// The service's section for ECS.
fn ecs(run: &RunSpec) -> Result<&EcsTask, Failure> {
    match run {
        RunSpec::Ecs(task) => Ok(task),
        RunSpec::Process { .. } | RunSpec::Docker(_) => Err(Failure::new(
            Code::ConfigInvalid,
            "the service says nothing of how it runs on ECS",
        )
        .hint("give the service an `ecs` section with `cluster` and `task_definition`")),
    }
}

/// How a task is that does not run.
fn status(seen: &Seen) -> TaskStatus {
    let why = match seen.last_status.as_str() {
        "STOPPED" | "DEPROVISIONING" => {
            let (cause, exit_code) = stopped::cause(seen);
            return TaskStatus::Stopped {
                cause,
                exit_code,
                output: None,
            };
        }
        "PROVISIONING" => "its network interface or its place",
        "PENDING" => "its image and its containers",
        "ACTIVATING" => "its containers to be ready",
        "DEACTIVATING" | "STOPPING" => "its end",
        _ => "ECS",
    };
    TaskStatus::Pending {
        why: format!("{why} ({})", seen.last_status),
    }
}

#[async_trait]
impl Tasks for EcsTasks {
    fn port_source(&self) -> PortSource {
        PortSource::Platform
    }

    async fn can_have_port(&self, port: u16) -> bool {
        !is_reserved(port)
    }

    fn survives_restart(&self) -> bool {
        true
    }

    fn unknown_for(&self) -> Duration {
        UNKNOWN_FOR
    }

    fn stops_within(&self, grace: Duration) -> Duration {
        grace.max(STOP_TIMEOUT_MAX) + DEPROVISIONING
    }

    async fn check(&self, run: &RunSpec, route: Option<&RouteKey>) -> Result<(), Failure> {
        let deadline = Governor::deadline();
        let (definition, shape) = self.resolve(ecs(run)?, deadline).await?;
        if let Some(RouteKey::TargetGroups { arns, .. }) = route {
            self.targets
                .check(arns, shape.network, &definition.name(), deadline)
                .await?;
        }
        Ok(())
    }

    async fn start(&self, spec: TaskSpec) -> Result<TaskRef, Failure> {
        let deadline = Governor::deadline();
        let task = ecs(&spec.run)?;
        let (definition, shape) = self.resolve(task, deadline).await?;
        if !self.knows_token(&spec)
            && let Some(found) = self.listed(&spec.owner, &task.cluster, deadline).await?
        {
            return Ok(found);
        }
        let arn = match spec.port {
            Some(port) => {
                self.derived
                    .with_port(&definition, &shape, port, &self.definitions, deadline)
                    .await?
            }
            None => definition.arn.clone(),
        };
        let run = Run {
            spec: &spec,
            task,
            shape: &shape,
            definition: &arn,
        };
        match run.send(self.clients.ecs().await, &self.governor, deadline).await? {
            Ran::Task(arn) => Ok(self.task_ref(&spec.owner, arn)),
            Ran::Nothing(failure) => Err(failure),
            Ran::Earlier => self.listed(&spec.owner, &task.cluster, deadline).await?.ok_or_else(|| {
                Failure::new(
                    Code::AwsUnavailable,
                    format!(
                        "ECS started a task for {} earlier, and does not tell which yet",
                        spec.owner.instance
                    ),
                )
            }),
        }
    }

    async fn look(&self, owner: &Owner, task: &TaskRef) -> Result<TaskStatus, Failure> {
        let Some(seen) = self.own(owner, task).await? else {
            return Ok(TaskStatus::Gone);
        };
        let deadline = Governor::deadline();
        if seen.last_status == "RUNNING" {
            let notes = endpoint::notes(&seen, &self.definitions, deadline).await?;
            let endpoint = endpoint::endpoint(&seen, &notes, &self.places, deadline).await?;
            return Ok(TaskStatus::Running { endpoint });
        }
        match status(&seen) {
            TaskStatus::Stopped { cause, exit_code, .. }
                if matches!(cause.code, Code::TaskCrashed | Code::TaskMemory) =>
            {
                let output = self.last_output(&seen, deadline).await;
                Ok(TaskStatus::Stopped {
                    cause,
                    exit_code,
                    output,
                })
            }
            status => Ok(status),
        }
    }

    async fn find(&self, spec: &TaskSpec) -> Result<Option<TaskRef>, Failure> {
        let deadline = Governor::deadline();
        let task = ecs(&spec.run)?;
        if self.knows_token(spec)
            // What cannot be resolved was not started: only what ECS lists can be there.
            && let Ok((definition, shape)) = self.resolve(task, deadline).await
        {
            let run = Run {
                spec,
                task,
                shape: &shape,
                definition: &definition.arn,
            };
            match run.send(self.clients.ecs().await, &self.governor, deadline).await {
                Ok(Ran::Task(arn)) => return Ok(Some(self.task_ref(&spec.owner, arn))),
                // Nothing can be started now; something may have been before.
                Ok(Ran::Nothing(_) | Ran::Earlier) => {}
                Err(failure) if failure.code.is_passing() => return Err(failure),
                Err(failure) => {
                    tracing::debug!(instance = %spec.owner.instance, error = %failure.message, "a start cannot be asked for again");
                }
            }
        }
        self.listed(&spec.owner, &task.cluster, deadline).await
    }

    async fn stop(&self, owner: &Owner, task: &TaskRef, _grace: Duration) -> Result<Stopping, Failure> {
        let seen = self.own(owner, task).await?;
        if let Some(seen) = &seen {
            if seen.is_stopped() {
                return Ok(Stopping::Stopped);
            }
            if seen.is_to_stop() {
                return Ok(Stopping::Underway);
            }
        }
        // One that is not seen was perhaps just started, by whatever process, and would run on: it is told to end all the same.
        Ok(match self.tell_to_end(owner, task).await? {
            Some(told) if !told.is_stopped() => Stopping::Underway,
            None if self.started.known(&task.id).is_some() => Stopping::Underway,
            _ => Stopping::Stopped,
        })
    }

    async fn all(&self, runs: &[RunSpec]) -> Result<Vec<(Owner, TaskRef)>, Failure> {
        let deadline = Governor::deadline();
        let clusters: BTreeSet<&str> = runs
            .iter()
            .filter_map(|run| Some(ecs(run).ok()?.cluster.as_str()))
            .collect();
        let mut all = Vec::new();
        for cluster in clusters {
            let arns = self.list(cluster, None, "RUNNING", deadline).await?;
            for seen in self.looks.look_at_all(cluster, &arns).await? {
                let owner = seen.started_by.as_deref().and_then(owner_of);
                if let Some(owner) = owner.filter(|owner| owner.deployment == self.deployment)
                    && !seen.is_stopped()
                    && !seen.is_to_stop()
                {
                    let task = seen.task_ref(&owner);
                    all.push((owner, task));
                }
            }
        }
        Ok(all)
    }
}

impl TaskEvents for EcsTasks {
    fn subscribe(&self) -> BoxStream<'static, TaskEvent> {
        let events = BroadcastStream::new(self.events.subscribe());
        // One who was too slow has lost some, and goes on with the next.
        events.filter_map(async |event| event.ok()).boxed()
    }
}
