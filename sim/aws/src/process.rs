//! One process of Wharf, as AWS hears of it: clients of its own, whose every request passes the process's gate and stands in the trace. A process that
//! is frozen gets no answer, and one that is dead never asked again; what it had sent arrives all the same.

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use std::sync::Arc;
use wharf_aws::{ClientOptions, Clients, EcsTasks, ElbRoutes, Governor, Surroundings};
use wharf_aws_simulator::Connector;
use wharf_platform::Platform;
use wharf_saga::{Clock, Ids};
use wharf_testkit::sim::Process;

use crate::{flaws::Wire, prober::SimulatedProber, site::Site};

/// The adapter's connector, behind a process's gate.
#[derive(Debug)]
struct Gated {
    process: Process,
    connector: Connector,
    wire: Wire,
}

impl HttpConnector for Gated {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let (process, connector, what) = (self.process.clone(), self.connector.clone(), asked(&request));
        let (wire, action) = (self.wire.clone(), what.clone());
        HttpConnectorFuture::new(async move {
            // Made within, so that nothing is sent before the gate.
            let asking = async {
                if let Some(answer) = wire.send(&action, &mut request) {
                    return Ok(answer);
                }
                let mut answer = connector.call(request).await?;
                wire.receive(&action, &mut answer);
                Ok(answer)
            };
            process.through("aws", what, asking, outcome).await
        })
    }
}

/// `ECS.RunTask`, or an action of the Query protocol.
fn asked(request: &HttpRequest) -> String {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    let body = request.body().bytes().unwrap_or_default();
    let form = String::from_utf8_lossy(body);
    let action = form.split('&').find_map(|field| field.strip_prefix("Action="));
    action.unwrap_or("?").to_owned()
}

fn outcome(answer: &Result<HttpResponse, ConnectorError>) -> String {
    match answer {
        Ok(answer) => answer.status().as_u16().to_string(),
        Err(_) => "no answer".to_owned(),
    }
}

/// AWS, as one process reaches it.
#[derive(Clone)]
pub(crate) struct Cloud {
    pub(crate) platform: Platform,
    pub(crate) tasks: Arc<EcsTasks>,
}

impl Cloud {
    /// Databases, secrets, mails and output are the simulated world's.
    pub(crate) fn of(site: &Site, process: &Process, clock: &Arc<dyn Clock>, ids: &Arc<dyn Ids>) -> Self {
        let simulator = &site.account.simulator;
        let deployment = site.world.deployment_id().clone();
        let connector = Gated {
            process: process.clone(),
            connector: Connector::new(simulator.clone()),
            wire: Wire {
                flaw: site.flaw,
                deployment: deployment.clone(),
            },
        };
        let surroundings = Surroundings::new(connector, clock.clone());
        let clients = Arc::new(Clients::new(ClientOptions::within(surroundings, simulator.url())));
        let governor = Arc::new(Governor::new(site.share(), ids.clone()));
        let tasks = Arc::new(EcsTasks::new(
            deployment.clone(),
            clients.clone(),
            governor.clone(),
            clock.clone(),
        ));
        let platform = Platform {
            tasks: tasks.clone(),
            events: tasks.clone(),
            routes: Arc::new(ElbRoutes::new(clients, governor, deployment, ids.clone())),
            prober: Arc::new(SimulatedProber {
                process: process.clone(),
                simulator: simulator.clone(),
            }),
            logs: Arc::new(tasks.logs()),
            ..process.platform()
        };
        Self { platform, tasks }
    }
}
