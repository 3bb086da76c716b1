//! The edge held to the contracts of `Routes` and `Prober`, as every load balancer and every prober is.

use futures::FutureExt;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;
use wharf_domain::{DeploymentId, Endpoint};
use wharf_edge::{Edge, EdgeProber};
use wharf_platform::{Owner, RouteKey};
use wharf_testkit::contracts::{prober, routes};

use crate::support::{
    backend::{Server, text},
    client::Client,
    edge_with, hold,
};

/// The header in which upstreams say whose they are.
const WHO: &str = "x-who";
/// What takes until the test says so.
const SLOW: &str = "/slow";

/// A request for a route: its host, and a path below its prefix.
fn request(key: &RouteKey, path: &str) -> String {
    let (host, path) = match key {
        RouteKey::Host { host } => (host.as_str(), path.to_owned()),
        RouteKey::Path { prefix } => ("services.localhost", format!("{prefix}{path}")),
        RouteKey::TargetGroups { .. } => unreachable!("the edge has no target groups"),
    };
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// Starts an upstream that names its owner, and on the slow path answers when `go` says so.
async fn upstream(owner: Owner, go: watch::Receiver<bool>) -> Server {
    Server::start(move |request| {
        let (who, mut go) = (owner.instance.to_string(), go.clone());
        let is_slow = request.uri().path().ends_with(SLOW);
        async move {
            if is_slow {
                let _ = go.wait_for(|go| *go).await;
            }
            let mut response = text("here");
            response
                .headers_mut()
                .insert(WHO, who.parse().expect("an id is a header's value"));
            response
        }
        .boxed()
    })
    .await
}

async fn visit(edge: Arc<Edge>, key: RouteKey) -> Option<wharf_domain::InstanceId> {
    let mut client = Client::connect(edge.local_addr()).await;
    client.ask(&request(&key, "/")).await.header(WHO).parse().ok()
}

async fn make() -> routes::Fixture {
    let edge = Arc::new(edge_with(|config| hold(config, Duration::from_millis(1))));
    let (go, gone) = watch::channel(false);
    let (go, servers) = (Arc::new(go), Arc::new(Mutex::new(Vec::new())));
    let (keeps, visited, asked) = (Arc::clone(&servers), Arc::clone(&edge), Arc::clone(&edge));
    routes::Fixture {
        routes: edge,
        deployment: DeploymentId::new([0; 10]),
        upstream: Box::new(move |owner| {
            let (servers, gone) = (Arc::clone(&servers), gone.clone());
            async move {
                let server = upstream(owner, gone).await;
                let (ip, port) = (server.address.ip(), server.address.port());
                servers.lock().expect("nobody panics with it").push(server);
                Endpoint::Address { ip, port }
            }
            .boxed()
        }),
        visit: Box::new(move |key| visit(Arc::clone(&visited), key).boxed()),
        linger: Box::new(move |key| {
            let (edge, go) = (Arc::clone(&asked), Arc::clone(&go));
            async move {
                let mut client = Client::connect(edge.local_addr()).await;
                let before = edge.metrics().in_flight;
                client.send(request(&key, SLOW)).await;
                crate::support::until("it is under way", || edge.metrics().in_flight > before).await;
                let end: routes::EndRequest = Box::new(move || {
                    let _ = go.send(true);
                    tokio::spawn(async move { client.answer(false).await });
                });
                end
            }
            .boxed()
        }),
        keeps: Box::new(keeps),
    }
}

wharf_testkit::routes_contract!(real make);

mod probes {
    use super::{Arc, EdgeProber, prober};

    async fn make() -> prober::Fixture {
        prober::Fixture::over_http(Arc::new(EdgeProber::new(None)), ())
    }

    wharf_testkit::prober_contract!(real make);
}
