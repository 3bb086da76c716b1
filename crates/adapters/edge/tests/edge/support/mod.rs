//! What the tests share: an edge with a simple control service, backends, and a client that sends bytes as they are.

pub(crate) mod backend;
pub(crate) mod client;
pub(crate) mod strict;

use futures::FutureExt;
use http::Response;
use http_body_util::{BodyExt, Full};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::runtime::Handle;
use wharf_domain::{Attempt, DeploymentId, Endpoint, InstanceId, Timestamp, service::HealthCheck};
use wharf_edge::{ControlService, Edge, EdgeConfig};
use wharf_platform::{Backend, Owner, RouteKey, Routes};

use client::{Answer, Client};

/// Longer than anything here takes, and shorter than anybody waits for a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn config() -> EdgeConfig {
    let mut config = EdgeConfig::new(([127, 0, 0, 1], 0).into());
    config.cores = std::num::NonZeroUsize::new(2);
    config
}

/// Answers every control request with `control` and the path.
pub(crate) fn control() -> ControlService {
    Arc::new(|request, peer| {
        async move {
            let text = format!("control {} for {}", request.uri().path(), peer.ip());
            Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync())
        }
        .boxed()
    })
}

pub(crate) fn edge() -> Edge {
    edge_with(|_| {})
}

pub(crate) fn edge_with(change: impl FnOnce(&mut EdgeConfig)) -> Edge {
    let mut config = config();
    change(&mut config);
    Edge::bind(config, control(), Handle::current()).unwrap()
}

/// Whoever waits for something that starts is held for so long, a browser like a program.
pub(crate) fn hold(config: &mut EdgeConfig, time: Duration) {
    config.timeouts.hold = time;
    config.timeouts.hold_programs = time;
}

pub(crate) fn owner(seed: u8, attempt: u32) -> Owner {
    Owner {
        deployment: DeploymentId::new([0; 10]),
        instance: InstanceId::new(Timestamp(1), [seed; 10]),
        attempt: Attempt(attempt),
    }
}

pub(crate) fn host(name: &str) -> RouteKey {
    RouteKey::Host {
        host: format!("{name}.localhost"),
    }
}

pub(crate) fn prefix(prefix: &str) -> RouteKey {
    RouteKey::Path {
        prefix: prefix.to_owned(),
    }
}

/// A backend whose health checks are out of the way.
pub(crate) fn backend(owner: &Owner, key: RouteKey, address: SocketAddr) -> Backend {
    Backend {
        owner: owner.clone(),
        key,
        endpoint: Endpoint::Address {
            ip: address.ip(),
            port: address.port(),
        },
        identity_header: None,
        health: HealthCheck {
            path: "/healthz".to_owned(),
            interval: Duration::from_mins(1),
            timeout: Duration::from_secs(5),
            healthy: 1,
            unhealthy: 1,
        },
    }
}

/// Registers a backend, and lets visitors there.
pub(crate) async fn serve(edge: &Edge, backend: Backend) {
    let (owner, key) = (backend.owner.clone(), backend.key.clone());
    edge.register(backend).await.unwrap();
    edge.open(&owner, &key).await.unwrap();
}

/// One GET for a host, on a connection of its own.
pub(crate) async fn get(edge: &Edge, host: &str, path: &str) -> Answer {
    let mut client = Client::connect(edge.local_addr()).await;
    client
        .ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
        .await
}

/// A visit as browsers make it.
pub(crate) async fn browse(edge: &Edge, host: &str) -> Answer {
    let mut client = Client::connect(edge.local_addr()).await;
    client
        .ask(&format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nAccept: text/html,*/*;q=0.8\r\n\r\n"
        ))
        .await
}

/// Waits until something holds, and fails where it never does.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect(what);
}
