//! What a router is built from, and what its handlers share.

use futures::future::BoxFuture;
use ipnet::IpNet;
use prometheus_client::registry::Registry;
use secrecy::{SecretSlice, SecretString};
use std::{fmt, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use wharf_domain::Failure;
use wharf_provisioning::Wharf;
use wharf_saga::{Clock, Ids};

use crate::{
    door::{Clients, Door, Limiter, Origins, SharedLimiter, Streams},
    limits,
    metrics::Metrics,
};

/// Counts one more of what the text names, and gives how many that makes within the stretch of this length that now is in: a count that processes share.
pub type Tally = Arc<dyn Fn(String, Duration) -> BoxFuture<'static, Result<u64, Failure>> + Send + Sync>;

/// Registers further metrics, once, when the router is built.
pub type MetricsHook = Box<dyn FnOnce(&mut Registry) + Send>;

/// What [`router`](crate::router) is built from.
pub struct HttpState {
    pub wharf: Wharf,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    /// What operators show as `Authorization: Bearer …`.
    pub admin_token: SecretString,
    /// What console sessions are signed with: at least 32 bytes from a CSPRNG, kept over restarts.
    pub session_key: SecretSlice<u8>,
    pub limits: SignupLimits,
    /// Where this process is one of many, and short-lived: sign-ups are counted here too.
    pub tally: Option<Tally>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where this is reached, without a slash at the end: `http://localhost:8080`. Links are made from it, never from a request.
    pub public_url: String,
    /// TLS is in front of it: cookies are `__Host-` and `Secure`.
    pub secure: bool,
    pub metrics: MetricsHook,
    /// How many instances still wait to be brought back after a restart.
    pub restoring: Arc<dyn Fn() -> usize + Send + Sync>,
    /// Cancelled when the server ends: streams end with it, so that nothing waits for them.
    pub stopping: CancellationToken,
}

impl fmt::Debug for HttpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpState")
            .field("public_url", &self.public_url)
            .field("limits", &self.limits)
            .field("trusted_proxies", &self.trusted_proxies)
            .finish_non_exhaustive()
    }
}

/// Who may sign up, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignupLimits {
    /// Sign-ups of one client address. Not of those with the admin token, and not of loopback without a forwarded header.
    pub per_address: Rate,
    /// Whether anybody may; otherwise it takes the admin token.
    pub open: bool,
}

/// So many times within any stretch of this length. Counts above 10,000 are taken as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

/// What handlers share.
pub(crate) type App = Arc<Inner>;

pub(crate) struct Inner {
    pub(crate) wharf: Wharf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) door: Door,
    pub(crate) origins: Origins,
    pub(crate) clients: Clients,
    pub(crate) signups: Limiter,
    pub(crate) shared_signups: Option<SharedLimiter>,
    pub(crate) logins: Limiter,
    pub(crate) streams: Streams,
    pub(crate) is_open: bool,
    pub(crate) public_url: String,
    pub(crate) metrics: Metrics,
    pub(crate) restoring: Arc<dyn Fn() -> usize + Send + Sync>,
    pub(crate) stopping: CancellationToken,
}

impl Inner {
    pub(crate) fn new(state: HttpState) -> Self {
        let HttpState {
            wharf,
            clock,
            ids,
            admin_token,
            session_key,
            limits,
            tally,
            trusted_proxies,
            public_url,
            secure,
            metrics,
            restoring,
            stopping,
        } = state;
        let public_url = public_url.trim_end_matches('/').to_owned();
        let streams = Streams::new(limits::STREAMS, limits::STREAMS_OF_ONE);
        Self {
            door: Door::new(&admin_token, session_key, secure),
            origins: Origins::new(&public_url),
            clients: Clients::new(trusted_proxies),
            signups: Limiter::new(limits.per_address),
            shared_signups: tally.map(|tally| SharedLimiter::new(limits.per_address, tally)),
            logins: Limiter::new(Rate {
                count: limits::LOGINS,
                per: limits::LOGIN_WINDOW,
            }),
            metrics: Metrics::new(metrics, streams.under_way()),
            streams,
            is_open: limits.open,
            wharf,
            clock,
            ids,
            public_url,
            restoring,
            stopping,
        }
    }
}
