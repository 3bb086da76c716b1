//! The way to the emulator, on which calls are denied, refused, or lose their answers as a test orders; and what was called.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{io, num::NonZeroU32, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};
use wharf_aws::{ClientOptions, Clients, Governor};
use wharf_domain::{DeploymentId, Timestamp};
use wharf_saga::{Clock, Ids};
use wharf_testkit::emulator::Emulator;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Denied,
    /// This code and message.
    Refused(&'static str, &'static str),
    /// It is done, and the connection ends without an answer.
    AnswerLost,
}

#[derive(Default)]
struct State {
    /// By the operation's name: how often still.
    faults: Vec<(&'static str, Fault, usize)>,
    calls: Vec<(String, Value)>,
}

/// An emulator with nothing in it, behind the way. Both end with this value.
pub(crate) struct Way {
    url: String,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
    _emulator: Emulator,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct NoChance;

impl Ids for NoChance {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x40);
    }
}

pub(crate) struct FixedClock;

pub(crate) const NOW: Timestamp = Timestamp(1_793_610_000_000);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW
    }
}

pub(crate) fn deployment(number: u8) -> DeploymentId {
    DeploymentId::new([number; 10])
}

pub(crate) fn governor() -> Arc<Governor> {
    Arc::new(Governor::new(NonZeroU32::MIN, Arc::new(NoChance)))
}

impl Way {
    pub(crate) async fn open() -> Self {
        let emulator = Emulator::start(&[]).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::<Mutex<State>>::default();
        let (shared, target) = (state.clone(), emulator.url());
        let client = Client::builder(TokioExecutor::new()).build_http();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, target, client) = (shared.clone(), target.clone(), client.clone());
                tokio::spawn(async move {
                    let service = service_fn(|request| pass(request, &state, &target, &client));
                    // A connection that is to break does.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            url,
            state,
            serving,
            _emulator: emulator,
        }
    }

    pub(crate) fn clients(&self) -> Arc<Clients> {
        Arc::new(Clients::new(ClientOptions::emulator(&self.url)))
    }

    /// The next so many calls of this operation go wrong.
    pub(crate) fn fault(&self, operation: &'static str, fault: Fault, times: usize) {
        self.state.lock().faults.push((operation, fault, times));
    }

    pub(crate) fn mend(&self) {
        self.state.lock().faults.clear();
    }

    /// What was asked for by this operation.
    pub(crate) fn calls(&self, operation: &str) -> Vec<Value> {
        let state = self.state.lock();
        let of_operation = state.calls.iter().filter(|(name, _)| name == operation);
        of_operation.map(|(_, body)| body.clone()).collect()
    }

    pub(crate) async fn queue(&self, visibility_seconds: u32) -> String {
        let clients = self.clients();
        let visibility = aws_sdk_sqs::types::QueueAttributeName::VisibilityTimeout;
        let call = clients.sqs().await.create_queue().queue_name("wakes");
        let made = call.attributes(visibility, visibility_seconds.to_string()).send().await;
        made.expect("a queue").queue_url.expect("its address")
    }
}

async fn pass(
    request: Request<Incoming>,
    state: &Mutex<State>,
    target: &str,
    client: &Client<HttpConnector, Full<Bytes>>,
) -> io::Result<Response<Full<Bytes>>> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let called = head.headers.get("x-amz-target").and_then(|name| name.to_str().ok());
    let (service, operation) = called.and_then(|name| name.split_once('.')).unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let fault = {
        let mut state = state.lock();
        state.calls.push((operation.to_owned(), asked.clone()));
        let fits = |(name, _, times): &&mut (&str, Fault, usize)| *name == operation && *times > 0;
        state.faults.iter_mut().find(fits).map(|(_, fault, times)| {
            *times -= 1;
            *fault
        })
    };
    match fault {
        Some(Fault::Denied) => {
            let service = if service == "AmazonSQS" { "sqs" } else { service };
            let resource = &asked.get("SecretId").or(asked.get("Name")).or(asked.get("QueueUrl"));
            let resource = resource.and_then(Value::as_str).unwrap_or("*");
            let message = format!(
                "User: arn:aws:sts::1:assumed-role/wharf/x is not authorized to perform: {service}:{operation} on resource: {resource} because no identity-based policy allows the action"
            );
            return Ok(refusal("AccessDeniedException", &message));
        }
        Some(Fault::Refused(code, message)) => return Ok(refusal(code, message)),
        Some(Fault::AnswerLost) | None => {}
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = format!("{target}{path}").parse().map_err(io::Error::other)?;
    let answer = client.request(Request::from_parts(head, Full::new(body))).await;
    let (head, body) = answer.map_err(io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if fault.is_some() {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    Ok(Response::from_parts(head, Full::new(body)))
}

fn refusal(code: &str, message: &str) -> Response<Full<Bytes>> {
    let body = json!({ "__type": code, "message": message }).to_string();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = if code.starts_with("Internal") {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::BAD_REQUEST
    };
    response
}
