//! `/instances`: the registry's list, one instance, its events and its output, and what can be asked of it.

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use futures::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use utoipa::ToSchema;
use wharf_domain::{Code, Failure, InstanceId, ServiceName, State as InstanceState, Timestamp, name::LABEL_MAX};
use wharf_provisioning::view;
use wharf_saga::store::{PAGE_MAX, Query};

use super::{
    history,
    view::{Accepted, Instance, Step, accepted_example, instance_example, step_example},
};
use crate::{
    answer,
    fields::{Field, Kind},
    limits,
    operation::{Access, Operation, STORE, Tag},
    problem::Answer,
    request::{self, Word},
    state::App,
    stream::{self, Audience},
};

const LIST: &[Field] = &[
    Field::new(
        "state",
        Kind::OneOf(InstanceState::NAMES),
        "Only those in this state",
        "ready",
    ),
    Field::text("service", LABEL_MAX, "Only those of this service", "storefront"),
    Field::new(
        "live",
        Kind::Flag,
        "Only those that are not over yet, or only those that are",
        "true",
    ),
    Field::new(
        "limit",
        Kind::Whole {
            least: 1,
            most: PAGE_MAX as u64,
        },
        "At most so many; 100 unless said",
        "100",
    ),
    Field::text(
        "before",
        64,
        "Older than this instance: `next` of the page before",
        "inst_01je4q5gkv8a9xw3n2b7c6d5eg",
    ),
];

const LOGS: &[Field] = &[
    Field::new(
        "lines",
        Kind::Whole {
            least: 0,
            most: limits::LINES_MAX,
        },
        "The last so many lines; 200 unless said",
        "200",
    ),
    Field::new("follow", Kind::Flag, "And those to come, until the client goes", "true"),
];

const REASON: &[Field] = &[Field::text(
    "reason",
    500,
    "Why what is left in the world is given up; kept with the instance",
    "the volume was removed by hand",
)
.required()];

/// In place of a time: it has no end.
const NEVER: &str = "never";

const UNTIL: &[Field] = &[Field::text(
    "until",
    40,
    "When its time is up, as RFC 3339 has it; or `never`",
    "2026-12-24T18:00:00Z",
)
.required()];

/// What may be wrong with asking something of an instance.
const ASKED: &[Code] = &[Code::InstanceUnknown, Code::InstanceState];

pub(crate) fn operations() -> Vec<Operation> {
    let change = |path, id, handler: Change, summary, about| {
        Operation::post(
            path,
            id,
            Tag::Instances,
            Access::Admin,
            move |app: State<App>, word: Word| ask(app, word, handler),
        )
        .says(summary, about)
        .answers::<Accepted>(202, "Asked for", "Accepted")
        .like(accepted_example("ready", "acme is being stopped"))
        .fails(ASKED)
        .fails(STORE)
    };
    vec![
        Operation::get("/instances", "list_instances", Tag::Instances, Access::Admin, list)
            .says("List instances", "Newest first, page by page.")
            .queries(LIST)
            .answers::<Listing>(200, "A page", "Listing")
            .like(json!({"instances": [instance_example()], "next": null}))
            .fails(&[Code::RequestInvalid, Code::NameInvalid])
            .fails(STORE),
        Operation::get("/instances/{id}", "show_instance", Tag::Instances, Access::Admin, show)
            .says("Show an instance", "With its steps and the newest of its history.")
            .answers::<Shown>(200, "The instance", "Shown")
            .like(shown_example())
            .fails(&[Code::InstanceUnknown])
            .fails(STORE),
        Operation::get("/instances/{id}/events", "instance_events", Tag::Instances, Access::Admin, events)
            .says(
                "Follow an instance",
                "Server-sent events as with a sign-up's status, with their evidence: `step`, `state`, `note`, and `end` when nothing \
                 more will happen by itself.",
            )
            .queries(stream::QUERY)
            .sends(200, "text/event-stream", "Events until the instance is at rest")
            .fails(&[Code::InstanceUnknown, Code::LimitRate, Code::RequestInvalid])
            .fails(STORE),
        Operation::get("/instances/{id}/logs", "instance_logs", Tag::Instances, Access::Admin, logs)
            .says("Read what its tasks print", "Line by line, as UTF-8.")
            .queries(LOGS)
            .sends(200, "text/plain", "The output")
            .fails(&[Code::InstanceUnknown, Code::LimitRate, Code::RequestInvalid])
            .fails(STORE),
        change(
            "/instances/{id}/start",
            "start_instance",
            Change::Start,
            "Bring it back",
            "A stopped instance, or one that is down; with a new attempt, at the same address, with the same data.",
        ),
        change(
            "/instances/{id}/stop",
            "stop_instance",
            Change::Stop,
            "Stop it",
            "A tenant's name, port, database and secrets are kept. An instance without a tenant ends.",
        ),
        change(
            "/instances/{id}/resume",
            "resume_instance",
            Change::Resume,
            "Take up what is stuck",
            "The step that could not be done is tried again.",
        ),
        Operation::post("/instances/{id}/abandon", "abandon_instance", Tag::Instances, Access::Admin, abandon)
            .says(
                "Give up what is stuck",
                "Its name and port go free; what is left of it in the world is the operator's to remove.",
            )
            .takes("Reason", REASON)
            .answers::<Accepted>(202, "Asked for", "Accepted")
            .like(accepted_example("stuck", "acme is being given up"))
            .fails(ASKED)
            .fails(STORE),
        Operation::post("/instances/{id}/extend", "extend_instance", Tag::Instances, Access::Admin, extend)
            .says(
                "Give a trial another end",
                "Sooner or later than it was, or none. Where that is nearer than `ttl_notice`, its tenant is told by mail at once.",
            )
            .takes("Until", UNTIL)
            .answers::<Accepted>(202, "Asked for", "Accepted")
            .like(accepted_example("ready", "acme is being given another end"))
            .fails(ASKED)
            .fails(STORE),
        Operation::delete("/instances/{id}", "end_instance", Tag::Instances, Access::Admin, move |app: State<App>, word: Word| {
            ask(app, word, Change::End)
        })
        .says(
            "End it for good",
            "Its task, database and secrets are removed, and its name rests. One that is over already stays so.",
        )
        .answers::<Accepted>(202, "Asked for", "Accepted")
        .like(accepted_example("ready", "acme is being ended"))
        .fails(ASKED)
        .fails(STORE),
    ]
}

/// A page of instances.
#[derive(Debug, Serialize, ToSchema)]
struct Listing {
    instances: Vec<Instance>,
    /// To be given as `before` for the next page; null on the last one.
    next: Option<String>,
}

/// An instance with its past.
#[derive(Debug, Serialize, ToSchema)]
struct Shown {
    #[serde(flatten)]
    instance: Instance,
    steps: Vec<Step>,
    /// The newest entries of its history, numbered, oldest first; as the events' data.
    #[schema(value_type = Vec<Object>)]
    history: Vec<wharf_saga::store::Numbered>,
}

fn shown_example() -> Value {
    let mut example = instance_example();
    example["steps"] = json!([step_example()]);
    example["history"] =
        json!([{"seq": 1, "at": 1_795_000_000_000_u64, "attempt": 1, "what": "began", "saga": "provision"}]);
    example
}

async fn list(State(app): State<App>, request: Request) -> Answer {
    let mut fields = request::query(&request, LIST)?;
    let service = fields.parse::<ServiceName>("service");
    let before = fields.text("before").map(str::parse::<InstanceId>).transpose();
    let before = before.unwrap_or_else(|error| {
        fields.refuse(
            "before",
            Failure::new(Code::RequestInvalid, error.to_string()).hint("give `next` of the page before"),
        );
        None
    });
    let query = Query {
        state: fields.text("state").map(str::to_owned),
        service: service.map(String::from),
        live: fields.flag("live"),
        before,
        limit: usize::try_from(fields.number("limit").unwrap_or(limits::PAGE)).unwrap_or(PAGE_MAX),
        ..Query::default()
    };
    fields.check()?;
    let page = app.wharf.list(query).await?;
    let listing = Listing {
        instances: page.instances.into_iter().map(Instance::from).collect(),
        next: page.next.map(String::from),
    };
    Ok(answer::json(StatusCode::OK, &listing))
}

async fn show(State(app): State<App>, Word(name): Word) -> Answer {
    let id = app.wharf.find(&name).await?;
    let instance = app.wharf.show(&id).await?;
    let history = history::newest(&app.wharf, &id).await?;
    let shown = Shown {
        instance: instance.into(),
        steps: view::steps(&history).into_iter().map(Step::of_operator).collect(),
        history,
    };
    Ok(answer::json(StatusCode::OK, &shown))
}

async fn events(State(app): State<App>, Word(name): Word, request: Request) -> Answer {
    let fields = request::query(&request, stream::QUERY)?;
    let after = stream::last_seen(request.headers(), fields.number("after"))?;
    fields.check()?;
    let id = app.wharf.find(&name).await?;
    app.wharf.show(&id).await?;
    let pass = app.streams.enter(app.clients.of(&request))?;
    Ok(stream::events(app, id, after, Audience::Operator, pass))
}

async fn logs(State(app): State<App>, Word(name): Word, request: Request) -> Answer {
    let fields = request::query(&request, LOGS)?;
    let lines = usize::try_from(fields.number("lines").unwrap_or(limits::LINES)).unwrap_or_default();
    let follow = fields.flag("follow").unwrap_or_default();
    fields.check()?;
    let id = app.wharf.find(&name).await?;
    let pass = app.streams.enter(app.clients.of(&request))?;
    let lines = app.wharf.logs(&id, lines, follow).await?;
    let stopping = app.stopping.clone();
    let text = lines
        .map(move |line| {
            let _open_as_long_as_the_stream = &pass;
            Ok::<_, Infallible>(Bytes::from(line.text + "\n"))
        })
        .take_until(async move { stopping.cancelled().await });
    Ok(answer::text("text/plain; charset=utf-8", Body::from_stream(text)))
}

/// What can be asked of an instance without saying more.
#[derive(Clone, Copy)]
enum Change {
    Start,
    Stop,
    Resume,
    End,
}

impl Change {
    const fn done(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Resume => "taken up again",
            Self::End => "ended",
        }
    }
}

async fn ask(State(app): State<App>, Word(name): Word, change: Change) -> Answer<Response> {
    let id = app.wharf.find(&name).await?;
    match change {
        Change::Start => app.wharf.start(&id).await,
        Change::Stop => app.wharf.stop(&id).await,
        Change::Resume => app.wharf.resume(&id).await,
        Change::End => app.wharf.end(&id).await,
    }?;
    let accepted = Accepted::of(&app.wharf.show(&id).await?, change.done());
    Ok(answer::json(StatusCode::ACCEPTED, &accepted))
}

async fn extend(State(app): State<App>, Word(name): Word, request: Request) -> Answer {
    let mut fields = request::object(request, UNTIL).await?;
    let until = fields.text("until").map(|text| match text {
        NEVER => Some(None),
        text => Timestamp::parse(text).map(Some),
    });
    if until == Some(None) {
        fields.wrong(
            "until",
            "it is not a time",
            Some("write it with its offset, \"2026-12-24T18:00:00Z\", or \"never\"".to_owned()),
        );
    }
    let until = fields.done(until.flatten())?;
    let id = app.wharf.find(&name).await?;
    app.wharf.extend(&id, until).await?;
    let accepted = Accepted::of(&app.wharf.show(&id).await?, "given another end");
    Ok(answer::json(StatusCode::ACCEPTED, &accepted))
}

async fn abandon(State(app): State<App>, Word(name): Word, request: Request) -> Answer {
    let fields = request::object(request, REASON).await?;
    let reason = fields.text("reason").map(str::to_owned);
    let reason = fields.done(reason)?;
    let id = app.wharf.find(&name).await?;
    app.wharf.abandon(&id, &reason).await?;
    let accepted = Accepted::of(&app.wharf.show(&id).await?, "given up");
    Ok(answer::json(StatusCode::ACCEPTED, &accepted))
}
