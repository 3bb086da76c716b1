//! `/services/{name}`: start one more instance of a service without tenants, and stop all that there are.

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use wharf_domain::{Code, Failure, ServiceName, State as InstanceState, request::Start};
use wharf_provisioning::Wharf;

use super::{
    provision::{KEY_HEADER, key},
    view::{Accepted, accepted_example},
};
use crate::{
    answer,
    door::Identity,
    fields::{Field, Kind},
    limits,
    operation::{Access, Operation, STORE, Tag},
    problem::{Answer, Problem},
    request::{self, Word},
    state::App,
};

const START: &[Field] = &[
    Field::new(
        "environment",
        Kind::Variables,
        "Laid over the service's own environment",
        "{\"LOG_LEVEL\": \"debug\"}",
    ),
    Field::new(
        "wait",
        Kind::Flag,
        "Answer when it is ready, or when it is clear that it will not be",
        "true",
    ),
];

/// How a start may end that is waited for.
const ENDINGS: &[Code] = &[
    Code::InstanceCancelled,
    Code::TaskCommand,
    Code::TaskCrashed,
    Code::TaskMemory,
    Code::TaskTimeout,
    Code::LimitQueue,
    Code::RouteUnhealthy,
    Code::RouteIdentity,
];

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/services/{name}/start", "start_service", Tag::Services, Access::Admin, start)
            .says(
                "Start a service",
                "One more instance; of a singleton, the one that runs. With `wait`, a start that fails is a problem with its cause, \
                 and one that takes longer than the service allows is a 202 after all.",
            )
            .heeds(KEY_HEADER)
            .takes("Start", START)
            .answers::<Accepted>(202, "Taken", "Accepted")
            .like(accepted_example("provisioning", "inst_01je4q5gkv8a9xw3n2b7c6d5eg is being started"))
            .answers::<Accepted>(200, "Waited for, and ready", "Accepted")
            .like(accepted_example("ready", "inst_01je4q5gkv8a9xw3n2b7c6d5eg is ready"))
            .fails(&[
                Code::ServiceUnknown,
                Code::ServiceTenant,
                Code::KeyReused,
                Code::LimitInstances,
                Code::LimitBooking,
                Code::PortExhausted,
                Code::StoreFull,
            ])
            .fails(ENDINGS)
            .fails(STORE),
        Operation::post("/services/{name}/stop", "stop_service", Tag::Services, Access::Admin, stop)
            .says(
                "Stop a service",
                "Every live instance of it: those without tenants end, tenants' own are kept to come back.",
            )
            .answers::<Stopped>(202, "Asked for", "Stopped")
            .like(json!({"message": "1 instance of auth is being stopped", "instances": ["inst_01je4q5gkv8a9xw3n2b7c6d5eg"]}))
            .fails(&[Code::ServiceUnknown])
            .fails(STORE),
    ]
}

/// The instances that are being stopped.
#[derive(Debug, Serialize, ToSchema)]
struct Stopped {
    message: String,
    instances: Vec<String>,
}

/// A word that is no service's name is no service.
fn service(name: &str) -> Answer<ServiceName> {
    name.parse().map_err(|_: Failure| {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
        Problem::new(
            Code::ServiceUnknown,
            format!("no service is called {shown:?}"),
            "the services are those in wharf.toml",
        )
    })
}

async fn start(State(app): State<App>, Word(name): Word, identity: Identity, request: Request) -> Answer {
    let service = service(&name)?;
    let key = key(request.headers())?;
    let fields = request::object(request, START).await?;
    let environment = fields.variables("environment");
    let wait = fields.flag("wait").unwrap_or_default();
    fields.check()?;
    let key = key.map(|key| Wharf::start_key(identity.caller(), &key)).transpose()?;
    let taken = app
        .wharf
        .start_service(Start { service, environment }, identity.caller(), key)
        .await?;
    if !wait {
        return Ok(answer::json(StatusCode::ACCEPTED, &app.accepted(&taken)));
    }
    let patience = taken.instance.service.start_timeout + limits::NOTICE;
    let view = app
        .wharf
        .wait_until(&taken.id, patience, |state| {
            !state.is_coming() && !matches!(state, InstanceState::Sleeping { .. })
        })
        .await?;
    let mut accepted = Accepted::of(&view, "started");
    match &view.state {
        InstanceState::Ready { .. } => {
            accepted.message = format!("{} is ready", view.name());
            Ok(answer::json(StatusCode::OK, &accepted))
        }
        state if state.is_coming() => Ok(answer::json(StatusCode::ACCEPTED, &accepted)),
        state => {
            let cause = view.cause.clone().unwrap_or_else(|| {
                Failure::new(
                    Code::InstanceCancelled,
                    format!("{} is {} now", view.name(), state.name()),
                )
            });
            Err(Problem::from(cause).with_evidence())
        }
    }
}

async fn stop(State(app): State<App>, Word(name): Word) -> Answer {
    let name = service(&name)?;
    let ids = app.wharf.stop_service(&name).await?;
    let stopped = Stopped {
        message: match ids.len() {
            1 => format!("1 instance of {name} is being stopped"),
            count => format!("{count} instances of {name} are being stopped"),
        },
        instances: ids.into_iter().map(String::from).collect(),
    };
    Ok(answer::json(StatusCode::ACCEPTED, &stopped))
}
