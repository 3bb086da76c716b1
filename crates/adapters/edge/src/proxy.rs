//! One request to one backend, and its answer back.

use http::{Method, Request, Response, StatusCode, Uri, Version, header::UPGRADE, request::Parts, uri::PathAndQuery};
use hyper::{
    body::{Body, Incoming},
    client::conn::TrySendError,
    upgrade::OnUpgrade,
};
use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    accept,
    body::{RequestBody, Source},
    connect,
    front::Front,
    headers::{self, Asked, Peer},
    line::Line,
    pages::Notice,
    pool::{Borrowed, Sender},
    tunnel,
    upstream::{Upstream, Visit},
};

/// Kept connections that one request may find closed before it opens one of its own.
const KEPT_TRIED: usize = 4;

/// A request as a backend gets it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    request: Request<RequestBody>,
    asked: Asked,
    /// The client's side of the tunnel that the connection may become.
    client: Option<OnUpgrade>,
    /// It has no body, and twice is the same as once.
    repeatable: bool,
    /// It has a body where most programs expect none. One that does not read it takes it for the next request, and would answer the next
    /// visitor with it: so no other request follows on that connection.
    last: bool,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Answered(Response<Source>),
    /// The backend takes no connections. The request is as it was.
    Refused(Box<Refused>),
}

#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) outgoing: Outgoing,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) why: std::io::Error,
}

impl Outgoing {
    pub(crate) fn new(front: &Front, request: Request<Incoming>) -> Self {
        let (mut parts, body) = request.into_parts();
        let whole = body.is_end_stream();
        let client = parts.extensions.remove::<OnUpgrade>();
        let asked = address(&mut parts, &front.peer, whole && client.is_some());
        let repeatable = whole && parts.method.is_idempotent();
        let last = !whole && [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS].contains(&parts.method);
        let body = RequestBody::new(body, front.core.shared.config.limits.body_bytes, &front.line);
        Self {
            request: Request::from_parts(parts, body),
            client: client.filter(|_| asked.upgrade.is_some()),
            asked,
            repeatable,
            last,
        }
    }

    pub(crate) fn is_visit(&self) -> bool {
        accept::is_visit(self.request.method(), self.request.headers())
    }
}

/// Makes a request's head the one that a backend gets. `upgradable`: it has no body, and its connection may become a tunnel.
pub(crate) fn address(parts: &mut Parts, peer: &Peer, upgradable: bool) -> Asked {
    let upgradable = upgradable && parts.version == Version::HTTP_11;
    let asked = headers::for_backend(&mut parts.headers, peer, upgradable);
    if parts.uri.authority().is_some() {
        parts.uri = origin_form(&parts.uri);
    }
    parts.version = Version::HTTP_11;
    asked
}

fn origin_form(uri: &Uri) -> Uri {
    let target = uri.path_and_query().cloned();
    Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")))
}

/// The same head with no body. It is only made for requests that have none.
fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::none());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Sends a request, on a kept connection if there is one. A kept connection may turn out to be closed: a request that was not
/// sent yet goes out on the next one, and one that was goes out once more if it is repeatable.
pub(crate) async fn forward(front: &Front, visit: Visit, outgoing: Outgoing) -> Result<Outcome, Notice> {
    let place = front.core.place();
    let Outgoing {
        mut request,
        asked,
        client,
        repeatable,
        last,
    } = outgoing;
    let mut kept_to_try = KEPT_TRIED;
    let (sender, response) = loop {
        let kept = if kept_to_try > 0 {
            visit.upstream().pool.take(place.core, !repeatable)
        } else {
            None
        };
        let is_kept = kept.is_some();
        let mut sender = match kept {
            Some(sender) => sender,
            None => match Box::pin(connect::connect(&front.core, visit.upstream())).await {
                Ok(sender) => sender,
                Err(why) => {
                    let upstream = Arc::clone(visit.upstream());
                    if connect::is_backends_fault(&why) {
                        front.core.shared.registry.refused(&upstream, &why.to_string());
                    }
                    let outgoing = Outgoing {
                        request,
                        asked,
                        client,
                        repeatable,
                        last,
                    };
                    return Ok(Outcome::Refused(Box::new(Refused {
                        outgoing,
                        upstream,
                        why,
                    })));
                }
            },
        };
        kept_to_try = kept_to_try.saturating_sub(1);
        let again = (is_kept && repeatable).then(|| copy(&request));
        match send(&front.line, &mut sender, request).await {
            Ok(response) => break (sender, response),
            Err(Failed::Unsent(unsent)) if is_kept => request = *unsent,
            Err(Failed::Lost(error)) => match again {
                Some(again) if was_closed(&error) => {
                    front.core.counters.replays.add();
                    request = again;
                    kept_to_try = 0;
                }
                _ => return Err(no_answer(front, visit.upstream(), &error)),
            },
            Err(Failed::Unsent(_)) => return Err(no_answer(front, visit.upstream(), &"closed at once")),
            Err(Failed::Late) => return Err(late(front, visit.upstream())),
        }
    };
    check_identity(front, visit.upstream(), &response)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch(front, visit, &asked, client, response).map(Outcome::Answered);
    }
    let place = if last { place.without_room() } else { place };
    Ok(Outcome::Answered(answer(Borrowed::new(sender, visit, place), response)))
}

/// Why a request has no answer.
enum Failed {
    /// The connection was closed before any of it was sent.
    Unsent(Box<Request<RequestBody>>),
    /// Part of it may have been sent.
    Lost(hyper::Error),
    /// The watch over the client's connection gave it up.
    Late,
}

async fn send(line: &Line, sender: &mut Sender, request: Request<RequestBody>) -> Result<Response<Incoming>, Failed> {
    let mut sending = pin!(sender.try_send_request(request));
    poll_fn(|cx: &mut Context<'_>| match sending.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(outcome.map_err(failed)),
        Poll::Pending if line.is_expired() => Poll::Ready(Err(Failed::Late)),
        Poll::Pending => Poll::Pending,
    })
    .await
}

fn failed(mut error: TrySendError<Request<RequestBody>>) -> Failed {
    match error.take_message() {
        Some(request) => Failed::Unsent(Box::new(request)),
        None => Failed::Lost(error.into_error()),
    }
}

/// Whether the other side had closed the connection, rather than said something that is no answer.
fn was_closed(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_closed() || error.is_canceled() || is_io(error)
}

fn is_io(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    !error.is_parse() && !error.is_user() && source.is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// Where the service sends its identity along, an answer with another's is not passed on, and its connection is closed.
fn check_identity(front: &Front, upstream: &Arc<Upstream>, response: &Response<Incoming>) -> Result<(), Notice> {
    let Some(name) = &upstream.settings.identity_header else {
        return Ok(());
    };
    let own = upstream.instance.as_str().as_bytes();
    let mut identities = response.headers().get_all(name).iter();
    let Some(other) = identities.find(|identity| identity.as_bytes() != own) else {
        return Ok(());
    };
    let reference = front.core.shared.references.next();
    front.core.counters.backend_errors.add();
    front.core.shared.registry.suspect(upstream);
    tracing::warn!(reference, instance = %upstream.instance, address = %upstream.address, ?other,
        "another instance answered at this one's address");
    Err(Notice::stranger(reference))
}

fn answer(mut connection: Borrowed, response: Response<Incoming>) -> Response<Source> {
    let (mut parts, incoming) = response.into_parts();
    let ended = incoming.is_end_stream();
    let length = if ended { None } else { incoming.size_hint().exact() };
    headers::for_client(&mut parts.headers, length);
    parts.version = Version::HTTP_11;
    let source = if ended {
        connection.answer_ended();
        Source::Whole(bytes::Bytes::new())
    } else {
        Source::Backend { incoming, connection }
    };
    Response::from_parts(parts, source)
}

/// The backend changes to the protocol that the client asked for: from here on it is a tunnel.
fn switch(
    front: &Front,
    visit: Visit,
    asked: &Asked,
    client: Option<OnUpgrade>,
    mut response: Response<Incoming>,
) -> Result<Response<Source>, Notice> {
    let protocol = response.headers().get(UPGRADE).cloned();
    let agreed = |protocol: &http::HeaderValue| {
        asked
            .upgrade
            .as_ref()
            .is_some_and(|asked| asked.as_bytes().eq_ignore_ascii_case(protocol.as_bytes()))
    };
    let (Some(client), Some(protocol)) = (client, protocol.filter(agreed)) else {
        return Err(no_answer(
            front,
            visit.upstream(),
            &"changed to a protocol that was not asked for",
        ));
    };
    tunnel::open(
        client,
        hyper::upgrade::on(&mut response),
        visit,
        front.core.shared.config.timeouts.tunnel_idle,
    );
    front.line.become_tunnel();
    let (mut parts, _) = response.into_parts();
    headers::for_client(&mut parts.headers, None);
    headers::set_upgrade(&mut parts.headers, protocol);
    Ok(Response::from_parts(parts, Source::Whole(bytes::Bytes::new())))
}

/// What to say when a request has no answer.
pub(crate) fn no_answer(front: &Front, upstream: &Arc<Upstream>, why: &dyn std::fmt::Display) -> Notice {
    if front.line.is_too_large() {
        return Notice::body_too_large(front.core.shared.config.limits.body_bytes.unwrap_or(u64::MAX));
    }
    if front.line.is_broken() {
        return Notice::malformed("its body ended too early, or is not what its head says");
    }
    let reference = front.core.shared.references.next();
    front.core.counters.backend_errors.add();
    front.core.shared.registry.suspect(upstream);
    tracing::warn!(reference, instance = %upstream.instance, address = %upstream.address, error = %why,
        "a backend did not answer");
    Notice::no_answer(reference)
}

fn late(front: &Front, upstream: &Arc<Upstream>) -> Notice {
    if front.line.is_uploading() && front.line.is_client_awaited() {
        return Notice::slow_client();
    }
    let reference = front.core.shared.references.next();
    front.core.counters.backend_errors.add();
    front.core.shared.registry.suspect(upstream);
    tracing::warn!(reference, instance = %upstream.instance, address = %upstream.address,
        "a backend did not answer in time");
    Notice::late_answer(reference)
}
