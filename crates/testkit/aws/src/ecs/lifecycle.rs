//! How a task comes from one state to the next: by itself when it is due, or because somebody stops it.

use super::definitions::NetworkMode;
use super::events::StateChange;
use super::instances::DYNAMIC_PORTS;
use super::task::{Launch, Status, Task};
use crate::clock::Moment;
use crate::plan::Then;
use crate::world::World;
use std::time::Duration;

/// How long ECS shows a task that has stopped.
const SHOWN_STOPPED_FOR: Duration = Duration::from_hours(1);
/// What a process ends with that SIGTERM ended.
const ENDED_BY_SIGTERM: i32 = 143;

impl World {
    /// The change that is due at `at`. Whoever takes an entry out of the schedule calls this with it.
    pub(crate) fn advance_task(&mut self, number: u64, at: Moment) {
        self.remember(number);
        let Some(task) = self.ecs.tasks.get_mut(&number) else {
            return;
        };
        task.due = None;
        match task.status {
            Status::Provisioning if task.plan.then == Then::InterfaceNeverAttached => {
                let reason = "Timeout waiting for network interface provisioning to complete.";
                self.end(number, "TaskFailedToStart", reason.to_owned(), true);
            }
            Status::Provisioning => {
                self.attach_interface(number);
                self.come_to(number, Status::Pending);
            }
            Status::Pending => match task.plan.then.clone() {
                Then::NeverRuns => {}
                Then::NeverStarts { reason } => {
                    for container in &mut task.containers {
                        container.reason = Some(reason.clone());
                    }
                    self.end(number, "TaskFailedToStart", reason, true);
                }
                _ => self.run(number),
            },
            Status::Running => {
                if let Then::ExitsAfter { code, reason, .. } = task.plan.then.clone() {
                    self.exit(number, code, reason);
                }
            }
            Status::Deactivating => self.come_to(number, Status::Stopping),
            Status::Stopping => {
                self.end_containers(number);
                let next = if task_has_interface(&self.ecs.tasks[&number]) {
                    Status::Deprovisioning
                } else {
                    Status::Stopped
                };
                self.come_to(number, next);
            }
            Status::Deprovisioning => self.come_to(number, Status::Stopped),
            Status::Stopped => {
                debug_assert!(
                    task.times
                        .stopped
                        .is_some_and(|stopped| stopped + SHOWN_STOPPED_FOR <= at)
                );
                let arn = task.arn.clone();
                self.ecs.task_numbers.remove(&arn);
                self.ecs.tasks.remove(&number);
                self.ecs.tokens.retain(|_, token| token.is_known(at));
                self.elb.listening.retain(|_, listening| listening.task != number);
            }
        }
    }

    /// Its essential container ends by itself. False where it does not run.
    pub(crate) fn exit(&mut self, number: u64, code: i32, reason: Option<String>) -> bool {
        let running = self
            .ecs
            .tasks
            .get_mut(&number)
            .filter(|task| task.status == Status::Running);
        let Some(task) = running else { return false };
        if let Some(container) = task.containers.iter_mut().find(|container| container.essential) {
            container.exit_code = Some(code);
            container.reason = reason;
        }
        self.end(
            number,
            "EssentialContainerExited",
            "Essential container in task exited".to_owned(),
            true,
        );
        true
    }

    /// The EC2 instance ends, and what runs on it with it.
    pub(crate) fn lose_host(&mut self, container_instance: &str) {
        let Some(lost) = self.ecs.instances.get(container_instance) else {
            return;
        };
        let ec2_id = lost.ec2_id.clone();
        if let Some(instance) = self.ec2.instances.get_mut(&ec2_id) {
            instance.state = "terminated";
        }
        let on_it: Vec<_> = self.tasks_on(container_instance).map(|task| task.number).collect();
        for number in on_it {
            let reason = format!("Host EC2 (instance {ec2_id}) terminated.");
            self.end(number, "TerminationNotice", reason, true);
        }
        // Last, for what its tasks listened on is known by it.
        self.ecs.instances.remove(container_instance);
    }

    /// Somebody, or something, wants it to be stopped. Does nothing to one that is being stopped already.
    pub(crate) fn end(&mut self, number: u64, code: &'static str, reason: String, containers_ended: bool) {
        let now = self.now;
        self.remember(number);
        let Some(task) = self.ecs.tasks.get_mut(&number).filter(|task| !task.to_be_stopped) else {
            return;
        };
        let ran = task.status == Status::Running;
        task.to_be_stopped = true;
        task.stop_code = Some(code);
        task.stopped_reason = Some(reason);
        task.times.stopping = Some(now);
        if containers_ended || !ran {
            self.end_containers(number);
        }
        let task = &self.ecs.tasks[&number];
        let next = match (task_has_interface(task), ran && !containers_ended) {
            (true, true) => Status::Deactivating,
            (false, true) => Status::Stopping,
            (true, false) => Status::Deprovisioning,
            (false, false) => Status::Stopped,
        };
        self.come_to(number, next);
    }

    fn come_to(&mut self, number: u64, status: Status) {
        let now = self.now;
        let Some(task) = self.ecs.tasks.get_mut(&number) else {
            return;
        };
        task.status = status;
        task.version += 1;
        let plan = &task.plan;
        let next = match status {
            Status::Provisioning => Some(plan.provisioning_for),
            Status::Pending => {
                task.times.connected = Some(now);
                task.times.pull_started = Some(now);
                (plan.then != Then::NeverRuns).then_some(plan.pending_for)
            }
            Status::Running => {
                task.times.started = Some(now);
                task.times.pull_stopped = Some(now);
                match &plan.then {
                    Then::ExitsAfter { after, .. } => Some(*after),
                    _ => None,
                }
            }
            Status::Deactivating => Some(plan.stopping_for / 6),
            Status::Stopping if task_has_interface(task) => Some(plan.stopping_for / 2),
            Status::Stopping => Some(plan.stopping_for),
            Status::Deprovisioning => Some(plan.stopping_for / 3),
            Status::Stopped => {
                task.times.stopped = Some(now);
                Some(SHOWN_STOPPED_FOR)
            }
        };
        if status == Status::Stopped {
            self.release(number);
        }
        self.tell(number);
        if let Some(next) = next {
            self.schedule(now + next, number);
        }
    }

    /// What was started is told to subscribers as what changed is.
    pub(crate) fn tell(&mut self, number: u64) {
        if let Some(task) = self.ecs.tasks.get(&number) {
            let change = StateChange {
                at: self.now,
                task: task.arn.clone(),
                version: task.version,
                event: self.task_event(task),
            };
            let id = self.ids.uuid();
            self.changes.push(change.with_id(&id));
        }
    }

    /// It runs: what it listens on is known from now on.
    fn run(&mut self, number: u64) {
        if let Err(reason) = self.open_logs(number).and_then(|()| self.bind(number)) {
            if let Some(task) = self.ecs.tasks.get_mut(&number) {
                for container in &mut task.containers {
                    container.reason = Some(reason.clone());
                }
            }
            self.end(number, "TaskFailedToStart", reason, true);
            return;
        }
        for container in 0..self.ecs.tasks[&number].containers.len() {
            let runtime_id = self.ids.long();
            if let Some(task) = self.ecs.tasks.get_mut(&number) {
                task.containers[container].runtime_id = Some(runtime_id);
            }
        }
        self.come_to(number, Status::Running);
        self.listen(number);
    }

    /// A log stream for each container that writes to one. Fails as the agent does, where the group is not there.
    fn open_logs(&mut self, number: u64) -> Result<(), String> {
        let Some(task) = self.ecs.tasks.get(&number) else {
            return Ok(());
        };
        let id = task.id().to_owned();
        let on_fargate = task.launch == Launch::Fargate;
        let containers = self
            .find_definition(&task.definition)
            .map(|definition| definition.containers.clone());
        for container in containers.into_iter().flatten() {
            let Some((group, stream, may_create)) = container.log_stream(&id) else {
                continue;
            };
            if may_create {
                self.logs.groups.entry(group.clone()).or_default();
            }
            let Some(streams) = self.logs.groups.get_mut(&group) else {
                let cause = "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.";
                return Err(if on_fargate {
                    format!(
                        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: {cause}"
                    )
                } else {
                    format!(
                        "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: {cause}"
                    )
                });
            };
            streams.entry(stream).or_default();
        }
        Ok(())
    }

    /// Host ports for what the definition maps. Fails as Docker does, where one is taken on a machine that serves.
    fn bind(&mut self, number: u64) -> Result<(), String> {
        let Some(task) = self.ecs.tasks.get(&number) else {
            return Ok(());
        };
        let (mode, serves, instance) = (task.mode, task.plan.serves, task.instance.clone());
        let own_address = task.private_address().map(str::to_owned);
        let definition = self.find_definition(&task.definition).cloned();
        let containers = definition.map(|definition| definition.containers).unwrap_or_default();
        for (index, container) in containers.iter().enumerate() {
            let mut bindings = Vec::new();
            for mapping in &container.port_mappings {
                let fixed = match mode {
                    NetworkMode::Awsvpc | NetworkMode::Host => Some(mapping.container_port),
                    NetworkMode::Bridge => mapping.host_port.filter(|port| *port != 0),
                    NetworkMode::None => continue,
                };
                let header = serves.then(|| {
                    self.ecs.tasks[&number].containers[index]
                        .environment
                        .get("WHARF_INSTANCE_ID")
                        .cloned()
                });
                let host_port = match header {
                    Some(header) => {
                        let address = own_address.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
                        self.listeners.open(number, &address, fixed.unwrap_or(0), header).map_err(|error| {
                            format!(
                                "CannotStartContainerError: Error response from daemon: failed to bind host port {}: {error}",
                                fixed.unwrap_or(0)
                            )
                        })?
                    }
                    None => match fixed {
                        Some(port) => port,
                        None => self.dynamic_port(instance.as_deref()),
                    },
                };
                bindings.push(super::task::Binding {
                    container_port: mapping.container_port,
                    host_port,
                    protocol: mapping.protocol().to_owned(),
                });
            }
            if let Some(task) = self.ecs.tasks.get_mut(&number) {
                task.containers[index].bindings = bindings;
            }
        }
        Ok(())
    }

    fn dynamic_port(&mut self, instance: Option<&str>) -> u16 {
        let taken: std::collections::BTreeSet<u16> = instance
            .into_iter()
            .flat_map(|instance| self.tasks_on(instance))
            .flat_map(|task| {
                let bound = task.containers.iter().flat_map(|container| &container.bindings);
                bound
                    .map(|binding| binding.host_port)
                    .chain(task.needs.tcp.iter().copied())
            })
            .collect();
        let again = self.fortune.takes_an_address_again();
        let Some(instance) = instance.and_then(|instance| self.ecs.instances.get_mut(instance)) else {
            return *DYNAMIC_PORTS.start();
        };
        if again {
            // The lowest that is free: one that a task that is gone had, if there was any.
            instance.next_port = *DYNAMIC_PORTS.start();
        }
        let count = usize::from(DYNAMIC_PORTS.end() - DYNAMIC_PORTS.start()) + 1;
        for _ in 0..count {
            let port = instance.next_port;
            instance.next_port = if port == *DYNAMIC_PORTS.end() {
                *DYNAMIC_PORTS.start()
            } else {
                port + 1
            };
            if !taken.contains(&port) {
                return port;
            }
        }
        0
    }

    fn attach_interface(&mut self, number: u64) {
        let Some(task) = self.ecs.tasks.get(&number) else {
            return;
        };
        let Some(attachment) = task.attachment.clone() else {
            return;
        };
        let serves = task.plan.serves;
        let interface = self.make_interface(&attachment, serves);
        if let Some(attachment) = self
            .ecs
            .tasks
            .get_mut(&number)
            .and_then(|task| task.attachment.as_mut())
        {
            attachment.status = "ATTACHED";
            attachment.interface = Some(interface);
        }
    }

    /// Its containers end, those that ran with what SIGTERM makes of them.
    fn end_containers(&mut self, number: u64) {
        let now = self.now;
        let Some(task) = self.ecs.tasks.get_mut(&number) else {
            return;
        };
        task.times.execution_stopped = task.times.started.map(|_| now);
        for container in &mut task.containers {
            if container.runtime_id.is_some() && container.exit_code.is_none() {
                container.exit_code = Some(ENDED_BY_SIGTERM);
            }
        }
        self.listeners.close(number);
        self.stop_listening(number);
    }

    fn release(&mut self, number: u64) {
        self.end_containers_unless_done(number);
        let Some(task) = self.ecs.tasks.get_mut(&number) else {
            return;
        };
        if let Some(attachment) = &mut task.attachment {
            attachment.status = "DELETED";
            if let Some((interface, _, _)) = attachment.interface.clone() {
                self.remove_interface(&interface);
            }
        }
    }

    fn end_containers_unless_done(&mut self, number: u64) {
        let done = self
            .ecs
            .tasks
            .get(&number)
            .is_none_or(|task| task.times.started.is_none() || task.times.execution_stopped.is_some());
        if !done {
            self.end_containers(number);
        }
    }
}

fn task_has_interface(task: &Task) -> bool {
    task.mode == NetworkMode::Awsvpc
}
