//! Who answers at an address: the task that runs there by the simulator's account, in place of a connection to it.

use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use wharf_aws_simulator::Simulator;
use wharf_domain::{Code, Endpoint, Failure};
use wharf_platform::{Probe, Prober, Proof};
use wharf_testkit::sim::Process;

/// On the way there, and back.
const WAY: Duration = Duration::from_millis(3);

/// Probes of one process.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedProber {
    pub(crate) process: Process,
    pub(crate) simulator: Arc<Simulator>,
}

impl SimulatedProber {
    fn ask(&self, probe: &Probe) -> Result<Proof, Failure> {
        let unhealthy = |what: &str| Failure::new(Code::RouteUnhealthy, format!("{what} at {}", probe.endpoint.key()));
        let port = probe.endpoint.port();
        let here = match (&probe.endpoint, probe.endpoint.ip()) {
            (_, Some(ip)) => self.simulator.who_listens(&ip.to_string(), port),
            (Endpoint::Host { ec2_instance, .. }, None) => self.simulator.who_listens(ec2_instance, port),
            (Endpoint::Address { .. }, None) => None,
        };
        let task = here.ok_or_else(|| unhealthy("nobody answers"))?;
        let instance = task.environment.get("WHARF_INSTANCE_ID");
        if instance.map(String::as_str) == Some(probe.owner.instance.as_str()) {
            return Ok(if probe.identity_header.is_some() {
                Proof::Header
            } else {
                Proof::Platform
            });
        }
        Err(Failure::new(
            Code::RouteIdentity,
            format!("{instance:?} answers at {}", probe.endpoint.key()),
        ))
    }
}

#[async_trait]
impl Prober for SimulatedProber {
    async fn probe(&self, probe: &Probe) -> Result<Proof, Failure> {
        let asking = async {
            tokio::time::sleep(WAY).await;
            let answer = self.ask(probe);
            tokio::time::sleep(WAY).await;
            answer
        };
        let outcome = |answer: &Result<Proof, Failure>| match answer {
            Ok(_) => "ok".to_owned(),
            Err(failure) => failure.code.to_string(),
        };
        self.process
            .through("probe", probe.endpoint.key(), asking, outcome)
            .await
    }
}
