//! `GET /provision/{token}`: how a sign-up goes, for whoever has its link. As JSON, as a page, and as events.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::{Html, IntoResponse},
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use wharf_domain::Code;
use wharf_provisioning::{InstanceView, view};

use super::{
    history,
    view::{Cause, Queue, Step, Upcoming, step_example},
};
use crate::{
    answer, around,
    operation::{Access, Operation, STORE, Tag},
    pages,
    problem::Answer,
    request::{self, Word},
    state::{App, Inner},
    stream::{self, Audience, is_at_rest},
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/provision/{token}", "status", Tag::SignUp, Access::StatusLink, show)
            .says(
                "How a sign-up goes",
                "JSON, or a page where a browser asks. The steps are those of what began last: a first start, a new attempt, an end.",
            )
            .answers::<Status>(200, "As it is now", "Status")
            .like(json!({
                "id": "inst_01je4q5gkv8a9xw3n2b7c6d5eg", "service": "storefront", "subdomain": "acme", "company_name": "Acme Inc.",
                "status": "ready", "at_rest": true, "url": "http://acme.localhost:8080/", "port": 20_001, "attempt": 1,
                "created_at": 1_795_000_000_000_u64, "since": 1_795_000_000_412_u64, "steps": [step_example()], "upcoming": [],
                "waits_for": null, "cause": null, "clean": false, "last_event": 17,
                "events_url": "http://localhost:8080/provision/7dn3m0w9x4k2v8c1t5s6r7q8pz/events"
            }))
            .sends(200, "text/html", "The same as a page, which follows by itself")
            .fails(&[Code::InstanceUnknown])
            .fails(STORE),
        Operation::get("/provision/{token}/events", "status_events", Tag::SignUp, Access::StatusLink, events)
            .says(
                "Follow a sign-up",
                "Server-sent events: `step`, `state` and `note`, numbered, the past first; `end` when nothing more will happen by \
                 itself. A client that comes again with Last-Event-ID goes on where it was.",
            )
            .queries(stream::QUERY)
            .sends(200, "text/event-stream", "Events until the instance is at rest")
            .fails(&[Code::InstanceUnknown, Code::LimitRate, Code::RequestInvalid])
            .fails(STORE),
    ]
}

/// How a sign-up goes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the fields are the documented form")]
pub(crate) struct Status {
    #[schema(example = "inst_01je4q5gkv8a9xw3n2b7c6d5eg")]
    pub(crate) id: String,
    pub(crate) service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subdomain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) company_name: Option<String>,
    /// `provisioning`, `queued`, `ready`, `restoring`, `sleeping`, `down`, `stopping`, `stopped`, `failed`, `stuck` or `ended`.
    #[schema(example = "ready")]
    pub(crate) status: String,
    /// Nothing more will happen by itself.
    pub(crate) at_rest: bool,
    /// As soon as it can be told; open to visitors once the status is `ready`.
    pub(crate) url: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) attempt: u32,
    pub(crate) created_at: u64,
    /// When it came into its status.
    pub(crate) since: u64,
    pub(crate) steps: Vec<Step>,
    pub(crate) upcoming: Vec<Upcoming>,
    pub(crate) waits_for: Option<String>,
    /// Where it waits for room, or for its turn: its place in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<Queue>,
    /// What went wrong, where something did.
    pub(crate) cause: Option<Cause>,
    /// Nothing of it is left in the world: with `failed`, everything was taken back.
    pub(crate) clean: bool,
    /// The number of the last event that is in this: later ones come from the stream, with `?after=`.
    pub(crate) last_event: u64,
    pub(crate) events_url: String,
}

impl Inner {
    /// The public view of the instance that a token leads to.
    pub(crate) async fn status(&self, token: &str) -> Answer<(Status, InstanceView)> {
        let id = self.wharf.by_token(token).await?;
        let shown = self.wharf.show(&id).await?;
        let history = history::newest(&self.wharf, &id).await?;
        let steps = view::steps(history::last_saga(&history));
        let tenant = shown.tenant.as_ref();
        let status = Status {
            id: id.to_string(),
            service: shown.service.clone(),
            subdomain: tenant.map(|tenant| tenant.subdomain.to_string()),
            company_name: tenant.map(|tenant| tenant.company_name.to_string()),
            status: shown.status.clone(),
            at_rest: is_at_rest(&shown),
            url: shown.url.clone(),
            port: shown.port,
            attempt: shown.attempt.0,
            created_at: shown.created_at.as_millis(),
            since: shown.since.as_millis(),
            steps: steps.into_iter().map(Step::public).collect(),
            upcoming: shown.upcoming.iter().cloned().map(Upcoming::from).collect(),
            waits_for: shown.waits_for.clone(),
            queue: shown.queue.clone().map(Queue::from),
            cause: shown.cause.clone().map(Cause::public),
            clean: shown.clean,
            last_event: history.last().map_or(0, |last| last.seq),
            events_url: format!("{}/provision/{token}/events", self.public_url),
        };
        Ok((status, shown))
    }
}

async fn show(State(app): State<App>, Word(token): Word, request: Request) -> Answer {
    let (status, shown) = app.status(&token).await?;
    let response = if around::prefers_page(request.headers()) {
        Html(pages::status(&status, &shown, &token)).into_response()
    } else {
        answer::json(StatusCode::OK, &status)
    };
    Ok(answer::with_header(response, axum::http::header::VARY, "accept"))
}

async fn events(State(app): State<App>, Word(token): Word, request: Request) -> Answer {
    let fields = request::query(&request, stream::QUERY)?;
    let after = stream::last_seen(request.headers(), fields.number("after"))?;
    fields.check()?;
    let id = app.wharf.by_token(&token).await?;
    let pass = app.streams.enter(app.clients.of(&request))?;
    Ok(stream::events(app, id, after, Audience::Public, pass))
}
