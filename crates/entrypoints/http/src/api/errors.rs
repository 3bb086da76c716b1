//! `GET /errors/{code}`: what a problem's `type` leads to.

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse},
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use wharf_domain::{Code, Failure, Fault};
use wharf_provisioning::answers;

use crate::{
    answer, around,
    operation::{Access, Operation, Tag},
    pages,
    problem::{Answer, Problem},
    request::Word,
    state::App,
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/errors/{code}", "explain_error", Tag::Operation, Access::Anyone, explain)
            .says("What a code means", "Where a problem's `type` leads. JSON, or a page where a browser asks.")
            .answers::<Explained>(200, "What it means", "Explained")
            .like(json!({
                "code": "name.taken", "summary": "another instance has the name", "status": 409, "fault": "caller", "retry": false
            }))
            .sends(200, "text/html", "The same as a page")
            .fails(&[Code::RequestNotFound]),
    ]
}

/// What a code means.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explained {
    #[schema(value_type = String, example = "name.taken")]
    pub(crate) code: Code,
    pub(crate) summary: &'static str,
    /// The HTTP status that it is answered with.
    pub(crate) status: u16,
    /// Whose it is to mend: `caller`, `service`, `operator` or `wharf`.
    #[schema(value_type = String, example = "caller")]
    pub(crate) fault: Fault,
    /// The same thing can succeed later without anybody mending anything.
    pub(crate) retry: bool,
}

async fn explain(State(_): State<App>, Word(text): Word, request: Request) -> Answer {
    let code = Code::ALL
        .iter()
        .copied()
        .find(|code| code.as_str() == text)
        .ok_or_else(|| {
            Problem::new(
                Code::RequestNotFound,
                "there is no such code",
                "the codes are those of the OpenAPI document",
            )
        })?;
    let explained = Explained {
        code,
        summary: code.summary(),
        status: answers::status(&Failure::new(code, "")),
        fault: code.fault(),
        retry: code.is_passing(),
    };
    let response = if around::prefers_page(request.headers()) {
        Html(pages::explained(&explained)).into_response()
    } else {
        answer::json(StatusCode::OK, &explained)
    };
    Ok(answer::with_header(response, header::VARY, "accept"))
}
