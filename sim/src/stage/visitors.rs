//! The visitors: they ask at a tenant's address, and wait at the load balancer's page until somebody answers.

use std::time::Duration;
use tokio::time::Instant;
use wharf_platform::{RouteKey, Standing};
use wharf_testkit::sim::{Flaw, SimWorld, routes::Visit};

use super::machines::Machines;
use crate::rules::Rules;

/// The page that waits asks again by itself after so long.
const AGAIN: Duration = Duration::from_secs(2);

/// Who is out there, and what they come to.
#[derive(Clone)]
pub(super) struct Visitors {
    pub(super) world: SimWorld,
    pub(super) machines: Machines,
    pub(super) rules: std::sync::Arc<Rules>,
}

impl Visitors {
    /// Somebody asks until he is answered or told that there is nothing to wait for, and no longer than this. Gives what he was told last, or that there is a line before
    /// the machine, if he ever was.
    pub(super) async fn ask(&self, name: &str, patience: Duration) -> Visit {
        let key = at(name);
        let since = Instant::now();
        let mut in_line = false;
        loop {
            let told = self.world.visit(&key);
            match &told {
                Visit::Answered(id) => {
                    self.rules.was_used(id);
                    return told;
                }
                Visit::Page(Standing::Starting) => self.tell_of(&key),
                Visit::Page(Standing::Queued) => {
                    in_line = true;
                    self.tell_of(&key);
                }
                Visit::Page(Standing::Stopped | Standing::Down) => return told,
                // The load balancer dies with its server, and comes back with it.
                Visit::BadGateway | Visit::NotFound => {}
            }
            if since.elapsed() >= patience {
                return if in_line { Visit::Page(Standing::Queued) } else { told };
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The same, and he stays for a while.
    pub(super) async fn visit(&self, name: &str, patience: Duration, stays: Duration) {
        let told = self.ask(name, patience).await;
        self.world.note("visitor", format_args!("{name}: {told:?}"));
        if let Visit::Answered(id) = told
            && !stays.is_zero()
            && let Some(request) = self.world.begin_request(&at(name))
        {
            tokio::time::sleep(stays).await;
            if self.world.lasts(&request) {
                self.rules.was_used(&id);
            }
            self.world.end_request(request);
        }
    }

    /// The load balancer tells the server that it lives in whose visitor waits.
    fn tell_of(&self, key: &RouteKey) {
        if self.world.has(Flaw::WakesNobody) {
            return;
        }
        if let (Some(id), Some(wharf)) = (self.world.awaited(key), self.machines.wharf(0)) {
            tokio::spawn(async move { wharf.asked_for(&id).await });
        }
    }
}

fn at(name: &str) -> RouteKey {
    RouteKey::Host {
        host: format!("{name}.localhost"),
    }
}
