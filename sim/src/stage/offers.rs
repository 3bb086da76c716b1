//! What is offered on the stage: services with tenants and without, those that sleep, and trials.

use std::time::Duration;
use wharf_domain::{
    Service,
    service::{AfterTrial, RouteRule, RunSpec, Sleep, SleepBy, Trial},
};
use wharf_testkit::sim::{Flaw, SimWorld, services};

use crate::script::{Layout, Setting};

/// What of each task is booked.
pub(super) const BOOKED: u64 = 1 << 20;
/// Who is not used for so long sleeps.
const SLEEPS_AFTER: Duration = Duration::from_mins(3);
/// How long a trial is, and how long before its end its tenant is told: a few of the troubles of a day fit into each.
const TRIAL: Duration = Duration::from_mins(20);
const NOTICE: Duration = Duration::from_mins(8);

/// What is served. Several servers have no load balancer of their own: theirs are target groups.
pub(super) fn services_of(setting: &Setting) -> Vec<Service> {
    let mut services = services::all();
    if setting.offers.sleepers {
        services.extend([SleepBy::Stop, SleepBy::Pause].map(sleeper));
    }
    if setting.offers.trials {
        services.push(trial("guest", AfterTrial::End, None));
        let sleep = setting.offers.sleepers.then(|| sleep(SleepBy::Pause));
        services.push(trial("demo", AfterTrial::Stop, sleep));
    }
    for service in &mut services {
        if let RunSpec::Process { memory, .. } = &mut service.run {
            *memory = Some(BOOKED);
        }
    }
    if matches!(setting.layout, Layout::Fleet(_)) {
        for service in &mut services {
            if !matches!(service.route, RouteRule::Direct { .. }) {
                service.route = RouteRule::TargetGroups {
                    arns: vec![services::target_group(service.name.as_str())],
                    rule: None,
                    url: Some(format!("https://api.example.com/{}", service.name)),
                };
            }
        }
    }
    services
}

fn sleep(by: SleepBy) -> Sleep {
    Sleep {
        after: SLEEPS_AFTER,
        by,
    }
}

fn sleeper(by: SleepBy) -> Service {
    Service {
        sleep: Some(sleep(by)),
        ..services::sleeper(by)
    }
}

fn trial(name: &str, then: AfterTrial, sleep: Option<Sleep>) -> Service {
    let plain = services::plain(name);
    Service {
        name: plain.name,
        run: plain.run,
        sleep,
        trial: Some(Trial {
            length: TRIAL,
            notice: NOTICE,
            then,
        }),
        ..services::shop()
    }
}

/// The same as it is configured where one of these mistakes is made.
pub(super) fn mistaken(world: &SimWorld, service: &mut Service) {
    let Some(trial) = &mut service.trial else { return };
    if world.has(Flaw::ShortensTrials) {
        trial.length = trial.length * 3 / 4;
    }
    if world.has(Flaw::ForgetsNotice) {
        trial.notice = Duration::ZERO;
    }
}
