//! The first answer of a task: asked for directly, not through the edge, with the proof that it is this instance's own.

use async_trait::async_trait;
use futures::future::BoxFuture;
use http::HeaderName;
use std::{fmt, net::SocketAddr, sync::Arc};
use wharf_domain::{Code, Failure};
use wharf_platform::{Probe, Prober, Proof};

use crate::ask::{Question, ask};

/// Whether the task that a probe names is what listens at its endpoint, as the platform knows it: that the listening socket
/// belongs to our child's process group, that the address is the container's own.
pub type Owns = Arc<dyn Fn(&Probe) -> BoxFuture<'static, Result<bool, Failure>> + Send + Sync>;

/// Asks tasks over HTTP/1.1, with a connection for each probe.
///
/// Where the service sends an identity header, that is the proof. Elsewhere the platform is asked (`owns`); with no `owns` the
/// address is taken as proof, which is right where every task has an address of its own, and nowhere else.
///
/// A probe may come at any time, also before the task listens: that is `route.unhealthy`, and costs a system call or two.
#[derive(Clone)]
pub struct EdgeProber {
    owns: Option<Owns>,
}

impl EdgeProber {
    #[must_use]
    pub fn new(owns: Option<Owns>) -> Self {
        Self { owns }
    }
}

#[async_trait]
impl Prober for EdgeProber {
    async fn probe(&self, probe: &Probe) -> Result<Proof, Failure> {
        let ip = probe.endpoint.ip().ok_or_else(|| {
            let endpoint = probe.endpoint.key();
            Failure::new(Code::RouteUnhealthy, format!("the address of {endpoint} is not known"))
        })?;
        let address = SocketAddr::new(ip, probe.endpoint.port());
        let identity_header = probe.identity_header.as_deref().map(HeaderName::try_from).transpose();
        let identity_header = identity_header
            .map_err(|_| Failure::new(Code::ConfigInvalid, "the identity header's name is not one of a header"))?;
        ask(Question {
            address,
            host: &probe.host,
            path: &probe.path,
            timeout: probe.timeout,
            instance: &probe.owner.instance,
            identity_header: identity_header.as_ref(),
        })
        .await?;
        let proof = match (&identity_header, &self.owns) {
            (Some(_), _) => Proof::Header,
            (None, None) => Proof::Platform,
            (None, Some(owns)) => {
                if !owns(probe).await? {
                    return Err(Failure::new(
                        Code::RouteIdentity,
                        format!("another program than this instance's own listens on {address}"),
                    )
                    .hint("end that program, or keep it out of the range that ports are leased from"));
                }
                Proof::Platform
            }
        };
        Ok(proof)
    }
}

impl fmt::Debug for EdgeProber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeProber")
            .field("owns", &self.owns.is_some())
            .finish_non_exhaustive()
    }
}
