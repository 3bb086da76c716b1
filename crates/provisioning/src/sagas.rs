//! The sagas, as lists of steps. What a step does stands in its own file; what a saga's end means stands in `workflow`.

use wharf_domain::Service;
use wharf_saga::{Way, record::OnFailure, workflow::Plan};

pub const PROVISION: &str = "provision";
/// A new attempt: after a crash, after a stop, after a loss of its host.
pub const RESTORE: &str = "restore";
/// To `Stopped`: everything that a customer would miss is kept.
pub const STOP: &str = "stop";
/// To `Down`: the same, because it kept failing.
pub const TAKE_DOWN: &str = "take_down";
/// To `Ended`.
pub const END: &str = "end";

/// From a claim to Ready. A failure takes everything back.
#[must_use]
pub fn provision(service: &Service) -> Plan {
    let mut steps = vec!["claim", "secrets"];
    if service.database {
        steps.push("database");
    }
    steps.extend(["task", "running", "endpoint", "route", "healthy", "ready"]);
    Plan {
        saga: PROVISION,
        steps: steps.into_iter().map(|step| (step, Way::Run)).collect(),
        on_failure: OnFailure::Unwind,
    }
}

/// Takes down what may be left of the last attempt, then makes a new one. A failure takes the new attempt back, and nothing else.
#[must_use]
pub fn restore() -> Plan {
    Plan {
        saga: RESTORE,
        steps: vec![
            ("route", Way::Undo),
            ("endpoint", Way::Undo),
            ("task", Way::Undo),
            ("pause", Way::Run),
            ("attempt", Way::Run),
            ("task", Way::Run),
            ("running", Way::Run),
            ("endpoint", Way::Run),
            ("route", Way::Run),
            ("healthy", Way::Run),
            ("ready", Way::Run),
        ],
        on_failure: OnFailure::Unwind,
    }
}

/// Withdraws the route and stops the task.
fn take_away(saga: &'static str) -> Plan {
    Plan {
        saga,
        steps: vec![("route", Way::Undo), ("endpoint", Way::Undo), ("task", Way::Undo)],
        on_failure: OnFailure::Halt,
    }
}

#[must_use]
pub fn stop() -> Plan {
    take_away(STOP)
}

#[must_use]
pub fn take_down() -> Plan {
    take_away(TAKE_DOWN)
}

/// Forward only: nothing that was taken away comes back.
#[must_use]
pub fn end() -> Plan {
    let mut plan = take_away(END);
    plan.steps
        .extend([("database", Way::Undo), ("secrets", Way::Undo), ("claim", Way::Undo)]);
    plan
}
