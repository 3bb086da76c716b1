//! What becomes of a task, or of a target, once it is there: the script that a test writes, and what reality does without one.

use std::time::Duration;

/// A task's life, from RunTask on. Durations are simulated ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPlan {
    /// How long it is PROVISIONING: until its network interface is attached. Only tasks in network mode awsvpc are.
    pub provisioning_for: Duration,
    /// How long it is PENDING: until its images are pulled and its containers run.
    pub pending_for: Duration,
    pub then: Then,
    /// From StopTask to STOPPED.
    pub stopping_for: Duration,
    /// Whether something answers at its address while it runs: 200, with the task's environment variable
    /// `WHARF_INSTANCE_ID` in the header `x-wharf-instance`. Its address is then one of this machine's.
    pub serves: bool,
}

/// What comes of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It runs until it is stopped.
    RunsOn,
    /// Its essential container ends by itself, so long after it began to run.
    ExitsAfter {
        after: Duration,
        code: i32,
        /// The container's `reason`, `OutOfMemoryError: Container killed due to memory usage` for one.
        reason: Option<String>,
    },
    /// It stops where it would have begun to run: `CannotPullContainerError: …`, `ResourceInitializationError: …`.
    NeverStarts { reason: String },
    /// Its network interface is not attached in time: it stops where PROVISIONING would have ended.
    InterfaceNeverAttached,
    /// It stays PENDING until somebody stops it.
    NeverRuns,
}

impl TaskPlan {
    /// As Fargate behaves: 24 s from RunTask to RUNNING, in AWS's own sample.
    pub const fn fargate() -> Self {
        Self {
            provisioning_for: Duration::from_secs(10),
            pending_for: Duration::from_secs(14),
            then: Then::RunsOn,
            stopping_for: Duration::from_secs(12),
            serves: false,
        }
    }

    /// As a container instance behaves that has the image already.
    pub const fn container_instance() -> Self {
        Self {
            provisioning_for: Duration::from_secs(6),
            pending_for: Duration::from_secs(3),
            then: Then::RunsOn,
            stopping_for: Duration::from_secs(3),
            serves: false,
        }
    }

    /// Everything happens at once; for tests that are about something else.
    pub const fn at_once() -> Self {
        Self {
            provisioning_for: Duration::ZERO,
            pending_for: Duration::ZERO,
            then: Then::RunsOn,
            stopping_for: Duration::ZERO,
            serves: false,
        }
    }

    /// RUNNING so long after RunTask: a third of it PROVISIONING, the rest PENDING.
    #[must_use]
    pub fn runs_after(mut self, after: Duration) -> Self {
        self.provisioning_for = after / 3;
        self.pending_for = after.saturating_sub(self.provisioning_for);
        self
    }

    #[must_use]
    pub fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// Something answers at its address.
    #[must_use]
    pub const fn serving(mut self) -> Self {
        self.serves = true;
        self
    }

    #[must_use]
    pub const fn stops_after(mut self, after: Duration) -> Self {
        self.stopping_for = after;
        self
    }
}

/// What the health checks of a target group find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPlan {
    /// Healthy so long after it was registered, whatever is behind it.
    HealthyAfter(Duration),
    /// Healthy so long after it was registered and a running task listens there; unhealthy, after the group's threshold, when none does.
    WhileTaskRuns(Duration),
    /// First `initial`, then unhealthy for ever.
    Never(Unhealthy),
    /// Healthy so long after it was registered, and unhealthy again after so long as a healthy one.
    HealthyFor {
        after: Duration,
        lasts: Duration,
        then: Unhealthy,
    },
}

impl Default for TargetPlan {
    /// 10 s: one health check that passes is enough for a new target.
    fn default() -> Self {
        Self::WhileTaskRuns(Duration::from_secs(10))
    }
}

/// Why a target is unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unhealthy {
    /// It answers, with this status.
    StatusMismatch(u16),
    TimedOut,
    /// The connection is refused or breaks.
    Failed,
}

impl Unhealthy {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::StatusMismatch(_) => "Target.ResponseCodeMismatch",
            Self::TimedOut => "Target.Timeout",
            Self::Failed => "Target.FailedHealthChecks",
        }
    }

    pub(crate) fn description(self) -> String {
        match self {
            Self::StatusMismatch(status) => format!("Health checks failed with these codes: [{status}]"),
            Self::TimedOut => "Request timed out".to_owned(),
            Self::Failed => "Health checks failed".to_owned(),
        }
    }
}
