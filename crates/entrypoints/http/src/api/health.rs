//! Is it up, can it work, how does it do; and the OpenAPI document.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;
use std::sync::LazyLock;
use utoipa::ToSchema;
use wharf_domain::{Code, Failure};
use wharf_saga::store::Query;

use crate::{
    answer, limits, metrics,
    operation::{Access, Operation, STORE, Tag},
    problem::Answer,
    state::App,
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/healthz", "health", Tag::Operation, Access::Anyone, health)
            .says("Whether the process is up", "Looks at nothing.")
            .answers::<Health>(200, "It is", "Health")
            .like(json!({"status": "ok"})),
        Operation::get("/readyz", "readiness", Tag::Operation, Access::Anyone, ready)
            .says(
                "Whether it can work",
                "Reads the registry. What waits to be brought back after a restart does not make it less ready.",
            )
            .answers::<Readiness>(200, "It can", "Readiness")
            .like(json!({"status": "ready", "restoring": 0}))
            .fails(STORE),
        Operation::get("/metrics", "metrics", Tag::Operation, Access::Admin, scrape)
            .says("Metrics for Prometheus", "In the OpenMetrics text format.")
            .sends(200, metrics::MEDIA, "As they are now")
            .fails(STORE),
        Operation::get("/openapi.json", "openapi", Tag::Operation, Access::Anyone, document)
            .says("This document", "Generated from the code that answers.")
            .sends(200, "application/json", "OpenAPI 3.1"),
    ]
}

/// The process is up.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    status: &'static str,
}

/// The registry answers.
#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    status: &'static str,
    /// Instances that wait to be brought back after a restart.
    restoring: usize,
}

async fn health() -> Response {
    answer::json(StatusCode::OK, &Health { status: "ok" })
}

async fn ready(State(app): State<App>) -> Answer {
    let one = Query {
        limit: 1,
        ..Query::default()
    };
    tokio::time::timeout(limits::READY_TIMEOUT, app.wharf.list(one))
        .await
        .map_err(|_| Failure::new(Code::StoreUnavailable, "the registry does not answer in time"))??;
    let readiness = Readiness {
        status: "ready",
        restoring: (app.restoring)(),
    };
    Ok(answer::json(StatusCode::OK, &readiness))
}

async fn scrape(State(app): State<App>) -> Answer {
    Ok(answer::text(metrics::MEDIA, app.scrape().await?))
}

async fn document() -> Response {
    // Made when somebody first asks: most servers are never asked.
    static TEXT: LazyLock<String> = LazyLock::new(crate::openapi);
    let media = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (media, TEXT.as_str()).into_response()
}
