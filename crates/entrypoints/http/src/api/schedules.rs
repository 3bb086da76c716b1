//! `/schedules`: what starts and stops by the clock, and when.

use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use wharf_provisioning::schedules::ScheduleView;

use crate::{
    answer,
    operation::{Access, Operation, STORE, Tag},
    problem::Answer,
    state::App,
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/schedules", "list_schedules", Tag::Services, Access::Admin, list)
            .says(
                "List schedules",
                "Those of the configuration, with the time that comes next, and what became of the last one where this server has done it.",
            )
            .answers::<Schedules>(200, "All of them, by name", "Schedules")
            .like(json!({
                "schedules": [{
                    "name": "morning",
                    "action": "start",
                    "services": ["auth", "pdf"],
                    "cron": "0 7 * * MON-FRI",
                    "time_zone": "Europe/Berlin",
                    "catch_up_ms": 43_200_000,
                    "next": 1_795_413_600_000_u64,
                    "last": {"at": 1_795_154_400_000_u64, "done_at": 1_795_154_400_012_u64, "cause": null}
                }]
            }))
            .fails(STORE),
    ]
}

#[derive(Debug, Serialize, ToSchema)]
struct Schedules {
    schedules: Vec<Scheduled>,
}

/// A schedule. Times are milliseconds since the epoch.
#[derive(Debug, Serialize, ToSchema)]
struct Scheduled {
    name: String,
    /// `start` or `stop`.
    #[schema(value_type = String)]
    action: wharf_domain::schedule::Action,
    services: Vec<String>,
    /// Minute, hour, day of the month, month, day of the week.
    cron: String,
    /// By its name in the IANA database.
    time_zone: String,
    /// How late it is still done; 0 passes over what was missed.
    catch_up_ms: u64,
    next: Option<u64>,
    last: Option<Last>,
}

/// A time that was dealt with.
#[derive(Debug, Serialize, ToSchema)]
struct Last {
    at: u64,
    done_at: u64,
    /// Why it failed, if it did.
    #[schema(value_type = Option<Object>)]
    cause: Option<wharf_domain::Failure>,
}

impl From<ScheduleView<'_>> for Scheduled {
    fn from(view: ScheduleView<'_>) -> Self {
        let schedule = view.schedule;
        Self {
            name: schedule.name.to_string(),
            action: schedule.action,
            services: schedule.services.iter().map(ToString::to_string).collect(),
            cron: schedule.calendar.pattern().as_str().to_owned(),
            time_zone: schedule.calendar.zone().as_str().to_owned(),
            catch_up_ms: u64::try_from(schedule.catch_up.as_millis()).unwrap_or(u64::MAX),
            next: view.next.map(|at| at.0),
            last: view.last.map(|last| Last {
                at: last.at.0,
                done_at: last.done_at.0,
                cause: last.cause,
            }),
        }
    }
}

async fn list(State(app): State<App>) -> Answer {
    let views = app.wharf.schedules().await?;
    let schedules = views.into_iter().map(Scheduled::from).collect();
    Ok(answer::json(StatusCode::OK, &Schedules { schedules }))
}
