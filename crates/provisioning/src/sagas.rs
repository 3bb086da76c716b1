//! The sagas, as lists of steps. What a step does stands in its own file; what a saga's end means stands in `workflow`.

use wharf_domain::{Service, service::SleepBy};
use wharf_saga::{Way, record::OnFailure, workflow::Plan};

pub const PROVISION: &str = "provision";
/// A new attempt: after a crash, after a stop, after a loss of its host.
pub const RESTORE: &str = "restore";
/// The route made anew for a task that runs.
pub const REROUTE: &str = "reroute";
/// To `Stopped`: everything that a customer would miss is kept.
pub const STOP: &str = "stop";
/// To `Down`: the same, because it kept failing.
pub const TAKE_DOWN: &str = "take_down";
/// To `Sleeping`.
pub const SLEEP: &str = "sleep";
/// What is left of a task that ended while its instance slept: it sleeps on without one.
pub const SLEEP_ON: &str = "sleep_on";
/// A task that stood still goes on.
pub const WAKE: &str = "wake";
/// To `Ended`.
pub const END: &str = "end";

/// What may be left of an attempt: withdrawn first, and only then is the task stopped.
const LAST_ATTEMPT: &[&str] = &["route", "endpoint", "task"];
/// A task, as far as Ready.
const A_TASK: &[&str] = &["task", "running", "endpoint", "route", "healthy", "ready"];

fn ways(way: Way, steps: &[&'static str]) -> impl Iterator<Item = (&'static str, Way)> {
    steps.iter().map(move |step| (*step, way))
}

/// What an instance holds for its whole life.
fn holdings(service: &Service) -> impl Iterator<Item = (&'static str, Way)> {
    let database: &[_] = if service.database { &["database"] } else { &[] };
    ways(Way::Run, &["claim", "secrets"]).chain(ways(Way::Run, database))
}

/// From a claim to Ready. A failure takes everything back.
#[must_use]
pub fn provision(service: &Service) -> Plan {
    Plan {
        saga: PROVISION,
        steps: holdings(service).chain(ways(Way::Run, A_TASK)).collect(),
        on_failure: OnFailure::Unwind,
    }
}

/// The same for one whose task was lost on the way: what may be left of the last attempt is taken down, and a new one made. How many of its
/// first steps are done already comes with it: what the instance holds stays, and is taken back with the rest if that fails.
#[must_use]
pub fn provision_again(service: &Service) -> (Plan, usize) {
    let plan = Plan {
        saga: PROVISION,
        steps: holdings(service)
            .chain(ways(Way::Undo, LAST_ATTEMPT))
            .chain(ways(Way::Run, &["attempt"]))
            .chain(ways(Way::Run, A_TASK))
            .collect(),
        on_failure: OnFailure::Unwind,
    };
    (plan, holdings(service).count())
}

/// Takes down what may be left of the last attempt, then makes a new one. A failure takes the new attempt back, and nothing else.
#[must_use]
pub fn restore() -> Plan {
    Plan {
        saga: RESTORE,
        steps: ways(Way::Undo, LAST_ATTEMPT)
            .chain(ways(Way::Run, &["pause", "attempt"]))
            .chain(ways(Way::Run, A_TASK))
            .collect(),
        on_failure: OnFailure::Unwind,
    }
}

/// The same for one of which nothing is left that would have to be taken down: somebody waits, and each step is a commit.
#[must_use]
pub fn restore_from_rest() -> Plan {
    Plan {
        saga: RESTORE,
        steps: ways(Way::Run, &["attempt"]).chain(ways(Way::Run, A_TASK)).collect(),
        on_failure: OnFailure::Unwind,
    }
}

/// Leads the route to the task again, which has to answer before it is let through. A failure withdraws it, and brings the instance back with a new attempt.
#[must_use]
pub fn reroute() -> Plan {
    Plan {
        saga: REROUTE,
        steps: ways(Way::Run, &["route", "healthy", "ready"]).collect(),
        on_failure: OnFailure::Unwind,
    }
}

/// Nobody uses it: without a route it rests, and holds what it held. If somebody comes in the same moment, or it cannot be paused, the saga unwinds, and the instance is
/// Ready as before.
#[must_use]
pub fn sleep(by: SleepBy) -> Plan {
    let (way, rest): (_, &[_]) = match by {
        SleepBy::Pause => (Way::Run, &["freeze"]),
        SleepBy::Stop => (Way::Undo, &["task", "endpoint"]),
    };
    Plan {
        saga: SLEEP,
        steps: ways(Way::Run, &["unused"]).chain(ways(way, rest)).collect(),
        on_failure: OnFailure::Unwind,
    }
}

/// The task goes on, and has to answer before anybody is let through. A failure withdraws the route, and brings the instance back with a new attempt.
#[must_use]
pub fn wake() -> Plan {
    Plan {
        saga: WAKE,
        steps: ways(Way::Run, &["thaw", "healthy", "ready"]).collect(),
        on_failure: OnFailure::Unwind,
    }
}

#[must_use]
pub fn sleep_on() -> Plan {
    take_away(SLEEP_ON)
}

/// Withdraws the route and stops the task.
fn take_away(saga: &'static str) -> Plan {
    Plan {
        saga,
        steps: ways(Way::Undo, LAST_ATTEMPT).collect(),
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

/// Forward only: nothing that was taken away comes back. It can be begun from anywhere, for every step can be undone that was never run.
#[must_use]
pub fn end() -> Plan {
    let mut plan = take_away(END);
    plan.steps
        .extend([("database", Way::Undo), ("secrets", Way::Undo), ("claim", Way::Undo)]);
    plan
}
