//! `POST /events`: an EventBridge envelope, start or stop, answered as documented.

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::Code;

use crate::{
    answer,
    operation::{Access, Operation, STORE, Tag},
    problem::{Answer, Problem},
    request,
    state::App,
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/events", "put_event", Tag::Services, Access::Admin, put)
            .says(
                "Put an event",
                "A start or a stop, in its EventBridge envelope or bare. The envelope's `id` makes repeating it safe. Without \
                 `waitForHealthy` the answer comes at registration; with it, when the target is healthy. An error has the same \
                 documented form: `error`, `code`, `hint`.",
            )
            .takes_any(
                "An EventBridge envelope, or its `detail` alone",
                json!({
                    "id": "7bf73129-1428-4cd3-a780-95db273d1602", "source": "custom.app", "detail-type": "Start ECS Task",
                    "detail": {"service": "auth", "waitForHealthy": true}
                }),
            )
            .answers::<Done>(200, "Done: the first of several in these fields, all in `instances`; after a stop, the ids", "Done")
            .like(json!({
                "message": "Task started and registered", "service": "auth", "instance": "inst_01je4q5gkv8a9xw3n2b7c6d5eg", "taskArn": "4711:88123",
                "taskId": "inst_01je4q5gkv8a9xw3n2b7c6d5eg", "privateIp": "127.0.0.1", "port": 20_001, "targetGroupArn": null,
                "targetGroupArns": [], "healthStatus": "healthy", "url": "http://services.localhost:8080/api/auth", "instances": []
            }))
            .answers::<Done>(202, "Taken, and not there yet when the answer could not wait any longer", "Done")
            .like(json!({
                "message": "Task is being started", "service": "auth", "instance": "inst_01je4q5gkv8a9xw3n2b7c6d5eg", "taskArn": null,
                "taskId": null, "privateIp": null, "port": null, "targetGroupArn": null, "targetGroupArns": [],
                "healthStatus": "initial", "url": null, "instances": []
            }))
            .refuses_as::<Refused>("Refused")
            .fails(&[
                Code::EventInvalid,
                Code::EventSchema,
                Code::EventNotAllowed,
                Code::ServiceUnknown,
                Code::ServiceTenant,
                Code::KeyReused,
                Code::LimitInstances,
                Code::PortExhausted,
                Code::TaskCrashed,
                Code::RouteUnhealthy,
            ])
            .fails(STORE),
    ]
}

/// What became of an event. The use case answers in this form; here it is only described.
#[derive(Debug, Serialize, ToSchema)]
struct Done {
    message: String,
    service: Option<String>,
    instance: Option<String>,
    #[serde(rename = "taskArn")]
    task_arn: Option<String>,
    #[serde(rename = "taskId")]
    task_id: Option<String>,
    #[serde(rename = "privateIp")]
    private_ip: Option<String>,
    port: Option<u16>,
    #[serde(rename = "targetGroupArn")]
    target_group_arn: Option<String>,
    #[serde(rename = "targetGroupArns")]
    target_group_arns: Option<Vec<String>>,
    /// `healthy`, `initial` or `unhealthy`.
    #[serde(rename = "healthStatus")]
    health_status: Option<String>,
    url: Option<String>,
    /// Each of several as above; after a stop, their ids.
    instances: Vec<Value>,
}

/// Why an event was not done. Described here, answered by the use case.
#[derive(Debug, Serialize, ToSchema)]
struct Refused {
    error: String,
    #[schema(value_type = String, example = "event.invalid")]
    code: Code,
    hint: Option<String>,
}

async fn put(State(app): State<App>, request: Request) -> Answer {
    let event = request::json(request).await?.ok_or_else(|| {
        Problem::new(
            Code::EventInvalid,
            "there is no event in the body",
            "send {\"detail-type\": \"Start ECS Task\", \"detail\": {\"service\": \"auth\"}}",
        )
    })?;
    let mut answered = app.wharf.handle_event(&event).await;
    let status = answered["statusCode"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok())
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(answer::json(status, &answered["body"].take()))
}
