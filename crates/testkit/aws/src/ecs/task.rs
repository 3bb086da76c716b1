//! A task: what it is and what it has. How it changes is in [`super::lifecycle`].

use super::definitions::NetworkMode;
use super::instances::Needs;
use super::tags::Tag;
use crate::clock::Moment;
use crate::plan::TaskPlan;
use serde_json::Value;
use std::collections::BTreeMap;

/// In the order in which a task comes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Provisioning,
    Pending,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl Status {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Launch {
    Fargate,
    Ec2,
}

impl Launch {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fargate => "FARGATE",
            Self::Ec2 => "EC2",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) container_port: u16,
    pub(crate) host_port: u16,
    pub(crate) protocol: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) essential: bool,
    pub(crate) cpu: i64,
    pub(crate) memory: Option<i64>,
    pub(crate) memory_reservation: Option<i64>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) reason: Option<String>,
    pub(crate) runtime_id: Option<String>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) environment: BTreeMap<String, String>,
}

/// The network interface of a task in mode awsvpc.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    pub(crate) id: String,
    pub(crate) status: &'static str,
    pub(crate) subnet: String,
    pub(crate) security_groups: Vec<String>,
    pub(crate) public: bool,
    /// What is known once it is attached: interface id, MAC address, private address.
    pub(crate) interface: Option<(String, String, String)>,
}

/// When what happened to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    pub(crate) created: Moment,
    pub(crate) connected: Option<Moment>,
    pub(crate) pull_started: Option<Moment>,
    pub(crate) pull_stopped: Option<Moment>,
    pub(crate) started: Option<Moment>,
    pub(crate) stopping: Option<Moment>,
    pub(crate) execution_stopped: Option<Moment>,
    pub(crate) stopped: Option<Moment>,
}

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) number: u64,
    pub(crate) arn: String,
    pub(crate) cluster: String,
    pub(crate) family: String,
    pub(crate) definition: String,
    pub(crate) mode: NetworkMode,
    pub(crate) launch: Launch,
    pub(crate) capacity_provider: Option<String>,
    /// The ARN of the container instance that it runs on.
    pub(crate) instance: Option<String>,
    pub(crate) needs: Needs,
    pub(crate) cpu: i64,
    pub(crate) memory: i64,
    pub(crate) group: String,
    pub(crate) started_by: Option<String>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) overrides: Value,
    pub(crate) execute_command: bool,
    pub(crate) zone: String,
    pub(crate) status: Status,
    pub(crate) to_be_stopped: bool,
    pub(crate) version: i64,
    pub(crate) times: Times,
    pub(crate) stop_code: Option<&'static str>,
    pub(crate) stopped_reason: Option<String>,
    pub(crate) containers: Vec<Container>,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) plan: TaskPlan,
    /// The entry of the schedule that is its next change.
    pub(crate) due: Option<(Moment, u64)>,
    pub(crate) described_from: Moment,
    pub(crate) listed_from: Moment,
    /// As reads show it that miss its latest changes.
    pub(crate) before: Option<Before>,
}

/// What a task was.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    /// Reads show it until then.
    pub(crate) until: Moment,
    /// As DescribeTasks shows it, with its tags.
    pub(crate) shape: Value,
    pub(crate) to_be_stopped: bool,
}

impl Task {
    /// 32 hex digits.
    pub(crate) fn id(&self) -> &str {
        crate::names::last_part(&self.arn)
    }

    /// What reads show of it that is over already.
    pub(crate) fn shown_before(&self, now: Moment) -> Option<&Before> {
        self.before.as_ref().filter(|before| now < before.until)
    }

    pub(crate) const fn desired(&self) -> &'static str {
        if self.to_be_stopped { "STOPPED" } else { "RUNNING" }
    }

    /// The address of its own network interface, once that is attached.
    pub(crate) fn private_address(&self) -> Option<&str> {
        let (_, _, address) = self.attachment.as_ref()?.interface.as_ref()?;
        Some(address)
    }
}
