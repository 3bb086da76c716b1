//! The endpoint: takes connections, and reads whole requests. What is done with them is in [`crate::exchange`].

use crate::core::Core;
use crate::refusal::Refusal;
use crate::wire::answer;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What a request's body may have; AWS's own bounds are below it.
const MOST_BODY: usize = 1 << 20;
/// Connections at a time: an SDK client opens one for each call under way.
const MOST_CONNECTIONS: usize = 2_048;
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

impl Core {
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => accepted,
                Some(_) = connections.join_next() => continue,
            };
            // An accept that fails (too many open files) says nothing about the next one.
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let core = Arc::clone(&self);
            connections.spawn(async move {
                let service = service_fn(move |request| Arc::clone(&core).answer(request));
                // It ends by an error where the client goes away, and where that is ordered.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, io::Error> {
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, MOST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let refusal = Refusal::new("RequestEntityTooLarge", "the request is too large").with_status(413);
                return Ok(answer::unreadable(true, &refusal, &self.request_id()).map(Full::new));
            }
            Err(error) => return Err(io::Error::other(error)),
        };
        match self.respond(Request::from_parts(head, body)).await {
            Ok(response) => Ok(response.map(Full::new)),
            Err(dropped) => Err(io::Error::other(dropped)),
        }
    }
}
