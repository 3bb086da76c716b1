//! The connection to Resend: TLS by rustls with ring, as everywhere in Wharf.

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::{io, sync::Arc, time::Duration};

pub(super) type Connector = HttpsConnector<HttpConnector>;

/// Mails come in bunches, a connection that rests longer than this is closed by somebody on the way.
const IDLE: Duration = Duration::from_secs(20);
/// The outbox hands over one after the other.
const IDLE_CONNECTIONS: usize = 2;

/// A client that trusts `roots`, or whom the machine trusts.
pub(super) fn client(roots: Option<RootCertStore>) -> io::Result<Client<Connector, Full<Bytes>>> {
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
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_timer(TokioTimer::new())
        .build(connector))
}
