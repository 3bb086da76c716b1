//! Simulated probes: they ask whatever is at an address, and know whose it is.

use async_trait::async_trait;
use wharf_domain::{Code, Endpoint, Failure, Timestamp};
use wharf_platform::{Owner, Probe, Prober, Proof};

use super::{Answers, Flaw, SimWorld, calls::Calls, world::State};

impl State {
    /// Who answers at an address, if it is this owner's own task and it answers well.
    pub(crate) fn ask(
        &self,
        owner: &Owner,
        endpoint: &Endpoint,
        identity_header: Option<&str>,
        now: Timestamp,
    ) -> Result<Proof, Failure> {
        let another = |who: &str| {
            Failure::new(Code::RouteIdentity, format!("{who} answers at {}", endpoint.key()))
                .hint("find out what listens there, and end it")
        };
        if self.has(Flaw::ProbesNobody) {
            return Ok(Proof::Platform);
        }
        if let Some(squatter) = self.squatters.get(&endpoint.key()) {
            return Err(another(squatter));
        }
        let answers = self
            .tasks
            .values()
            .filter(|task| task.endpoint == *endpoint)
            .find_map(|task| Some((&task.owner, task.answer(now)?)));
        let is_trusted = self.has(Flaw::TrustsAnyAnswer);
        match answers {
            None => Err(Failure::new(
                Code::RouteUnhealthy,
                format!("nobody answers at {}", endpoint.key()),
            )),
            Some((whose, answers)) if is_trusted && (whose != owner || matches!(answers, Answers::As(_))) => {
                Ok(Proof::Platform)
            }
            Some((whose, _)) if whose != owner => Err(another(&whose.instance.to_string())),
            Some((_, Answers::As(name))) => Err(another(name)),
            Some((_, Answers::Status(status))) if !(200..400).contains(status) => Err(Failure::new(
                Code::RouteUnhealthy,
                format!("{} answers {status}", endpoint.key()),
            )),
            Some((whose, _)) => {
                self.answered.borrow_mut().insert(whose.clone());
                Ok(if identity_header.is_some() {
                    Proof::Header
                } else {
                    Proof::Platform
                })
            }
        }
    }
}

/// Probes, as one process makes them.
pub(crate) struct SimProber(pub(crate) Calls);

#[async_trait]
impl Prober for SimProber {
    async fn probe(&self, probe: &Probe) -> Result<Proof, Failure> {
        let probe = probe.clone();
        self.0
            .make("prober.probe", probe.endpoint.key(), move |state, now| {
                state.ask(&probe.owner, &probe.endpoint, probe.identity_header.as_deref(), now)
            })
            .await
    }
}

impl SimWorld {
    /// Somebody who is none of ours listens at this address from now on.
    pub fn squat(&self, endpoint: &Endpoint, who: &str) {
        self.state().squatters.insert(endpoint.key(), who.to_owned());
    }
}
