//! Bad days by a seed: what goes wrong with calls, reads, events and tasks while nobody orders anything in particular. Here is how often;
//! what happens then is where it happens ([`crate::exchange`], [`crate::delivery`], the services) and in [`crate::misfortune`].

use crate::chance::Chance;
use crate::faults::{Fate, Mishap};
use crate::plan::{TaskPlan, Then};
use std::time::Duration;

/// How long AWS takes a signed request for a new one: nothing that the network held back for longer is done any more.
pub const SIGNATURE_LIVES_FOR: Duration = Duration::from_mins(5);

/// How bad the days are. Each probability is from 0 to 1; a mean time of `None` is never.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    pub calls: CallWeather,
    pub reads: ReadWeather,
    pub events: EventWeather,
    pub tasks: TaskWeather,
}

/// What becomes of calls on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallWeather {
    /// How long each takes from the caller to its effect, and the same back again: at least, at most.
    pub way: (Duration, Duration),
    /// Refused for its rate.
    pub throttled: f64,
    /// 500, and nothing is done.
    pub server_error: f64,
    /// The connection ends before anything is done.
    pub refused: f64,
    /// It is done, and the answer is lost.
    pub answer_lost: f64,
    /// It is done twice, as by somebody on the way who tries again.
    pub twice: f64,
    /// The connection ends, and it is done later all the same: up to [`latest`](Self::latest).
    pub late: f64,
    /// No longer than [`SIGNATURE_LIVES_FOR`].
    pub latest: Duration,
    /// It takes up to [`slowest`](Self::slowest) before, and again after, it is done.
    pub slow: f64,
    pub slowest: Duration,
}

/// Eventual consistency: how often a read shows what was, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReadWeather {
    /// Of each change of a task, and of each start: whether reads miss it for a while.
    pub stale: f64,
    pub longest: Duration,
}

/// What becomes of events on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EventWeather {
    pub lost: f64,
    pub doubled: f64,
    /// How long each takes, at least and at most: so they overtake one another.
    pub way: (Duration, Duration),
    /// Held back for up to [`latest`](Self::latest).
    pub late: f64,
    pub latest: Duration,
}

/// What becomes of tasks and of what they run on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskWeather {
    /// A start takes up to so many times as long as planned; nothing where it is 0.
    pub slowest: f64,
    /// Its image, its secrets or its interface cannot be had.
    pub never_starts: f64,
    /// It stays PENDING.
    pub never_runs: f64,
    /// It ends by itself within [`crashes_within`](Self::crashes_within): an exit code, or out of memory.
    pub crashes: f64,
    pub crashes_within: Duration,
    /// RunTask finds no place for it.
    pub unplaced: f64,
    /// A new interface or dynamic port has an address that a task that is gone had.
    pub addresses_again: f64,
    /// Mean time until AWS, or somebody else, stops some live task.
    pub stopped_every: Option<Duration>,
    /// Mean time until some container instance is gone, with all tasks on it. Another one comes a few minutes later.
    pub host_lost_every: Option<Duration>,
    /// Mean time until some container instance's agent is cut off for a while.
    pub agent_lost_every: Option<Duration>,
    /// Mean time until Fargate has no room for a while.
    pub no_room_every: Option<Duration>,
}

impl Weather {
    /// Everything happens, often enough that few lives of a task are without it.
    pub const STORM: Self = Self {
        calls: CallWeather {
            way: (Duration::from_millis(1), Duration::from_millis(60)),
            throttled: 0.02,
            server_error: 0.02,
            refused: 0.02,
            answer_lost: 0.03,
            twice: 0.02,
            late: 0.01,
            latest: SIGNATURE_LIVES_FOR,
            slow: 0.02,
            slowest: Duration::from_secs(20),
        },
        reads: ReadWeather {
            stale: 0.1,
            longest: Duration::from_secs(8),
        },
        events: EventWeather {
            lost: 0.1,
            doubled: 0.1,
            way: (Duration::from_millis(100), Duration::from_secs(3)),
            late: 0.05,
            latest: Duration::from_hours(2),
        },
        tasks: TaskWeather {
            slowest: 3.0,
            never_starts: 0.04,
            never_runs: 0.01,
            crashes: 0.06,
            crashes_within: Duration::from_mins(10),
            unplaced: 0.03,
            addresses_again: 0.5,
            stopped_every: Some(Duration::from_mins(4)),
            host_lost_every: Some(Duration::from_mins(20)),
            agent_lost_every: Some(Duration::from_mins(20)),
            no_room_every: Some(Duration::from_mins(15)),
        },
    };

    /// Nothing goes wrong, and calls and events take their time.
    pub const FAIR: Self = Self {
        calls: CallWeather {
            way: (Duration::from_millis(1), Duration::from_millis(20)),
            throttled: 0.0,
            server_error: 0.0,
            refused: 0.0,
            answer_lost: 0.0,
            twice: 0.0,
            late: 0.0,
            latest: Duration::ZERO,
            slow: 0.0,
            slowest: Duration::ZERO,
        },
        reads: ReadWeather {
            stale: 0.0,
            longest: Duration::ZERO,
        },
        events: EventWeather {
            lost: 0.0,
            doubled: 0.0,
            way: (Duration::from_millis(100), Duration::from_millis(500)),
            late: 0.0,
            latest: Duration::ZERO,
        },
        tasks: TaskWeather {
            slowest: 0.0,
            never_starts: 0.0,
            never_runs: 0.0,
            crashes: 0.0,
            crashes_within: Duration::ZERO,
            unplaced: 0.0,
            addresses_again: 1.0,
            stopped_every: None,
            host_lost_every: None,
            agent_lost_every: None,
            no_room_every: None,
        },
    };
}

/// The weather with the chance that decides it: a stream for each of its parts, so that one call more does not change what becomes of tasks.
#[derive(Debug)]
pub(crate) struct Sky<W> {
    pub(crate) weather: W,
    pub(crate) chance: Chance,
}

impl<W: Default> Default for Sky<W> {
    /// Nothing happens.
    fn default() -> Self {
        Self {
            weather: W::default(),
            chance: Chance::new(0),
        }
    }
}

impl<W> Sky<W> {
    pub(crate) fn new(weather: W, seed: u64, part: u64) -> Self {
        Self {
            weather,
            chance: Chance::branch(seed, part),
        }
    }
}

impl Sky<CallWeather> {
    /// What becomes of one more call. As many numbers are drawn for each, so that a probability that is changed changes no other call.
    pub(crate) fn fate(&mut self) -> Fate {
        let (weather, chance) = (self.weather, &mut self.chance);
        let (there, back) = (chance.between(weather.way), chance.between(weather.way));
        let (slow_there, slow_back) = (
            weather.slowest.mul_f64(chance.fraction()),
            weather.slowest.mul_f64(chance.fraction()),
        );
        let slow = chance.is(weather.slow);
        let held_back = weather.latest.min(SIGNATURE_LIVES_FOR).mul_f64(chance.fraction());
        let mut left = chance.fraction();
        let mishap = [
            (weather.throttled, Mishap::Throttled),
            (weather.server_error, Mishap::ServerError),
            (weather.refused, Mishap::Refused),
            (weather.answer_lost, Mishap::AnswerLost),
            (weather.twice, Mishap::Twice),
            (weather.late, Mishap::Late(held_back)),
        ]
        .into_iter()
        .find_map(|(probability, mishap)| {
            left -= probability;
            (left < 0.0).then_some(mishap)
        });
        Fate {
            delay: there + if slow { slow_there } else { Duration::ZERO },
            answer_delay: back + if slow { slow_back } else { Duration::ZERO },
            mishap,
            denied: 0,
        }
    }
}

impl Sky<ReadWeather> {
    /// For how long reads miss one more change; none where they see it at once.
    pub(crate) fn unseen_for(&mut self) -> Option<Duration> {
        let unseen = self.chance.is(self.weather.stale);
        let time = self.weather.longest.mul_f64(self.chance.fraction());
        unseen.then_some(time)
    }
}

impl Sky<EventWeather> {
    /// How late one more event is, once for each time that it comes.
    pub(crate) fn arrivals(&mut self) -> Vec<Duration> {
        let (weather, chance) = (self.weather, &mut self.chance);
        let (lost, doubled, late) = (
            chance.is(weather.lost),
            chance.is(weather.doubled),
            chance.is(weather.late),
        );
        let held_back = weather.latest.mul_f64(chance.fraction());
        let ways = [chance.between(weather.way), chance.between(weather.way)];
        let copies = match (lost, doubled) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        };
        let held_back = if late { held_back } else { Duration::ZERO };
        ways.into_iter().take(copies).map(|way| way + held_back).collect()
    }
}

const NEVER_STARTS: [&str; 3] = [
    "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref",
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed",
    "CannotStartContainerError: Error response from daemon: failed to create task for container",
];
const EXITS: [(i32, Option<&str>); 3] = [
    (1, None),
    (137, Some("OutOfMemoryError: Container killed due to memory usage")),
    (0, None),
];

impl Sky<TaskWeather> {
    /// What becomes of one more task whose life was planned so.
    pub(crate) fn plan(&mut self, planned: TaskPlan) -> TaskPlan {
        let (weather, chance) = (self.weather, &mut self.chance);
        let mut plan = planned;
        let paces = [chance.fraction(), chance.fraction(), chance.fraction()];
        if weather.slowest > 0.0 {
            // From half of what was planned to the slowest.
            let pace = |fraction: f64| 0.5 + (weather.slowest - 0.5).max(0.0) * fraction * fraction;
            plan.provisioning_for = plan.provisioning_for.mul_f64(pace(paces[0]));
            plan.pending_for = plan.pending_for.mul_f64(pace(paces[1]));
            plan.stopping_for = plan.stopping_for.mul_f64(pace(paces[2]));
        }
        let (kind, when) = (chance.of(12), chance.fraction());
        let mut left = chance.fraction();
        let mut is = |probability: f64| {
            left -= probability;
            left < 0.0
        };
        if plan.then != Then::RunsOn {
            return plan;
        }
        plan.then = if is(weather.never_starts) {
            match NEVER_STARTS.get(kind % (NEVER_STARTS.len() + 1)) {
                Some(reason) => Then::NeverStarts {
                    reason: (*reason).to_owned(),
                },
                None => Then::InterfaceNeverAttached,
            }
        } else if is(weather.never_runs) {
            Then::NeverRuns
        } else if is(weather.crashes) {
            let (code, reason) = EXITS[kind % EXITS.len()];
            Then::ExitsAfter {
                after: weather.crashes_within.mul_f64(when * when),
                code,
                reason: reason.map(str::to_owned),
            }
        } else {
            Then::RunsOn
        };
        plan
    }

    /// Why one more task is not placed, where it is not.
    pub(crate) fn unplaced(&mut self) -> Option<&'static str> {
        const REASONS: [&str; 4] = ["RESOURCE:MEMORY", "RESOURCE:CPU", "RESOURCE:ENI", "AGENT"];
        let reason = REASONS[self.chance.of(REASONS.len())];
        self.chance.is(self.weather.unplaced).then_some(reason)
    }

    pub(crate) fn takes_an_address_again(&mut self) -> bool {
        self.chance.is(self.weather.addresses_again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_brings_each_mishap_about_as_often_as_it_says() {
        let mut sky = Sky::new(Weather::STORM.calls, 5, 1);
        let fates: Vec<Fate> = (0..20_000).map(|_| sky.fate()).collect();
        let share = |fits: &dyn Fn(&Mishap) -> bool| {
            let count = fates
                .iter()
                .filter(|fate| fate.mishap.as_ref().is_some_and(fits))
                .count();
            count as f64 / fates.len() as f64
        };
        assert!((0.025..0.035).contains(&share(&|mishap| *mishap == Mishap::AnswerLost)));
        assert!((0.016..0.024).contains(&share(&|mishap| *mishap == Mishap::Twice)));
        assert!((0.007..0.013).contains(&share(&|mishap| matches!(mishap, Mishap::Late(_)))));
    }

    #[test]
    fn nothing_happens_where_there_is_no_weather() {
        let mut sky = Sky::<CallWeather>::default();
        assert!((0..1_000).all(|_| sky.fate() == Fate::default()));
        let mut tasks = Sky::<TaskWeather>::default();
        assert!((0..1_000).all(|_| tasks.plan(TaskPlan::fargate()) == TaskPlan::fargate()));
        let mut events = Sky::<EventWeather>::default();
        assert!((0..1_000).all(|_| events.arrivals() == [Duration::ZERO]));
    }

    #[test]
    fn some_tasks_of_a_storm_do_not_run_on() {
        let mut sky = Sky::new(Weather::STORM.tasks, 5, 4);
        let plans: Vec<_> = (0..1_000).map(|_| sky.plan(TaskPlan::fargate()).then).collect();
        let count = |fits: &dyn Fn(&Then) -> bool| plans.iter().filter(|then| fits(then)).count();
        assert!(count(&|then| matches!(then, Then::NeverStarts { .. })) > 10);
        assert!(count(&|then| matches!(then, Then::InterfaceNeverAttached)) > 0);
        assert!(count(&|then| matches!(then, Then::ExitsAfter { .. })) > 30);
        assert!(count(&|then| *then == Then::RunsOn) > 800);
    }
}
