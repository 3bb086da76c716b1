//! Webhooks that go out: one POST each over TLS, to whom the configuration names and to nobody else.
//!
//! Redirects are not followed, answers are not read beyond their head, and a connection that rests is closed soon: what answers is not ours, and may want to be
//! called longer, elsewhere or more often than it was asked.
//!
//! What must not be here: what is posted, how it is signed, and when it is tried again. That is `provisioning/webhooks`, and its outbox.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::{error::Error, fmt, io, sync::Arc, time::Duration};
use tokio::sync::OnceCell;
use wharf_platform::{MailError, Post, Poster};

/// Standard Webhooks gives a receiver 15 to 30 seconds; one that works longer answers first.
const TIMEOUT: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(5);

type Connector = HttpsConnector<HttpConnector>;

/// Posts webhooks.
pub struct WebhookPoster {
    timeout: Duration,
    /// Who may vouch for receivers, in place of those that the machine trusts.
    roots: Option<RootCertStore>,
    /// Made with the first message: reading the machine's certificates takes a moment.
    client: OnceCell<Client<Connector, Full<Bytes>>>,
}

impl fmt::Debug for WebhookPoster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookPoster")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Default for WebhookPoster {
    fn default() -> Self {
        Self::new(TIMEOUT, None)
    }
}

impl WebhookPoster {
    /// `timeout` is for connection, request and the head of the answer together.
    #[must_use]
    pub fn new(timeout: Duration, roots: Option<RootCertStore>) -> Self {
        Self {
            timeout,
            roots,
            client: OnceCell::new(),
        }
    }

    async fn exchange(&self, post: &Post) -> Result<(), MailError> {
        let (request, host) = request(post)?;
        let client = self
            .client
            .get_or_try_init(async || client(self.roots.clone()))
            .await
            .map_err(|error| MailError::Passing(format!("this machine trusts no certificates: {error}")))?;
        let response = client
            .request(request)
            .await
            .map_err(|error| MailError::Passing(format!("{host} cannot be reached: {}", chain(&error))))?;
        meaning(&host, response.status(), response.headers())
    }
}

#[async_trait]
impl Poster for WebhookPoster {
    async fn post(&self, post: &Post) -> Result<(), MailError> {
        tokio::time::timeout(self.timeout, self.exchange(post))
            .await
            .unwrap_or_else(|_| {
                Err(MailError::Passing(format!(
                    "the receiver did not answer within {:?}",
                    self.timeout
                )))
            })
    }
}

fn request(post: &Post) -> Result<(Request<Full<Bytes>>, String), MailError> {
    let refused = |why: &str| MailError::Permanent(format!("the receiver's address cannot be used: {why}"));
    let uri: Uri = post.url.parse().map_err(|_| refused("it is none"))?;
    let host = uri.host().ok_or_else(|| refused("it has no host"))?.to_owned();
    let is_local = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if is_local => {}
        _ => return Err(refused("off this machine it has to be https")),
    }
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("wharf/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &post.headers {
        request = request.header(*name, value);
    }
    let request = request
        .body(Full::new(Bytes::from(post.body.clone())))
        .map_err(|_| MailError::Permanent("the message cannot be put into a request".to_owned()))?;
    Ok((request, host))
}

/// Whether it was taken, and if not whether that can change. Somebody mends a receiver that refuses: it is asked again for as long as the outbox tries.
fn meaning(host: &str, status: StatusCode, headers: &HeaderMap) -> Result<(), MailError> {
    if status.is_success() {
        return Ok(());
    }
    let why = format!("{host} answered {}", status.as_u16());
    let after = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    Err(match (status, after) {
        // It wants nothing of this any more.
        (StatusCode::GONE, _) => MailError::Permanent(why),
        (status, _) if status.is_redirection() => MailError::Passing(format!(
            "{why}, and redirects are not followed: configure the address that it leads to"
        )),
        (_, Some(after)) => MailError::Later { why, after },
        (_, None) => MailError::Passing(why),
    })
}

/// A client that trusts `roots`, or whom the machine trusts.
fn client(roots: Option<RootCertStore>) -> io::Result<Client<Connector, Full<Bytes>>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let config = match roots {
        Some(roots) => config.with_root_certificates(roots),
        None => config.with_native_roots()?,
    };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(1)
        .pool_timer(TokioTimer::new())
        .build(connector))
}

/// An error and its sources: the client's own text says only that it could not connect.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
