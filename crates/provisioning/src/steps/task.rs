//! `task`: starts the attempt's task, and stops it, confirmed.

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use wharf_domain::{
    Code, Failure, Instance, Service, State, Timestamp,
    instance::TaskRef,
    service::{DockerTask, EcsTask, RouteRule, RunSpec},
};
use wharf_platform::{Stopping, TaskSpec};
use wharf_saga::{Context, Outcome, Step};

use super::{
    APP_PASSWORD, World,
    database::{database_name, is_server_away, wait_for_server},
    is_over, pause,
};
use crate::{gate::Lack, template::fill};

/// Room is not asked for again sooner.
const CAPACITY_FIRST: Duration = Duration::from_secs(1);

pub(crate) struct Task(pub(crate) Arc<World>);

impl Task {
    async fn start(&self, context: &Context<'_>, instance: &Instance) -> Result<TaskRef, Failure> {
        let world = &self.0;
        let values = placeholders(instance);
        let run = filled(&instance.service.run, &values);
        let route = world.settings.route_key(instance);
        world.platform.tasks.check(&run, route.as_ref()).await?;
        let spec = TaskSpec {
            environment: self.environment(instance, &values).await?,
            ..self.spec(instance, run, context.since)
        };
        world.platform.tasks.start(spec).await
    }

    /// What is started, but for its environment.
    fn spec(&self, instance: &Instance, run: RunSpec, intended_at: Timestamp) -> TaskSpec {
        TaskSpec {
            owner: self.0.owner(instance, instance.attempt),
            service: instance.service.name.clone(),
            run,
            port: instance.held.port,
            environment: BTreeMap::new(),
            public: matches!(instance.service.route, RouteRule::Direct { .. }),
            intended_at,
        }
    }

    /// The task of a start whose answer may have been lost: what carries our mark is ours.
    async fn find(&self, instance: &Instance) -> Result<Option<TaskRef>, Failure> {
        let run = filled(&instance.service.run, &placeholders(instance));
        // The state is older than the intent: a platform that forgets tokens forgets them too early rather than too late.
        let spec = self.spec(instance, run, instance.state.since());
        self.0.platform.tasks.find(&spec).await
    }

    /// What the container is given: the service's variables, the request's over them, Wharf's own over both.
    async fn environment(
        &self,
        instance: &Instance,
        values: &[(&str, String)],
    ) -> Result<BTreeMap<String, SecretString>, Failure> {
        let mut environment: BTreeMap<String, SecretString> = BTreeMap::new();
        for (name, value) in instance.service.environment.iter().chain(&instance.environment) {
            environment.insert(name.clone(), SecretString::from(fill(value, values)));
        }
        let mut own = |name: &str, value: String| environment.insert(name.to_owned(), SecretString::from(value));
        own("WHARF_INSTANCE_ID", instance.id.to_string());
        if let Some(port) = instance.held.port {
            own("PORT", port.to_string());
        }
        if let Some(tenant) = &instance.tenant {
            own("USER_ID", tenant.subdomain.to_string());
            own("COMPANY_NAME", tenant.company_name.to_string());
        }
        if instance.service.database {
            let database = self.0.database(instance).await?;
            own("DB_NAME", database_name(instance));
            own("DATABASE_URL", database.url.expose_secret().to_owned());
        }
        let secrets = self.0.secrets(instance).await?;
        if let Some(password) = secrets.get(APP_PASSWORD) {
            environment.insert(APP_PASSWORD.to_owned(), password.clone());
        }
        Ok(environment)
    }
}

/// Where the application listens, as far as that is known before its start: in a container on a port of its own, whatever the host's is.
fn heard_before(run: &RunSpec, leased: Option<u16>) -> Option<u16> {
    match run {
        RunSpec::Docker(task) => task.container_port,
        RunSpec::Process { .. } | RunSpec::Ecs(_) => leased,
    }
}

/// What is the same for all instances of a service, and so can be known before there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// `None` where a command says whose it is.
    pub run: Option<RunSpec>,
    /// Without the variables whose values say whose they are, and without Wharf's own.
    pub environment: BTreeMap<String, String>,
}

impl Ahead {
    #[must_use]
    pub fn of(service: &Service) -> Self {
        let port = heard_before(&service.run, None);
        // Filled in by two who have nothing in common: what comes out alike says nothing of either.
        let both = ["1", "2"].map(|who| {
            let mut values: Vec<(&'static str, String)> = OF_INSTANCE.map(|name| (name, who.to_owned())).into();
            values.extend(port.map(|port| ("port", port.to_string())));
            values
        });
        let alike = |text: &str| {
            let [one, other] = [fill(text, &both[0]), fill(text, &both[1])];
            (one == other && (port.is_some() || !text.contains("{port}"))).then_some(one)
        };
        let [one, other] = [filled(&service.run, &both[0]), filled(&service.run, &both[1])];
        let environment = service.environment.iter();
        Self {
            run: (one == other).then_some(one),
            environment: environment
                .filter_map(|(name, value)| Some((name.clone(), alike(value)?)))
                .collect(),
        }
    }
}

/// Placeholders that say whose a text is.
const OF_INSTANCE: [&str; 4] = ["instance_id", "subdomain", "company_name", "admin_email"];

fn placeholders(instance: &Instance) -> Vec<(&'static str, String)> {
    let mut values = vec![("instance_id", instance.id.to_string())];
    if let Some(port) = heard_before(&instance.service.run, instance.held.port) {
        values.push(("port", port.to_string()));
    }
    if let Some(tenant) = &instance.tenant {
        values.push(("subdomain", tenant.subdomain.to_string()));
        values.push(("company_name", tenant.company_name.to_string()));
        values.push(("admin_email", tenant.admin_email.to_string()));
    }
    values
}

fn filled(run: &RunSpec, values: &[(&str, String)]) -> RunSpec {
    let fill_all = |words: &Vec<String>| words.iter().map(|word| fill(word, values)).collect::<Vec<_>>();
    match run {
        RunSpec::Process {
            command,
            memory,
            directory,
        } => RunSpec::Process {
            command: fill_all(command),
            memory: *memory,
            directory: directory.clone(),
        },
        RunSpec::Docker(task) => RunSpec::Docker(DockerTask {
            command: task.command.as_ref().map(fill_all),
            ..task.clone()
        }),
        RunSpec::Ecs(task) => RunSpec::Ecs(EcsTask {
            command: task.command.as_ref().map(fill_all),
            ..task.clone()
        }),
    }
}

/// It waits, and who asks is told that it is in line.
fn queued(context: &Context<'_>, instance: &mut Instance, until: Timestamp, why: String) -> Outcome {
    if matches!(instance.state, State::Provisioning { .. })
        && let Err(error) = instance.transition(State::Queued { since: context.now })
    {
        return Outcome::Fail(Failure::internal(error.to_string()));
    }
    Outcome::Wait { until, why }
}

#[async_trait]
impl Step<Instance> for Task {
    fn name(&self) -> &'static str {
        "task"
    }

    async fn run(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let gate = &self.0.gate;
        match gate.ask(instance, context.since) {
            Ok(None) => {}
            Ok(Some(place)) => return self.wait_in_line(context, instance, place.lack),
            Err(failure) => return Outcome::Fail(failure),
        }
        let outcome = self.begin(context, instance).await;
        // What waits for something else does not keep others from their turn.
        if matches!(outcome, Outcome::Wait { .. }) {
            gate.give_way(instance);
        }
        outcome
    }

    async fn undo(&self, context: &mut Context<'_>, instance: &mut Instance) -> Outcome {
        let outcome = self.stop(context, instance).await;
        if outcome == Outcome::Done {
            self.0.gate.give_way(instance);
        }
        outcome
    }
}

impl Task {
    async fn begin(&self, context: &Context<'_>, instance: &mut Instance) -> Outcome {
        match self.start(context, instance).await {
            Ok(task) => {
                instance.held.task = Some(task);
                if matches!(instance.state, State::Queued { .. })
                    && let Err(error) = instance.transition(State::Provisioning { since: context.now })
                {
                    return Outcome::Fail(Failure::internal(error.to_string()));
                }
                Outcome::Done
            }
            // No room is nobody's fault, and passes: it is waited for, and an error only when that has taken too long.
            Err(failure) if failure.code == Code::TaskCapacity => {
                let pace = &self.0.settings.pace;
                if is_over(context, pace.capacity_wait) {
                    return Outcome::Fail(failure);
                }
                let until = context.now + pause(context, pace.capacity_retry).max(CAPACITY_FIRST);
                queued(context, instance, until, format!("room: {}", failure.message))
            }
            Err(failure) if is_server_away(&failure) => {
                wait_for_server(context, self.0.patience_with_server(instance), failure)
            }
            Err(failure) => self.0.failed(context, instance, failure),
        }
    }

    /// Not yet: others come first, or have what it takes. It is called when its turn has come, and asks again now and then all the same.
    fn wait_in_line(&self, context: &Context<'_>, instance: &mut Instance, lack: Lack) -> Outcome {
        let pace = &self.0.settings.pace;
        let back_stop = context.now + pace.capacity_retry;
        // Those before it are through in the end, and what people had already is not given up for their number.
        let until = if instance.first_ready_at.is_some() && lack == Lack::Starts {
            back_stop
        } else {
            if is_over(context, pace.capacity_wait) {
                return Outcome::Fail(self.0.gate.refusal(pace.capacity_wait, lack));
            }
            back_stop.min(context.since + pace.capacity_wait + context.unattended)
        };
        queued(context, instance, until, lack.text().to_owned())
    }

    async fn stop(&self, context: &Context<'_>, instance: &mut Instance) -> Outcome {
        let tasks = &self.0.platform.tasks;
        let found = match &instance.held.task {
            Some(task) => Ok(Some(task.clone())),
            None => self.find(instance).await,
        };
        let task = match found {
            Ok(Some(task)) => task,
            Ok(None) => return Outcome::Done,
            Err(failure) => return self.0.failed_to_end(context, failure),
        };
        let grace = instance.service.stop_timeout;
        let within = tasks.stops_within(grace);
        let away = instance.held.platform_away;
        let had_its_time = is_over(context, within) && away.is_none_or(|away| context.now.since(away) >= within);
        match tasks.stop(&self.0.owner(instance, task.attempt), &task, grace).await {
            Ok(Stopping::Stopped) => {
                instance.held.task = None;
                instance.held.platform_away = None;
                Outcome::Done
            }
            Ok(Stopping::Underway) if had_its_time => Outcome::Fail(
                Failure::new(
                    Code::TaskStopTimeout,
                    format!("task {} was told to end and did not within {within:?}", task.id),
                )
                .hint("end it by hand, then `wharf resume`"),
            ),
            Ok(Stopping::Underway) => {
                instance.held.task = Some(task);
                self.0.look_again(context, Duration::from_secs(1), "the task to end")
            }
            // It may have heard nothing of its end, and has not had its time.
            Err(failure) => {
                if failure.code.is_outage() {
                    instance.held.task = Some(task);
                    instance.held.platform_away = Some(context.now);
                }
                self.0.failed_to_end(context, failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_ahead_says_nothing_of_an_instance() {
        let service = |command: &str| {
            serde_json::from_value::<Service>(serde_json::json!({
                "name": "shop", "tenant": true, "singleton": false, "database": false,
                "port": {"kind": "dynamic"}, "route": {"kind": "host"},
                "health": {"path": "/", "interval": 1, "timeout": 1, "healthy": 1, "unhealthy": 1},
                "start_timeout": 1, "stop_timeout": 1, "drain_timeout": 1, "identity_header": null,
                "environment": {
                    "HOST": "0.0.0.0", "ON": "{port}", "GREETING": "Hello {company_name}", "OTHER": "{other}", "ID": "{instance_id}"
                },
                "run": {
                    "platform": "docker", "image": "shop:1", "command": [command], "container_port": 8000,
                    "pids": 1, "tmpfs_size": 1, "log_size": 1, "log_files": 1
                },
            }))
            .expect("a service")
        };
        let ahead = Ahead::of(&service("--port={port}"));
        let expected = [("HOST", "0.0.0.0"), ("ON", "8000"), ("OTHER", "{other}")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(ahead.environment, BTreeMap::from(expected));
        let Some(RunSpec::Docker(task)) = ahead.run else {
            panic!("it is the same for all")
        };
        assert_eq!(task.command, Some(vec!["--port=8000".to_owned()]));
        assert_eq!(Ahead::of(&service("--name={subdomain}")).run, None);
    }
}
