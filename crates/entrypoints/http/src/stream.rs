//! Server-sent events of one instance: the past first, from where the client left off, then what comes, until the instance is
//! at rest. The events are the registry's own history, numbered by it, so that any server can go on with any client's stream.

use axum::{
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream::{self, Stream};
use serde::Serialize;
use std::{collections::VecDeque, convert::Infallible};
use tokio::time::Instant;
use wharf_domain::{Failure, InstanceId, State};
use wharf_provisioning::{InstanceView, watch::Watch};
use wharf_saga::store::{Happening, Numbered};

use crate::{
    door::Pass,
    fields::{Field, Kind},
    limits,
    problem::{Answer, Problem},
    request::text_header,
    state::App,
    words,
};

/// What a stream's client may say.
pub(crate) const QUERY: &[Field] = &[Field::new(
    "after",
    Kind::Whole {
        least: 0,
        most: u64::MAX,
    },
    "The number of the last event that is known already: only later ones are sent. The header Last-Event-ID says the same.",
    "0",
)];

/// Who reads: what a failure's evidence is kept from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    Public,
    Operator,
}

/// The number of the last event that a client that comes again has seen.
pub(crate) fn last_seen(headers: &HeaderMap, after: Option<u64>) -> Answer<u64> {
    let Some(text) = text_header(headers, "last-event-id")?.filter(|text| !text.is_empty()) else {
        return Ok(after.unwrap_or_default());
    };
    text.parse().map_err(|_| {
        Problem::new(
            wharf_domain::Code::RequestInvalid,
            "the header Last-Event-ID is not one of our numbers",
            "send the id of the last event, or leave it out",
        )
    })
}

/// Whether nothing more will happen by itself.
pub(crate) const fn is_at_rest(view: &InstanceView) -> bool {
    !view.moving
        && matches!(
            view.state,
            State::Ready { .. }
                | State::Sleeping { .. }
                | State::Failed { .. }
                | State::Stopped { .. }
                | State::Ended { .. }
                | State::Stuck { .. }
                | State::Down { .. }
        )
}

/// The stream of an instance's events after number `after`.
pub(crate) fn events(app: App, id: InstanceId, after: u64, audience: Audience, pass: Pass) -> Response {
    let watch = app.wharf.watch(&id);
    let reader = Reader {
        app,
        id,
        after,
        audience,
        watch,
        ready: VecDeque::from([Event::default().retry(limits::RECONNECT).comment("the past first")]),
        is_over: false,
        until: Instant::now() + limits::STREAM_LIFE,
        _pass: pass,
    };
    Sse::new(reader.into_stream())
        .keep_alive(KeepAlive::new().interval(limits::KEEP_ALIVE))
        .into_response()
}

struct Reader {
    app: App,
    id: InstanceId,
    after: u64,
    audience: Audience,
    watch: Watch,
    /// Read and not yet sent: at most one page.
    ready: VecDeque<Event>,
    is_over: bool,
    until: Instant,
    _pass: Pass,
}

impl Reader {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut reader| async move {
            let event = reader.next().await?;
            Some((Ok(event), reader))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            // Before looking: what comes while we look is not missed.
            let changed = self.watch.changed();
            if let Err(failure) = self.look().await {
                tracing::warn!(instance = %self.id, code = %failure.code, error = %failure.message, "a stream ends early");
                // Without `end`: the client comes again.
                return None;
            }
            if !self.ready.is_empty() {
                continue;
            }
            let look_again = Instant::now() + limits::LOOK_AGAIN;
            tokio::select! {
                biased;
                () = self.app.stopping.cancelled() => return None,
                () = changed => {}
                () = tokio::time::sleep_until(look_again.min(self.until)) => {}
            }
            if Instant::now() >= self.until {
                return None;
            }
        }
    }

    /// Reads what is new.
    async fn look(&mut self) -> Result<(), Failure> {
        // The record before its history: when it is at rest, all that led there is in what is read after it.
        let view = self.app.wharf.show(&self.id).await?;
        let page = self
            .app
            .wharf
            .history(&self.id, self.after, limits::HISTORY_PAGE)
            .await?;
        let is_last_page = page.len() < limits::HISTORY_PAGE;
        for entry in page {
            self.after = entry.seq;
            self.ready.push_back(event(entry, self.audience)?);
        }
        if is_last_page && is_at_rest(&view) {
            self.is_over = true;
            let end = End { status: &view.status };
            self.ready.push_back(with_data(Event::default().event("end"), &end)?);
        }
        Ok(())
    }
}

/// The last event's data.
#[derive(Serialize)]
struct End<'a> {
    status: &'a str,
}

/// An entry of the history, with what people call the step that it is about, if they are told of it.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    entry: Numbered,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'static str>,
}

fn event(mut entry: Numbered, audience: Audience) -> Result<Event, Failure> {
    if audience == Audience::Public {
        hide_evidence(&mut entry.entry.what);
    }
    let (name, title) = match &entry.entry.what {
        Happening::Started { step, undo }
        | Happening::Done { step, undo, .. }
        | Happening::Waits { step, undo, .. }
        | Happening::Failed { step, undo, .. } => {
            ("step", words::is_told(step, *undo).then(|| words::step(step, *undo)))
        }
        Happening::State { .. } => ("state", None),
        Happening::Began { .. } | Happening::Note { .. } => ("note", None),
    };
    let event = Event::default().id(entry.seq.to_string()).event(name);
    with_data(event, &Told { entry, title })
}

/// Takes out what is for operators.
fn hide_evidence(what: &mut Happening) {
    if let Happening::Failed { cause, .. } | Happening::State { cause: Some(cause), .. } = what {
        cause.detail = None;
    }
}

fn with_data<T: Serialize>(event: Event, data: &T) -> Result<Event, Failure> {
    event
        .json_data(data)
        .map_err(|error| Failure::internal(format!("an event cannot be written: {error}")))
}
