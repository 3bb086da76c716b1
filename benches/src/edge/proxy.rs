//! The edge in a process of its own, so that its CPU time can be told: as `wharf up` configures it, with so many routes, all of
//! which lead to the same upstream.

use futures::FutureExt;
use http::Response;
use http_body_util::{BodyExt, Full};
use std::{
    io::BufRead,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use wharf_domain::{Attempt, DeploymentId, Endpoint, InstanceId, Timestamp, service::HealthCheck};
use wharf_edge::{ControlService, Edge, EdgeConfig};
use wharf_platform::{Backend, Owner, RouteKey, Routes};

use crate::{Result, children::Running};

/// The host that is asked for. The other routes' hosts have numbers.
pub(crate) const HOST: &str = "acme.localhost";

/// What the process is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Part {
    #[arg(long)]
    routes: u32,
    #[arg(long)]
    upstream: SocketAddr,
}

pub(crate) fn start(routes: u32, upstream: SocketAddr) -> Result<(Running, SocketAddr)> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("edge")
        .args(["--routes", &routes.to_string()])
        .args(["--upstream", &upstream.to_string()]);
    announced(&mut command)
}

/// The child's side: serves until it is ended.
pub(crate) fn part(part: &Part) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let control: ControlService = Arc::new(|_, _| {
            async { Response::new(Full::from("control").map_err(|never| match never {}).boxed_unsync()) }.boxed()
        });
        let config = EdgeConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        let edge = Edge::bind(config, control, tokio::runtime::Handle::current())?;
        for number in 0..part.routes {
            let host = if number == part.routes / 2 {
                HOST.to_owned()
            } else {
                format!("tenant-{number}.localhost")
            };
            let backend = backend(number, host, part.upstream);
            let (owner, key) = (backend.owner.clone(), backend.key.clone());
            edge.register(backend).await?;
            edge.open(&owner, &key).await?;
        }
        announce(edge.local_addr());
        std::future::pending().await
    })
}

/// With the health check that a service has by default.
fn backend(number: u32, host: String, upstream: SocketAddr) -> Backend {
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
            ip: upstream.ip(),
            port: upstream.port(),
        },
        identity_header: None,
        health: HealthCheck {
            path: "/".to_owned(),
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            healthy: 1,
            unhealthy: 3,
        },
    }
}

/// Says where a child process listens.
pub(super) fn announce(address: SocketAddr) {
    println!("{address}");
}

/// Starts a child process that says where it listens.
pub(super) fn announced(command: &mut Command) -> Result<(Running, SocketAddr)> {
    let process = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let output = process.take_stdout().ok_or("a child without an output")?;
    let mut line = String::new();
    std::io::BufReader::new(output).read_line(&mut line)?;
    let address = line
        .trim()
        .parse()
        .map_err(|_| format!("{} ended before it listened", command.get_program().display()))?;
    Ok((process, address))
}
