//! Control requests: handed to another runtime, and their answers handed back, so that whatever the control service does, it
//! never keeps a proxying core busy.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
};
use tokio::{runtime::Handle, sync::mpsc};

use crate::{
    body::{BodyError, Source},
    config::EdgeConfig,
    crowd::{Crowd, Seat},
    metrics::Gauge,
};

/// An answer's body, of any kind.
pub type ControlBody = UnsyncBoxBody<Bytes, BodyError>;

/// What answers control requests: sign-up, console, API. It is given the request as it was sent, and the address of the peer;
/// whether the peer is a proxy whose `X-Forwarded-For` counts is the service's to decide.
///
/// Every call, and the body that it returns, runs on the control runtime. A call is not cancelled when the client goes away; a
/// streamed body is dropped then. An axum router becomes one so:
///
/// ```text
/// let control: ControlService = Arc::new(move |request, peer| {
///     let mut request = request.map(axum::body::Body::new);
///     request.extensions_mut().insert(ConnectInfo(peer));
///     let answering = router.clone().oneshot(request);
///     Box::pin(async move {
///         let response = answering.await.unwrap_or_else(|never| match never {});
///         response.map(|body| body.map_err(Into::into).boxed_unsync())
///     })
/// });
/// ```
pub type ControlService =
    Arc<dyn Fn(Request<Incoming>, SocketAddr) -> BoxFuture<'static, Response<ControlBody>> + Send + Sync>;

/// An answer that is whole already and no larger is handed over in one piece.
const WHOLE: u64 = 64 * 1024;
/// Pieces of a streamed answer that wait for the client.
const PIECES: usize = 4;

#[derive(Clone)]
pub(crate) struct Control {
    service: ControlService,
    runtime: Handle,
    under_way: Arc<AtomicU64>,
    most: usize,
    crowd: Arc<Crowd>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlError {
    /// As many are under way as may be, in all or of this client.
    Busy,
    /// The service panicked, or its runtime is gone.
    Gone,
}

impl Control {
    pub(crate) fn new(service: ControlService, runtime: Handle, config: &EdgeConfig) -> Self {
        let limits = &config.limits;
        Self {
            service,
            runtime,
            under_way: Arc::default(),
            most: limits.control_requests,
            crowd: Crowd::new(limits.control_requests_per_address, &config.trusted_proxies),
        }
    }

    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Source>, ControlError> {
        let seat = self.crowd.enter(peer.ip()).ok_or(ControlError::Busy)?;
        let under_way = Gauge::up_to(&self.under_way, self.most).ok_or(ControlError::Busy)?;
        let under_way = (seat, under_way);
        let service = Arc::clone(&self.service);
        let answering = self.runtime.spawn(async move {
            let response = service(request, peer).await;
            bridge(response, under_way).await
        });
        answering.await.map_err(|_| ControlError::Gone)
    }
}

/// Makes the body one that another runtime can read without running the service's code.
async fn bridge(response: Response<ControlBody>, under_way: (Seat, Gauge)) -> Response<Source> {
    let (parts, mut body) = response.into_parts();
    if body.size_hint().upper().is_some_and(|length| length <= WHOLE) {
        // What fails half-way is cut off, as a streamed one would be.
        if let Ok(whole) = body.collect().await {
            return Response::from_parts(parts, Source::Whole(whole.to_bytes()));
        }
        let (sender, receiver) = mpsc::channel(1);
        let _ = sender.try_send(Err("the answer broke off".into()));
        return Response::from_parts(parts, Source::Control(receiver));
    }
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, BodyError>>(PIECES);
    tokio::spawn(async move {
        let _under_way = under_way;
        loop {
            let frame = tokio::select! {
                biased;
                () = sender.closed() => return,
                frame = body.frame() => frame,
            };
            let Some(frame) = frame else { return };
            if sender.send(frame).await.is_err() {
                return;
            }
        }
    });
    Response::from_parts(parts, Source::Control(receiver))
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}
