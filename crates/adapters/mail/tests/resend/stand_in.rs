//! A stand-in for Resend: it takes mails as the reference says, knows repetitions by their key, and fails as it is told to.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::SocketAddr,
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use wharf_testkit::certificate;

pub(crate) const KEY: &str = "re_123_top_secret";

/// What comes of one request.
pub(crate) enum Fault {
    /// It is answered so, and nothing is taken.
    Refuse(u16, &'static str, Option<&'static str>),
    /// The mail is taken, and no answer ever comes.
    TakeAndHang,
    /// The mail is taken, and the connection breaks.
    TakeAndBreak,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) faults: VecDeque<Fault>,
    /// By their keys, as they were sent.
    pub(crate) mails: BTreeMap<String, Value>,
    pub(crate) requests: usize,
}

/// Runs until it is dropped.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certificate::CERTIFICATE).expect("a certificate")
}

impl StandIn {
    pub(crate) async fn plain() -> Self {
        Self::serve(None).await
    }

    /// With a certificate that nobody vouches for.
    pub(crate) async fn with_tls() -> Self {
        let key = PrivateKeyDer::from_pem_slice(certificate::KEY).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate()], key)
            .expect("certificate and key fit");
        Self::serve(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    pub(crate) fn will(self, fault: Fault) -> Self {
        self.state.lock().faults.push_back(fault);
        self
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (shared.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => talk(stream, state).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                talk(stream, state).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            state,
            serving,
        }
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + Send, state: Arc<Mutex<State>>) {
    let service = service_fn(|request| answer(request, state.clone()));
    // A connection that the test breaks is over, and nothing more.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let header = |name: &str| {
        head.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/emails"));
    assert_eq!(header("content-type"), "application/json");
    if header("authorization") != format!("Bearer {KEY}") {
        return Ok(refusal(403, "invalid_api_key", None));
    }
    let fault = {
        let mut state = state.lock();
        state.requests += 1;
        state.faults.pop_front()
    };
    if let Some(Fault::Refuse(status, name, retry_after)) = fault {
        return Ok(refusal(status, name, retry_after));
    }
    let key = header("idempotency-key").to_owned();
    let mail: Value = serde_json::from_slice(&body).expect("JSON");
    {
        let mut state = state.lock();
        if state.mails.get(&key).is_some_and(|known| *known != mail) {
            return Ok(refusal(409, "invalid_idempotent_request", None));
        }
        state.mails.insert(key.clone(), mail);
    }
    match fault {
        Some(Fault::TakeAndHang) => std::future::pending().await,
        Some(Fault::TakeAndBreak) => Err(io::ErrorKind::ConnectionReset.into()),
        _ => Ok(json_answer(200, &json!({ "id": key }))),
    }
}

fn refusal(status: u16, name: &str, retry_after: Option<&'static str>) -> Response<Full<Bytes>> {
    let body = json!({"statusCode": status, "name": name, "message": "The words of Resend for ada@example.com"});
    let mut response = json_answer(status, &body);
    if let Some(seconds) = retry_after {
        let seconds = http::HeaderValue::from_static(seconds);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

fn json_answer(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}
