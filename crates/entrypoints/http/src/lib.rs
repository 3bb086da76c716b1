//! The way in over HTTP: the API, its OpenAPI document, and the pages for people (sign-up, status, first password, console).
//!
//! What is asked for is decided in `wharf_provisioning`; here it is parsed, admitted and rendered. [`router`] gives an axum
//! router; whoever serves it puts each request's peer address beside it as the extension `ConnectInfo<SocketAddr>`.
//!
//! | file | what it is for |
//! |---|---|
//! | `state` | what a router is built from |
//! | `operation` | an operation as data: address, who may, what it takes, what it answers; router, guard and document come from it |
//! | `openapi` | the document |
//! | `access` | the list of who may ask for what, for people |
//! | `fields` | what a request may say, as tables; everything that is wrong with one is said at once |
//! | `request`, `answer` | bodies, queries and answers, each within bounds |
//! | `problem` | RFC 9457, with the stable code |
//! | `around` | what every request passes: panics, pages for browsers, security headers, counters |
//! | `door/` | who is there: admin token, console session, own origin, client address, rates |
//! | `stream` | server-sent events: the past first, then what comes |
//! | `api/` | one file a resource |
//! | `pages/`, `assets/` | the pages, and what they load |
//! | `limits` | the bounds, and what must hold between them |
//!
//! What must not be here: decisions about instances, and anything that names an adapter.

mod access;
mod answer;
mod api;
mod around;
mod door;
mod fields;
mod limits;
mod metrics;
mod openapi;
mod operation;
mod pages;
mod problem;
mod request;
mod state;
mod stream;
mod words;

pub use prometheus_client;
pub use state::{HttpState, MetricsHook, Rate, SignupLimits, Tally};

use axum::{Router, middleware};
use std::sync::Arc;

use operation::Operation;

/// Everything that is answered, in the order of the document.
fn operations() -> Vec<Operation> {
    api::operations().into_iter().chain(pages::operations()).collect()
}

/// The router that answers sign-up, console and API.
pub fn router(state: HttpState) -> Router {
    let app = Arc::new(state::Inner::new(state));
    let mut router = Router::new();
    for operation in operations() {
        router = router.route(operation.path, operation.guarded(&app));
    }
    router
        .fallback(around::nothing_here)
        .method_not_allowed_fallback(around::other_method)
        .layer(middleware::from_fn_with_state(app.clone(), around::around))
        .with_state(app)
}

/// Who may ask for what, as it stands in `docs/access.md`.
#[must_use]
pub fn access() -> String {
    access::text(&operations())
}

/// The OpenAPI document, as it is served and as it stands in `docs/openapi.json`.
#[must_use]
pub fn openapi() -> String {
    openapi::text(&operations())
}
