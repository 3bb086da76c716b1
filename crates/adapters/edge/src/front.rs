//! The way in: a request is checked, its origin decided, and then it is the control service's, a backend's, or answered here.

use http::{HeaderValue, Request, Response, header::ACCEPT};
use http_body::Body;
use hyper::body::Incoming;
use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use crate::{
    accept,
    body::{AnswerBody, Source},
    check,
    control::ControlError,
    core::Core,
    headers::Peer,
    hold,
    host::{self, Origin},
    line::{Expected, Line, Phase},
    metrics::Gauge,
    pages::Notice,
    proxy,
    scan::Facts,
    table::Found,
    upstream::Visit,
};

/// Backends that one request may find closed, one after the other, before it is given up.
const BACKENDS_TRIED: usize = 3;

/// One client connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) core: Arc<Core>,
    pub(crate) line: Arc<Line>,
    pub(crate) peer: Peer,
    address: SocketAddr,
}

impl Front {
    pub(crate) fn new(core: Arc<Core>, line: Arc<Line>, address: SocketAddr) -> Self {
        let peer = Peer::new(address.ip(), &core.shared.config.trusted_proxies);
        Self {
            core,
            line,
            peer,
            address,
        }
    }

    /// Takes a request. What has to happen before hyper reads on happens in the call, the rest in the future.
    pub(crate) fn take(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + Send + use<> {
        let body = request.body();
        let facts = self.line.begin(if body.is_end_stream() {
            Expected::Nothing
        } else {
            body.size_hint().exact().map_or(Expected::Chunks, Expected::Bytes)
        });
        let under_way = Gauge::up(&self.core.counters.in_flight);
        let front = Arc::clone(self);
        async move {
            let response = front.answer(request, facts).await;
            front.core.counters.answered(response.status());
            front.line.enter(Phase::Answer);
            Ok(response.map(|source| AnswerBody::new(source, Arc::clone(&front.line), under_way)))
        }
    }

    async fn answer(&self, request: Request<Incoming>, facts: Facts) -> Response<Source> {
        let accept = request.headers().get(ACCEPT).cloned();
        match self.serve(request, facts).await {
            Ok(response) => response,
            Err(notice) => self.say(&notice, accept.as_ref()),
        }
    }

    fn say(&self, notice: &Notice, accept: Option<&HeaderValue>) -> Response<Source> {
        if notice.closes {
            self.core.counters.refusals.add();
        }
        tracing::debug!(peer = %self.address, status = notice.status.as_u16(), code = %notice.code, "answered by the edge");
        notice.response(accept).map(Source::Whole)
    }

    async fn serve(&self, request: Request<Incoming>, facts: Facts) -> Result<Response<Source>, Notice> {
        let shared = &self.core.shared;
        check::request(&request, facts, &shared.config.limits)?;
        let host = host::requested(request.uri(), request.headers())?;
        match shared.hosts.origin(host)? {
            Origin::Control => self.control(request).await,
            Origin::Tenant(name) => {
                // The name is part of the request, which goes on without it.
                let name = name.into_owned();
                self.backend(&name, request, || Notice::no_tenant(&name)).await
            }
            Origin::Services => {
                let prefix = shared.registry.table.prefix_of(request.uri().path());
                let prefix = prefix.ok_or_else(Notice::no_service)?.to_owned();
                self.backend(&prefix, request, Notice::no_service).await
            }
            Origin::Unknown => Err(Notice::unknown_host()),
        }
    }

    async fn control(&self, request: Request<Incoming>) -> Result<Response<Source>, Notice> {
        self.line.enter(Phase::Own);
        let answering = Box::pin(self.core.control.answer(request, self.address));
        answering.await.map_err(|error| match error {
            ControlError::Busy => Notice::busy(),
            ControlError::Gone => {
                let reference = self.core.shared.references.next();
                tracing::error!(reference, "the control service broke off");
                Notice::control_failed(reference)
            }
        })
    }

    async fn backend(
        &self,
        name: &str,
        request: Request<Incoming>,
        nobody: impl FnOnce() -> Notice,
    ) -> Result<Response<Source>, Notice> {
        let is_visit = || accept::is_visit(request.method(), request.headers());
        let mut visit = match self.visit(name, is_visit).await {
            Some(found) => found?,
            None => return Err(nobody()),
        };
        let mut outgoing = proxy::Outgoing::new(self, request);
        let mut tried = 0;
        loop {
            tried += 1;
            let refused = match proxy::forward(self, visit, outgoing).await? {
                proxy::Outcome::Answered(response) => return Ok(response),
                proxy::Outcome::Refused(refused) => *refused,
            };
            // Elsewhere, if the table has something else by now: another instance, or a later attempt.
            visit = match self.visit(name, || refused.outgoing.is_visit()).await {
                Some(Ok(other)) if tried < BACKENDS_TRIED && !Arc::ptr_eq(other.upstream(), &refused.upstream) => other,
                Some(Err(notice)) => return Err(notice),
                _ => return Err(proxy::no_answer(self, &refused.upstream, &refused.why)),
            };
            outgoing = refused.outgoing;
        }
    }

    /// A backend to send the request to, or what to say instead; `None` where nobody has the name.
    async fn visit(&self, name: &str, is_visit: impl FnOnce() -> bool) -> Option<Result<Visit, Notice>> {
        let found = match self.core.shared.registry.table.find(name) {
            Found::Starting(_) => {
                self.line.enter(Phase::Own);
                let found = hold::found(&self.core, name, is_visit()).await;
                self.line.enter(Phase::Upstream);
                found
            }
            found => found,
        };
        match found {
            Found::Backend(visit) => Some(Ok(visit)),
            Found::Starting(route) => Some(Err(Notice::standing(route.standing()))),
            Found::Standing(standing) => Some(Err(Notice::standing(standing))),
            Found::Nobody => None,
        }
    }
}
