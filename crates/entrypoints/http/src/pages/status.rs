//! The status page: how an instance comes to be, step by step, for whoever has its link.

use maud::{Markup, html};
use std::time::Duration;
use wharf_domain::{Fault, State};
use wharf_provisioning::InstanceView;

use super::{
    layout::{self, Layout},
    prose::sentence,
};
use crate::{
    api::{
        status::Status,
        view::{Cause, Step},
    },
    words,
};

pub(crate) fn page(status: &Status, shown: &InstanceView, token: &str) -> String {
    let name = status
        .company_name
        .as_deref()
        .or(status.subdomain.as_deref())
        .unwrap_or(&status.service);
    let told = told(status, shown, name);
    let main = html! {
        section.progress data-events={ "/provision/" (token) "/events?after=" (status.last_event) }
            data-path={ "/provision/" (token) } data-last=(status.last_event) data-rest=(status.at_rest)
            data-place=[status.queue.as_ref().map(|queue| queue.position)] {
            p.badge.(status.status) { (status.status) }
            h1 { (told.title) }
            p.lead { (told.lead) }
            @if let Some(queue) = &status.queue {
                p.place { "Its place in line: " strong { (queue.position) } " of " (queue.of) }
            }
            @if let (State::Ready { .. } | State::Sleeping { .. }, Some(url)) = (&shown.state, &status.url) {
                p { a.button.main href=(url) { "Open " (url) } }
            }
            @if let (Some(cause), false) = (&status.cause, matches!(shown.state, State::Ready { .. })) {
                (why(cause))
            }
            @if let State::Failed { .. } = shown.state {
                p { a.button href=(again(status)) { "Try again" } }
            }
            ol.steps id="steps" {
                @for step in told_steps(status) { (begun(status, step)) }
                @for step in &status.upcoming {
                    li.todo data-key=(key(&step.step, step.undo)) { span.what { (step.title) } span.note {} span.took {} }
                }
            }
            @if let Some(total) = total(status) { p.hint { (total) } }
        }
    };
    let layout = Layout {
        is_moving: !status.at_rest,
        ..Layout::default()
    };
    layout::page(&told.title, &layout, &main)
}

/// The state, in plain words.
struct Told {
    title: String,
    lead: String,
}

fn told(status: &Status, shown: &InstanceView, name: &str) -> Told {
    let (title, lead): (&str, &str) = match &shown.state {
        State::Provisioning { .. } | State::Queued { .. } if status.cause.is_some() => (
            "could not be set up",
            "Everything is being taken back. This takes a moment.",
        ),
        State::Provisioning { .. } => ("is being set up", "This takes a moment. The page follows by itself."),
        State::Queued { .. } => (
            "waits for its turn",
            "Others are before it, or every place is taken just now. It starts by itself when its turn has come; the page follows.",
        ),
        State::Ready { .. } => (
            "is ready",
            "It runs for you alone. The link to your first password is in the mail that we sent you.",
        ),
        State::Restoring { .. } => ("is coming back", "Its address and its data stay as they are."),
        State::Sleeping { .. } => (
            "is asleep",
            "Nobody used it for a while. It wakes as soon as somebody opens it; its data is as it was.",
        ),
        State::Down { .. } => (
            "is out of service",
            "It kept failing, and was stopped. Its data is untouched, and the operator can bring it back.",
        ),
        State::Stopping { end: false, .. } => ("is being stopped", "Its address and its data are kept."),
        State::Stopping { end: true, .. } => ("is being ended", "This takes a moment."),
        State::Stopped { .. } => (
            "is stopped",
            "Its address and its data are kept. The operator can start it again.",
        ),
        State::Failed { .. } if status.clean => (
            "could not be set up",
            "Everything was taken back: nothing is left, and the name is free again.",
        ),
        State::Failed { .. } => ("could not be set up", "What was begun was given up."),
        State::Stuck { .. } => (
            "needs the operator",
            "A step could be neither finished nor taken back. The operator sees it too.",
        ),
        State::Ended { .. } => ("was ended", "Nothing of it runs any more."),
    };
    Told {
        title: format!("{name} {title}"),
        lead: lead.to_owned(),
    }
}

/// What went wrong.
fn why(cause: &Cause) -> Markup {
    html! {
        div.card.wrong {
            p { strong { (sentence(&cause.message)) } }
            @match &cause.hint {
                Some(hint) if cause.code.fault() == Fault::Caller => p { (sentence(hint)) },
                Some(hint) => p.hint { strong { "For the operator: " } (sentence(hint)) },
                None => {},
            }
            p.hint { "Code " a href={ "/errors/" (cause.code) } { (cause.code) } }
        }
    }
}

fn told_steps(status: &Status) -> impl Iterator<Item = &Step> {
    status.steps.iter().filter(|step| words::is_told(&step.step, step.undo))
}

fn begun(status: &Status, step: &Step) -> Markup {
    // Once something has gone wrong for good, a step that was not finished never will be.
    let is_given_up = !step.undo && (status.cause.is_some() || status.at_rest);
    let class = match step.millis {
        Some(_) => "done",
        None if is_given_up => "bad",
        None => "run",
    };
    let note = match (&step.failed, &step.waits_for, step.millis) {
        (_, _, Some(_)) => None,
        (Some(cause), _, None) => Some(cause.message.clone()),
        (None, _, None) if is_given_up => None,
        (None, why, None) => why.as_ref().map(|why| format!("waits for {why}")),
    };
    html! {
        li.(class) data-key=(key(&step.step, step.undo)) {
            span.what { (step.title) }
            span.note { @if let Some(note) = note { (note) } }
            span.took { @if let Some(millis) = step.millis { (words::span(Duration::from_millis(millis))) } }
        }
    }
}

/// What the script finds a step by.
fn key(step: &str, undo: bool) -> String {
    format!("{step}:{undo}")
}

/// How long the steps took together.
fn total(status: &Status) -> Option<String> {
    if !status.at_rest {
        return None;
    }
    let first = told_steps(status).next()?;
    let end = told_steps(status)
        .map(|step| step.started_at + step.millis.unwrap_or_default())
        .max()?;
    Some(format!(
        "{} steps in {}.",
        told_steps(status).count(),
        words::span(Duration::from_millis(end.saturating_sub(first.started_at)))
    ))
}

/// The sign-up page with what was said the first time.
fn again(status: &Status) -> String {
    let encode = |text: &Option<String>| -> String {
        text.iter()
            .flat_map(|text| text.bytes())
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    format!(
        "/?subdomain={}&company_name={}",
        encode(&status.subdomain),
        encode(&status.company_name)
    )
}
