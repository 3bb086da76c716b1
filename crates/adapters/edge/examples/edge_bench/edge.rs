//! The edge under test: one listener, so many routes, all to the same upstream.

use futures::FutureExt;
use http::Response;
use http_body_util::{BodyExt, Full};
use std::{io::Write, sync::Arc, time::Duration};
use wharf_domain::{Attempt, DeploymentId, Endpoint, InstanceId, Timestamp, instance::TaskRef, service::HealthCheck};
use wharf_edge::{ControlService, Edge, EdgeConfig, EdgeProber};
use wharf_platform::{Backend, Owner, Probe, Prober, RouteKey, Routes};

use crate::process::own_cpu;

/// The host that is asked for; the other routes have numbers.
pub(crate) const HOST: &str = "acme.localhost";

/// Serves until it is ended; its port goes to stdout first.
pub(crate) fn serve(routes: u32, upstream: u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let control: ControlService = Arc::new(|_, _| {
            async { Response::new(Full::from("control").map_err(|never| match never {}).boxed_unsync()) }.boxed()
        });
        let config = EdgeConfig::new(([127, 0, 0, 1], 0).into());
        let edge = Edge::bind(config, control, tokio::runtime::Handle::current()).unwrap();
        for number in 0..routes {
            let host = if number == routes / 2 {
                HOST.to_owned()
            } else {
                format!("tenant-{number}.localhost")
            };
            let backend = backend(number, host, upstream);
            let (owner, key) = (backend.owner.clone(), backend.key.clone());
            edge.register(backend).await.unwrap();
            edge.open(&owner, &key).await.unwrap();
        }
        println!("{}", edge.local_addr().port());
        std::io::stdout().flush().unwrap();
        std::future::pending::<()>().await;
    });
}

/// CPU time of one probe of a task that answers, and of one that does not listen yet, in microseconds.
pub(crate) fn probe_cost(upstream: u16, probes: u32) -> (f64, f64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let prober = EdgeProber::new(None);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let cost = |port: u16| {
        let probe = probe(&backend(0, HOST.to_owned(), port));
        let before = own_cpu();
        runtime.block_on(async {
            for _ in 0..probes {
                let _ = prober.probe(&probe).await;
            }
        });
        own_cpu().saturating_sub(before).as_secs_f64() * 1e6 / f64::from(probes)
    };
    (cost(upstream), cost(nobody))
}

fn backend(number: u32, host: String, port: u16) -> Backend {
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.to_be_bytes());
    Backend {
        owner: Owner {
            deployment: DeploymentId::new([0; 10]),
            instance: InstanceId::new(Timestamp(1), random),
            attempt: Attempt(1),
        },
        key: RouteKey::Host { host },
        endpoint: Endpoint::Address {
            ip: [127, 0, 0, 1].into(),
            port,
        },
        identity_header: None,
        health: HealthCheck {
            path: "/".to_owned(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            healthy: 1,
            unhealthy: 3,
        },
    }
}

fn probe(backend: &Backend) -> Probe {
    Probe {
        owner: backend.owner.clone(),
        task: TaskRef {
            id: "bench".to_owned(),
            attempt: backend.owner.attempt,
        },
        endpoint: backend.endpoint.clone(),
        host: HOST.to_owned(),
        path: "/".to_owned(),
        timeout: Duration::from_secs(2),
        identity_header: None,
    }
}
