//! Who is there, and whether they may: the guard before every handler. It knows an operation by its [`Gate`], and nothing of
//! what the operation does.

mod client;
mod limiter;
mod origin;
mod session;
mod streams;

pub(crate) use client::{Client, Clients};
pub(crate) use limiter::{Limiter, SharedLimiter};
pub(crate) use origin::Origins;
pub(crate) use streams::{Pass, Streams};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use std::{convert::Infallible, sync::Arc};
use subtle::ConstantTimeEq;
use wharf_domain::{Code, Timestamp};
use wharf_provisioning::{Caller, Wharf};
use wharf_saga::Ids;

use crate::{
    operation::Access,
    problem::{Answer, Problem},
    request::is_media,
    state::App,
};
use session::Sessions;

/// What the guard has to know of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    pub(crate) access: Access,
    pub(crate) is_change: bool,
}

/// Who asks, as far as credentials tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Visitor,
    /// By the admin token.
    Operator,
    /// By a console session's cookie, which a browser sends whoever made it ask.
    Console,
}

impl Identity {
    pub(crate) const fn caller(self) -> Caller {
        match self {
            Self::Visitor => Caller::Visitor,
            Self::Operator | Self::Console => Caller::Admin,
        }
    }

    pub(crate) const fn is_admin(self) -> bool {
        matches!(self, Self::Operator | Self::Console)
    }
}

/// What the guard found out; handlers behind one that does not look are told of a visitor.
impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self::Visitor))
    }
}

/// Knows the operator, by token or by session.
pub(crate) struct Door {
    /// SHA-256: of one length whatever is shown, so that comparing takes the same time.
    token: [u8; 32],
    sessions: Sessions,
}

impl Door {
    pub(crate) fn new(token: &SecretString, session_key: SecretSlice<u8>, is_secure: bool) -> Self {
        let token = digest(token.expose_secret());
        Self {
            token,
            sessions: Sessions::new(session_key, token, is_secure),
        }
    }

    pub(crate) fn is_token(&self, shown: &str) -> bool {
        digest(shown).ct_eq(&self.token).into()
    }

    /// The cookie that begins a console session.
    pub(crate) fn open_session(&self, now: Timestamp, ids: &dyn Ids) -> HeaderValue {
        let mut nonce = [0; 16];
        ids.fill(&mut nonce);
        self.sessions.open(now, nonce)
    }

    /// The cookie that ends one.
    pub(crate) fn close_session(&self) -> HeaderValue {
        self.sessions.close()
    }

    /// Ends the sessions that a request shows, for good: who has copied their cookie does not get in by it either.
    pub(crate) async fn end_sessions(&self, wharf: &Wharf, headers: &HeaderMap, now: Timestamp) -> Answer<()> {
        for session in self.sessions.shown(headers, now) {
            wharf.end_session(&session.hash, session.until).await?;
        }
        Ok(())
    }

    async fn has_session(&self, wharf: &Wharf, headers: &HeaderMap, now: Timestamp) -> Answer<bool> {
        for session in self.sessions.shown(headers, now) {
            if !wharf.is_session_ended(&session.hash).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn identify(&self, wharf: &Wharf, headers: &HeaderMap, now: Timestamp) -> Answer<Identity> {
        match bearer(headers)? {
            Some(token) if self.is_token(token) => Ok(Identity::Operator),
            Some(_) => Err(Problem::new(
                Code::AuthDenied,
                "the token is not this server's admin token",
                "it is in the file admin-token of the data directory, or in the secret that `aws.admin_token_secret` names",
            )),
            None if self.has_session(wharf, headers, now).await? => Ok(Identity::Console),
            None => Ok(Identity::Visitor),
        }
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// The token of `Authorization: Bearer …`. Another scheme is none of ours.
fn bearer(headers: &HeaderMap) -> Answer<Option<&str>> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let token = first
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    if values.next().is_some() {
        return Err(Problem::new(
            Code::RequestInvalid,
            "the header Authorization is there more than once",
            "send it once",
        ));
    }
    Ok(token)
}

/// Lets a request pass to its operation, or tells why not.
pub(crate) async fn guard(State((app, gate)): State<(App, Gate)>, mut request: Request, next: Next) -> Response {
    let identity = match admit(&app, gate, request.headers()).await {
        Ok(identity) => identity,
        Err(problem) => return problem.for_visitors().into_response(),
    };
    request.extensions_mut().insert(identity);
    let response = next.run(request).await;
    let Some(problem) = response.extensions().get::<Arc<Problem>>() else {
        return response;
    };
    if problem.status.is_server_error() {
        tracing::error!(code = %problem.failure.code, error = %problem.failure.message, "a request failed");
    }
    if identity.is_admin() {
        response
    } else {
        Problem::clone(problem).for_visitors().into_response()
    }
}

async fn admit(app: &App, gate: Gate, headers: &HeaderMap) -> Answer<Identity> {
    if gate.is_change {
        app.origins.check(headers)?;
    }
    let identity = match gate.access {
        Access::Anyone | Access::StatusLink | Access::PasswordLink | Access::ChoiceLink | Access::Webhook => {
            Identity::Visitor
        }
        Access::Known | Access::Admin => app.door.identify(&app.wharf, headers, app.clock.now()).await?,
    };
    match (gate.access, identity) {
        (Access::Admin, Identity::Visitor) => Err(Problem::new(
            Code::AuthMissing,
            "this needs the admin token",
            "send it as Authorization: Bearer …; it is in the file admin-token of the data directory, or in the secret that `aws.admin_token_secret` names",
        )),
        // A cookie alone is sent by any page's form; this content type is not.
        (Access::Admin, Identity::Console) if gate.is_change && !is_media(headers, "application/json") => {
            Err(Problem::new(
                Code::RequestInvalid,
                "a change by a console session has to be marked as JSON",
                "send it with the header Content-Type: application/json",
            )
            .status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
        }
        _ => Ok(identity),
    }
}
