//! What the endpoint answers beside AWS: to somebody who wants to see what there is, or to let time pass, from outside of this process.
//!
//! `GET /_simulator/state`, and `POST /_simulator/advance` with `{"seconds": 30}`. Faults are ordered in process only.

use crate::core::Core;
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const PREFIX: &str = "/_simulator/";
/// A day: more would make everything that was ever scheduled happen in one call.
const MOST_SECONDS: f64 = 86_400.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: f64,
}

/// `path` is what follows [`PREFIX`].
pub(crate) fn answer(core: &Core, method: &Method, path: &str, body: &[u8]) -> Response<Bytes> {
    match (method, path) {
        (&Method::GET, "state") => respond(StatusCode::OK, &state(core)),
        (&Method::POST, "advance") => match serde_json::from_slice(body) {
            Ok(Advance { seconds }) if (0.0..=MOST_SECONDS).contains(&seconds) => {
                core.clock.advance(Duration::from_secs_f64(seconds));
                respond(StatusCode::OK, &state(core))
            }
            Ok(_) => respond(
                StatusCode::BAD_REQUEST,
                &json!({ "message": "seconds must be from 0 to 86400" }),
            ),
            Err(error) => respond(StatusCode::BAD_REQUEST, &json!({ "message": error.to_string() })),
        },
        _ => {
            let known = "GET /_simulator/state, POST /_simulator/advance";
            respond(
                StatusCode::NOT_FOUND,
                &json!({ "message": format!("there is only {known}") }),
            )
        }
    }
}

fn state(core: &Core) -> serde_json::Value {
    let mut calls: BTreeMap<String, u64> = BTreeMap::new();
    for call in core.calls.all() {
        *calls.entry(call.action).or_default() += 1;
    }
    let throttled = core.throttles.lock().refused();
    core.with_world(|world| {
        json!({
            "now": crate::clock::iso(world.now), "tasks": world.tasks_seen(), "targets": world.targets_seen(),
            "rules": world.rules_seen(), "calls": calls, "throttled": throttled,
        })
    })
}

fn respond(status: StatusCode, body: &serde_json::Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{body}\n")));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
