//! Instances as the API shows them: to their operator with everything, to whoever has the status link with what concerns a
//! customer. Points in time are milliseconds since 1970-01-01T00:00Z.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::{Code, Failure};
use wharf_provisioning::{InstanceView, SleptView, StepView, UpcomingStep, view};

use crate::words;

/// Why something is not as it should be.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Cause {
    #[schema(value_type = String, example = "task.crashed")]
    pub(crate) code: Code,
    /// What happened.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// Evidence of several lines, such as a task's last output. For operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message,
            hint: failure.hint,
            detail: failure.detail,
        }
    }
}

impl Cause {
    /// What a visitor may know: all but the evidence.
    pub(crate) fn public(failure: Failure) -> Self {
        failure.without_detail().into()
    }
}

/// A step that was begun.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the fields are the documented form")]
pub(crate) struct Step {
    #[schema(example = "database")]
    pub(crate) step: String,
    /// What people call it.
    #[schema(example = "Create the database")]
    pub(crate) title: &'static str,
    /// It takes something down or back.
    pub(crate) undo: bool,
    /// The attempt that it belongs to.
    pub(crate) attempt: u32,
    pub(crate) started_at: u64,
    /// How long it took; null while it is under way.
    pub(crate) millis: Option<u64>,
    /// How it failed, if it did. While it is under way it is tried again.
    pub(crate) failed: Option<Cause>,
    pub(crate) waits_for: Option<String>,
}

impl Step {
    pub(crate) fn of_operator(step: StepView) -> Self {
        let failed = step.failed.clone().map(Cause::from);
        Self::new(step, failed)
    }

    pub(crate) fn public(step: StepView) -> Self {
        let failed = step.failed.clone().map(Cause::public);
        Self::new(step, failed)
    }

    fn new(step: StepView, failed: Option<Cause>) -> Self {
        Self {
            title: words::step(&step.step, step.undo),
            step: step.step,
            undo: step.undo,
            attempt: step.attempt,
            started_at: step.started_at.as_millis(),
            millis: step.millis,
            failed,
            waits_for: step.waits_for,
        }
    }
}

/// A step that was not begun yet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Upcoming {
    #[schema(example = "ready")]
    pub(crate) step: String,
    pub(crate) title: &'static str,
    pub(crate) undo: bool,
}

impl From<UpcomingStep> for Upcoming {
    fn from(step: UpcomingStep) -> Self {
        Self {
            title: words::step(&step.step, step.undo),
            step: step.step,
            undo: step.undo,
        }
    }
}

/// A place in the line of those that wait to be started.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Queue {
    /// 1 is the next.
    #[schema(example = 3)]
    pub(crate) position: usize,
    /// So many wait, this one among them.
    #[schema(example = 12)]
    pub(crate) of: usize,
    /// What it waits for.
    #[schema(example = "its turn: others are being started")]
    pub(crate) why: String,
}

impl From<view::Queue> for Queue {
    fn from(queue: view::Queue) -> Self {
        Self {
            position: queue.position,
            of: queue.of,
            why: queue.why,
        }
    }
}

/// What an instance's sleep saved.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Slept {
    /// How often it has slept, this time included.
    times: u32,
    /// How long in all, until now.
    millis: u64,
    /// Bytes of memory that are free because it sleeps just now.
    freed_bytes: u64,
}

impl From<SleptView> for Slept {
    fn from(slept: SleptView) -> Self {
        let SleptView {
            times,
            millis,
            freed_bytes,
        } = slept;
        Self {
            times,
            millis,
            freed_bytes,
        }
    }
}

/// An instance, for its operator.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Instance {
    #[schema(example = "inst_01je4q5gkv8a9xw3n2b7c6d5eg")]
    pub(crate) id: String,
    #[schema(example = "storefront")]
    pub(crate) service: String,
    /// Of an instance that is a tenant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "acme")]
    pub(crate) subdomain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin_email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) company_name: Option<String>,
    /// `provisioning`, `ready`, `restoring`, `sleeping`, `down`, `stopping`, `stopped`, `failed`, `stuck` or `ended`.
    #[schema(example = "ready")]
    pub(crate) status: String,
    /// Something is under way, or asked for and not yet taken up: the status is not the last word.
    pub(crate) moving: bool,
    /// As soon as it can be told.
    #[schema(example = "http://acme.localhost:8080/")]
    pub(crate) url: Option<String>,
    pub(crate) port: Option<u16>,
    /// The number of the task within the instance's life.
    pub(crate) attempt: u32,
    pub(crate) created_at: u64,
    /// When it came into its status.
    pub(crate) since: u64,
    pub(crate) first_ready_at: Option<u64>,
    /// When its trial is over: it is ended or stopped then, as its service says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<u64>,
    /// The step at hand, and what it waits for.
    pub(crate) step: Option<String>,
    pub(crate) waits_for: Option<String>,
    /// Where it waits for room, or for its turn: its place in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<Queue>,
    /// Of one that has ever slept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slept: Option<Slept>,
    /// The steps after it.
    pub(crate) upcoming: Vec<Upcoming>,
    /// What went wrong, where something did.
    pub(crate) cause: Option<Cause>,
    /// The step that is stuck.
    pub(crate) stuck_at: Option<String>,
    /// What a person can do, where only a person can.
    pub(crate) advice: Option<String>,
    /// Nothing of it is left in the world.
    pub(crate) clean: bool,
    /// The platform's name of its task.
    pub(crate) task: Option<String>,
    /// Where its task listens.
    #[schema(example = "127.0.0.1:20001")]
    pub(crate) endpoint: Option<String>,
    pub(crate) database: Option<String>,
}

impl From<InstanceView> for Instance {
    fn from(view: InstanceView) -> Self {
        let (subdomain, admin_email, company_name) = match view.tenant {
            Some(tenant) => (
                Some(tenant.subdomain.into()),
                Some(tenant.admin_email.into()),
                Some(tenant.company_name.into()),
            ),
            None => (None, None, None),
        };
        Self {
            id: view.id.into(),
            service: view.service,
            subdomain,
            admin_email,
            company_name,
            status: view.status,
            moving: view.moving,
            url: view.url,
            port: view.port,
            attempt: view.attempt.0,
            created_at: view.created_at.as_millis(),
            since: view.since.as_millis(),
            first_ready_at: view.first_ready_at.map(wharf_domain::Timestamp::as_millis),
            expires_at: view.expires_at.map(wharf_domain::Timestamp::as_millis),
            step: view.step,
            waits_for: view.waits_for,
            queue: view.queue.map(Queue::from),
            slept: view.slept.map(Slept::from),
            upcoming: view.upcoming.into_iter().map(Upcoming::from).collect(),
            cause: view.cause.map(Cause::from),
            stuck_at: view.stuck_at,
            advice: view.advice,
            clean: view.clean,
            task: view.task,
            endpoint: view.endpoint,
            database: view.database,
        }
    }
}

/// What became of a request for a change: it is under way.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    #[schema(example = "inst_01je4q5gkv8a9xw3n2b7c6d5eg")]
    pub(crate) id: String,
    /// The instance's status as it is now.
    #[schema(example = "provisioning")]
    pub(crate) status: String,
    /// One line for a person.
    #[schema(example = "acme is being set up")]
    pub(crate) message: String,
    /// Where to follow it. Whoever has this link sees how it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "http://localhost:8080/provision/7dn3m0w9x4k2v8c1t5s6r7q8pz")]
    pub(crate) status_url: Option<String>,
    /// As soon as it can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "http://acme.localhost:8080/")]
    pub(crate) url: Option<String>,
    /// As soon as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
}

impl Accepted {
    /// What is told of a change that an operator asked for.
    pub(crate) fn of(view: &InstanceView, done: &str) -> Self {
        Self {
            id: view.id.to_string(),
            status: view.status.clone(),
            message: format!("{} is being {done}", view.name()),
            status_url: None,
            url: view.url.clone(),
            port: view.port,
        }
    }
}

/// An example of [`Accepted`], of a change.
pub(crate) fn accepted_example(status: &str, message: &str) -> Value {
    json!({"id": "inst_01je4q5gkv8a9xw3n2b7c6d5eg", "status": status, "message": message, "url": "http://acme.localhost:8080/", "port": 20_001})
}

/// An example of [`Instance`].
pub(crate) fn instance_example() -> Value {
    json!({
        "id": "inst_01je4q5gkv8a9xw3n2b7c6d5eg", "service": "storefront",
        "subdomain": "acme", "admin_email": "admin@acme.example", "company_name": "Acme Inc.",
        "status": "ready", "moving": false, "url": "http://acme.localhost:8080/", "port": 20_001, "attempt": 1,
        "created_at": 1_795_000_000_000_u64, "since": 1_795_000_000_412_u64, "first_ready_at": 1_795_000_000_412_u64,
        "step": null, "waits_for": null, "upcoming": [], "cause": null, "stuck_at": null, "advice": null, "clean": false,
        "task": "4711:88123", "endpoint": "127.0.0.1:20001", "database": "user_acme"
    })
}

/// An example of [`Step`].
pub(crate) fn step_example() -> Value {
    json!({
        "step": "database", "title": "Create the database", "undo": false, "attempt": 1,
        "started_at": 1_795_000_000_003_u64, "millis": 4, "failed": null, "waits_for": null
    })
}
