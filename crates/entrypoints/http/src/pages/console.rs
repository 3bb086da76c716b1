//! The console, plain: what there is, in which state, where and why, with what can be done about it.

use axum::{
    extract::{Request, State},
    response::Response,
};
use maud::{Markup, html};
use std::time::Duration;
use wharf_domain::{Code, InstanceId, State as InstanceState, Timestamp};
use wharf_provisioning::{InstanceView, SleptView};
use wharf_saga::store::Query;

use super::{
    CONSOLE,
    layout::{self, Layout},
    with_form,
};
use crate::{
    fields::{Field, Kind},
    limits,
    operation::{Access, Operation, STORE, Tag},
    problem::Answer,
    request,
    state::{App, Inner},
    words,
};

const QUERY: &[Field] = &[
    Field::new(
        "state",
        Kind::OneOf(InstanceState::NAMES),
        "Only those in this state",
        "ready",
    ),
    Field::text(
        "before",
        64,
        "Older than this instance",
        "inst_01je4q5gkv8a9xw3n2b7c6d5eg",
    ),
];

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(CONSOLE, "console", Tag::Pages, Access::Admin, show)
            .says("The console", "A browser without a session is led to the login.")
            .queries(QUERY)
            .sends(200, "text/html", "The page")
            .redirects("A browser without a session", "The login page")
            .fails(&[Code::RequestInvalid])
            .fails(STORE),
    ]
}

async fn show(State(app): State<App>, request: Request) -> Answer<Response> {
    let fields = request::query(&request, QUERY)?;
    let state = fields.text("state").map(str::to_owned);
    let before = fields.text("before").and_then(|text| text.parse::<InstanceId>().ok());
    fields.check()?;
    let query = Query {
        state: state.clone(),
        before,
        limit: limits::CONSOLE_PAGE,
        ..Query::default()
    };
    let page = app.wharf.list(query).await?;
    let now = app.clock.now();
    let filter = state.as_deref().unwrap_or_default();
    let next = page
        .next
        .as_ref()
        .map(|next| format!("{CONSOLE}?state={filter}&before={next}"));
    let main = html! {
        div.bar {
            h1 { "Instances" }
            form method="get" action=(CONSOLE) {
                label for="state" { "State" }
                select id="state" name="state" {
                    option value="" { "any" }
                    @for name in InstanceState::NAMES {
                        option value=(name) selected[*name == filter] { (name) }
                    }
                }
                button type="submit" { "Show" }
            }
            form method="post" action="/logout" { button type="submit" { "Log out" } }
        }
        (differences(&app))
        p.alert id="trouble" role="alert" hidden {}
        noscript { p.card { "The buttons of this page need JavaScript; " code { "wharf start, stop, delete" } " do the same." } }
        @if page.instances.is_empty() {
            p.card { "There are none." }
        } @else {
            // The roles are those that the elements have by themselves, until a narrow window shows them as cards.
            div.scroll { table role="table" {
                thead role="rowgroup" { tr role="row" {
                    @for title in ["Name", "Service", "State", "Address", "Cause", "Actions"] { th scope="col" role="columnheader" { (title) } }
                } }
                tbody role="rowgroup" { @for instance in &page.instances { (row(&app, instance, now)) } }
            } }
        }
        p {
            @if request.uri().query().is_some_and(|query| query.contains("before=")) { a href={ (CONSOLE) "?state=" (filter) } { "Newest" } " " }
            @if let Some(next) = next { a href=(next) rel="next" { "Older" } }
        }
    };
    let layout = Layout {
        is_wide: true,
        ..Layout::default()
    };
    Ok(with_form(layout::page("Console", &layout, &main)))
}

/// What the last repair left, in a line or a few.
fn differences(app: &Inner) -> Markup {
    let Some(run) = app.wharf.last_repair() else {
        return html! {};
    };
    let left: Vec<&str> = run.left().map(|finding| finding.what.as_str()).collect();
    html! {
        @if !left.is_empty() {
            details.card {
                summary { "Registry and world differ: " (left.len()) }
                ul { @for what in left.iter().take(limits::CONSOLE_FINDINGS) { li { (what) } } }
                p { code { "wharf repair" } " shows all of it, why, and what can be done." }
            }
        }
    }
}

fn row(app: &Inner, instance: &InstanceView, now: Timestamp) -> Markup {
    let status = format!("/provision/{}", app.wharf.status_token(&instance.id).reveal());
    html! {
        tr role="row" id=(instance.id) data-moving[instance.moving] {
            th scope="row" role="rowheader" {
                a href=(status) { (instance.name()) }
                @if let Some(tenant) = &instance.tenant { br; small { (tenant.company_name.as_str()) } }
            }
            td role="cell" { (instance.service) }
            td role="cell" { span.badge.(instance.status) { (instance.status) } " " small { "for " (words::span(now.since(instance.since))) }
                @if let Some(queue) = &instance.queue { br; small { "in line: " (queue.position) " of " (queue.of) } }
                @if let Some(slept) = &instance.slept { br; small { (saved(slept)) } } }
            td role="cell" { @if let Some(url) = &instance.url { a href=(url) rel="noreferrer" { (url) } } }
            td role="cell" { @if let Some(cause) = &instance.cause { (cause.message) br; small { a href={ "/errors/" (cause.code) } { (cause.code) } } }
                @if let Some(step) = &instance.stuck_at { br; small { "stuck at step " (step) } }
                @if let Some(advice) = &instance.advice { br; small { (advice) } } }
            td.actions role="cell" { @for action in actions(instance) { (button(instance, &action)) } }
        }
    }
}

/// What its sleep saved, in a line.
fn saved(slept: &SleptView) -> String {
    let total = words::span(Duration::from_millis(slept.millis));
    match slept.freed_bytes {
        0 => format!("asleep {total} in all"),
        bytes => format!("asleep {total} in all, {} free", words::memory(bytes)),
    }
}

/// Something that can be asked of an instance in its state.
struct Action {
    label: &'static str,
    method: &'static str,
    /// After `/instances/{id}`.
    path: &'static str,
    /// What has to be confirmed first.
    sure: Option<&'static str>,
}

const START: Action = Action {
    label: "Start",
    method: "POST",
    path: "/start",
    sure: None,
};
const STOP: Action = Action {
    label: "Stop",
    method: "POST",
    path: "/stop",
    sure: None,
};
const RESUME: Action = Action {
    label: "Try again",
    method: "POST",
    path: "/resume",
    sure: None,
};
const DELETE: Action = Action {
    label: "Delete",
    method: "DELETE",
    path: "",
    sure: Some("Its database and everything in it go too."),
};

fn actions(instance: &InstanceView) -> Vec<Action> {
    match instance.state {
        InstanceState::Provisioning { .. } | InstanceState::Queued { .. } => vec![STOP],
        InstanceState::Ready { .. } | InstanceState::Restoring { .. } => vec![STOP, DELETE],
        InstanceState::Sleeping { .. } => vec![START, STOP, DELETE],
        InstanceState::Down { .. } | InstanceState::Stopped { .. } => vec![START, DELETE],
        InstanceState::Stopping { end: false, .. } => vec![DELETE],
        InstanceState::Stuck { .. } => vec![RESUME, DELETE],
        InstanceState::Stopping { end: true, .. } | InstanceState::Failed { .. } | InstanceState::Ended { .. } => {
            Vec::new()
        }
    }
}

fn button(instance: &InstanceView, action: &Action) -> Markup {
    let name = instance.name();
    html! {
        button type="button" data-method=(action.method) data-path={ "/instances/" (instance.id) (action.path) }
            data-sure=[action.sure.map(|sure| format!("{} {name} for good? {sure}", action.label))]
            aria-label={ (action.label) " " (name) } { (action.label) }
    }
}
