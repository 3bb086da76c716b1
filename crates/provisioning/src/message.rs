//! What others want of an instance, as it waits in its inbox.

use serde::{Deserialize, Serialize};
use wharf_domain::{Attempt, Failure, Timestamp, instance::TaskRef};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum Message {
    /// Stop it, to come back: name, port, database and secrets are kept. Without a tenant: end it.
    Stop,
    /// The same, and its targets stay registered with their target groups.
    StopKeepingTargets,
    /// End it for good.
    End,
    /// Bring a stopped instance, or one that is down, back.
    Start,
    /// Nobody has used it for as long as its service says: it sleeps, if that is still so.
    Sleep { attempt: Attempt },
    /// Somebody asks for it: if it sleeps, it wakes.
    Wake,
    /// Its task has changed: whoever waits for it looks now.
    Look,
    /// Its task runs no more.
    TaskStopped { attempt: Attempt, cause: Failure },
    /// What ran its task is gone, through no fault of its own.
    Lost { attempt: Attempt, cause: Failure },
    /// Wharf was started again, and its task, or the route to it, ended with the last run.
    Restarted { attempt: Attempt, cause: Failure },
    /// Its task runs, and has not answered for as long as its health check allows.
    Unhealthy { attempt: Attempt, cause: Failure },
    /// Its task runs, and its route does not lead there.
    Unrouted { attempt: Attempt, cause: Failure },
    /// There is something of a later attempt than its record has come to, whose task this is, if one is known: the registry is older than the world.
    Overtaken { attempt: Attempt, task: Option<TaskRef> },
    /// Its trial ends at another time, or never.
    Extend { until: Option<Timestamp> },
    /// Take up what is stuck.
    Resume,
    /// Give up what is stuck: somebody has seen to it.
    Abandon { reason: String },
}
