//! `/repair`: registry and world compared, and brought together where that is asked for; and what the last comparison came to.

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use wharf_domain::Code;
use wharf_provisioning::repair::{Class, Finding, Mended};

use crate::{
    answer,
    fields::{Field, Kind},
    operation::{Access, Operation, STORE, Tag},
    problem::Answer,
    request,
    state::App,
};

const FIELDS: &[Field] = &[
    Field::new(
        "apply",
        Kind::Flag,
        "Do what the plan says; without it nothing is changed",
        "false",
    ),
    Field::new(
        "remove_unknown",
        Kind::Flag,
        "With `apply`: also remove what the registry does not know, as after the restoration of an older backup",
        "false",
    ),
];

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/repair", "repair", Tag::Operation, Access::Admin, repair)
            .says(
                "Compare registry and world",
                "Both ways. The plan is shown; it is applied where that is asked for, and touches nothing but what carries this \
                 deployment's own mark.",
            )
            .takes("Repair", FIELDS)
            .answers::<Repaired>(200, "The differences, and what was done about them", "Repaired")
            .like(json!({
                "findings": [{
                    "subject": "database",
                    "instance": "inst_01je4q5gkv8a9xw3n2b7c6d5eg",
                    "what": "there is a database user_gone of inst_01je4q5gkv8a9xw3n2b7c6d5eg, which is over",
                    "cause": "its undo of step database failed: the server was restarted",
                    "mend": {"mend": "remove_database", "instance": "inst_01je4q5gkv8a9xw3n2b7c6d5eg", "name": "user_gone"},
                    "class": "asked",
                    "hint": null
                }],
                "mended": []
            }))
            .fails(&[Code::Internal])
            .fails(STORE),
        Operation::get("/repair", "last_repair", Tag::Operation, Access::Admin, last)
            .says(
                "What the last comparison came to",
                "Of this process, whether somebody asked for it or it came by itself. Nothing is compared now.",
            )
            .answers::<LastRepair>(200, "The last run; `at` is null where there was none yet", "LastRepair")
            .like(json!({"at": 1_763_600_000_000_u64, "millis": 12, "left": [], "mended": []})),
    ]
}

/// What the last comparison found, did and left.
#[derive(Debug, Default, Serialize, ToSchema)]
struct LastRepair {
    /// Milliseconds since the epoch.
    at: Option<u64>,
    /// How long it took.
    millis: u64,
    /// Findings that it has not mended.
    #[schema(value_type = Vec<Object>)]
    left: Vec<Finding>,
    #[schema(value_type = Vec<Object>)]
    mended: Vec<Mended>,
}

async fn last(State(app): State<App>) -> Answer {
    let last = app.wharf.last_repair().map(|run| LastRepair {
        at: Some(run.at.as_millis()),
        millis: run.millis,
        left: run.left().cloned().collect(),
        mended: run.mended.clone(),
    });
    Ok(answer::json(StatusCode::OK, &last.unwrap_or_default()))
}

/// The differences between registry and world, and what was done about them.
#[derive(Debug, Serialize, ToSchema)]
struct Repaired {
    /// Each with its `subject`, `instance`, `what` in plain words, `cause` where it is known, `mend` (null where a person has to decide), its `class` (`safe`, `asked`:
    /// with `apply`, `unknown`: with `remove_unknown` too) and `hint`.
    #[schema(value_type = Vec<Object>)]
    findings: Vec<Finding>,
    /// Each with `mend`, `outcome` (`done`, `passed_over` where it was not so any more, `failed`) and `text`, one line.
    #[schema(value_type = Vec<Object>)]
    mended: Vec<Mended>,
}

async fn repair(State(app): State<App>, request: Request) -> Answer {
    let fields = request::object(request, FIELDS).await?;
    let apply = fields.flag("apply").unwrap_or_default();
    let remove_unknown = fields.flag("remove_unknown").unwrap_or_default();
    fields.check()?;
    let allowed = if remove_unknown { Class::Unknown } else { Class::Asked };
    let run = app.wharf.repair(apply.then_some(allowed)).await?;
    let (findings, mended) = (run.findings.clone(), run.mended.clone());
    Ok(answer::json(StatusCode::OK, &Repaired { findings, mended }))
}
