//! `/mails`: what is in the outbox, and one of it once more. No address stands in an answer, and no word of a mail.

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::Code;
use wharf_provisioning::outbox::MailView;
use wharf_saga::store::{Fate, PAGE_MAX};

use crate::{
    answer,
    fields::{Field, Kind},
    operation::{Access, Operation, STORE, Tag},
    problem::Answer,
    request::{self, Word},
    state::App,
};

const LIST: &[Field] = &[
    Field::new(
        "limit",
        Kind::Whole {
            least: 1,
            most: PAGE_MAX as u64,
        },
        "At most so many; 100 unless said",
        "100",
    ),
    Field::text("from", 256, "`next` of the page before", "100"),
];

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/mails", "list_mails", Tag::Operation, Access::Admin, list)
            .says(
                "List mails",
                "Those that wait, those that were given up, and those that were sent in the last 30 days, page by page. A page may be \
                 empty although there is a next one.",
            )
            .queries(LIST)
            .answers::<Mails>(200, "A page", "Mails")
            .like(json!({"mails": [example("failed")], "next": null}))
            .fails(&[Code::RequestInvalid])
            .fails(STORE),
        Operation::post("/mails/{id}/resend", "resend_mail", Tag::Operation, Access::Admin, resend)
            .says(
                "Send a mail once more",
                "One that waits is tried now, one that was given up is tried from the beginning, and one that was sent goes out as a new mail.",
            )
            .answers::<Mail>(202, "It is being sent", "Mail")
            .like(example("waiting"))
            .fails(&[Code::MailUnknown])
            .fails(STORE),
    ]
}

/// A page of mails.
#[derive(Debug, Serialize, ToSchema)]
struct Mails {
    mails: Vec<Mail>,
    /// To be given as `from` for the next page; null on the last one.
    next: Option<String>,
}

/// A mail, without its words.
#[derive(Debug, Serialize, ToSchema)]
struct Mail {
    id: String,
    /// The instance that it is about.
    instance: String,
    /// What it is about: `ready`.
    kind: String,
    /// `waiting`, `sent` or `failed`.
    state: String,
    /// How often it was tried.
    tries: u32,
    /// When it is tried next; null unless it waits.
    next_at: Option<u64>,
    /// When it was sent; null unless it was.
    sent_at: Option<u64>,
    /// What the last try met.
    cause: Option<String>,
}

impl From<MailView> for Mail {
    fn from(view: MailView) -> Self {
        let (state, next_at, sent_at) = match view.fate {
            Fate::Waits { next_at } => ("waiting", Some(next_at.as_millis()), None),
            Fate::Sent { at } => ("sent", None, Some(at.as_millis())),
            Fate::Dead => ("failed", None, None),
        };
        Self {
            id: view.id,
            instance: view.instance.to_string(),
            kind: view.kind,
            state: state.to_owned(),
            tries: view.tries,
            next_at,
            sent_at,
            cause: view.error,
        }
    }
}

fn example(state: &str) -> Value {
    json!({
        "id": "ready-inst_01je4q5gkv8a9xw3n2b7c6d5eg", "instance": "inst_01je4q5gkv8a9xw3n2b7c6d5eg", "kind": "ready", "state": state,
        "tries": 1, "next_at": null, "sent_at": null,
        "cause": "the SMTP server answered permanent error (550): 5.1.1 (address) no such mailbox"
    })
}

async fn list(State(app): State<App>, request: Request) -> Answer {
    let fields = request::query(&request, LIST)?;
    let limit = fields.number("limit").unwrap_or(100);
    let from = fields.text("from").map(str::to_owned);
    fields.check()?;
    let page = app
        .wharf
        .list_mails(from, usize::try_from(limit).unwrap_or(PAGE_MAX))
        .await?;
    let mails = Mails {
        mails: page.mails.into_iter().map(Mail::from).collect(),
        next: page.next,
    };
    Ok(answer::json(StatusCode::OK, &mails))
}

async fn resend(State(app): State<App>, Word(id): Word) -> Answer {
    let mail = Mail::from(app.wharf.resend(&id).await?);
    Ok(answer::json(StatusCode::ACCEPTED, &mail))
}
