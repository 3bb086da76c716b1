//! Requests for something that is starting wait a moment, so that the first visit after a sign-up meets the application and
//! not a page that waits.

use std::{pin::pin, sync::Arc};
use tokio::time::{Instant, timeout_at};

use crate::{
    core::Core,
    metrics::Gauge,
    table::{Found, Route},
};

/// What there is for a name, after waiting no longer than configured for what is starting. Only so many wait at once;
/// further ones are told at once that it is starting.
pub(crate) async fn found(core: &Core, name: &str) -> Found {
    let registry = &core.shared.registry;
    match registry.table.find(name) {
        Found::Starting(route) => Box::pin(wait(core, name, route)).await,
        found => found,
    }
}

async fn wait(core: &Core, name: &str, mut route: Arc<Route>) -> Found {
    let registry = &core.shared.registry;
    let config = &core.shared.config;
    let deadline = Instant::now() + config.timeouts.hold;
    registry.want(&route);
    let Some(_held) = Gauge::up_to(&core.shared.held, config.limits.held_requests) else {
        return Found::Starting(route);
    };
    loop {
        let waited_on = Arc::clone(&route);
        let mut changed = pin!(waited_on.changed.notified());
        changed.as_mut().enable();
        // Looked up after listening began: a change in between is seen here, a later one wakes.
        match registry.table.find(name) {
            Found::Starting(current) if Arc::ptr_eq(&current, &waited_on) => {}
            Found::Starting(current) => {
                registry.want(&current);
                route = current;
                continue;
            }
            found => return found,
        }
        if timeout_at(deadline, changed).await.is_err() {
            route.want_again();
            return Found::Starting(route);
        }
    }
}
