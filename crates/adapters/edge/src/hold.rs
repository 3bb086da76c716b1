//! Requests for something that is starting wait for it, so that whoever comes first after a sign-up or a sleep meets the application, and not a page
//! that waits.
//!
//! A browser's visit is held for a moment, for the page that it gets then asks again by itself. Whatever else comes is held for longer: a program
//! takes a 503 for the end of it. Either way only so many are held at once, and one whose client leaves is held no more: hyper drops its future.
//!
//! What must not be here: what is said to those who have waited in vain.

use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

use crate::{
    config::EdgeConfig,
    core::Core,
    metrics::Gauge,
    table::{Found, Route},
};

/// How often the owner of something that is waited for is told again: it may not have been heard, or nothing have come of it.
const TOLD_AGAIN: Duration = Duration::from_secs(1);

/// What there is for a name, after waiting no longer than configured for what is starting. Only so many wait at once;
/// further ones are told at once that it is starting.
pub(crate) async fn found(core: &Core, name: &str, is_visit: bool) -> Found {
    let registry = &core.shared.registry;
    match registry.table.find(name) {
        Found::Starting(route) => Box::pin(wait(core, name, route, is_visit)).await,
        found => found,
    }
}

async fn wait(core: &Core, name: &str, mut route: Arc<Route>, is_visit: bool) -> Found {
    let shared = &core.shared;
    let registry = &shared.registry;
    registry.want(&route);
    let Some(_held) = Gauge::up_to(&shared.held, shared.config.limits.held_requests) else {
        return Found::Starting(route);
    };
    let mut patience = Patience::new(&shared.config, is_visit);
    // Beyond the first moment, a place among those that may stay.
    let mut stays = None;
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
        if timeout_at(patience.next, changed).await.is_ok() {
            continue;
        }
        if patience.is_over() {
            route.want_again();
            return Found::Starting(route);
        }
        if stays.is_none() {
            stays = Gauge::up_to(&shared.staying, shared.config.limits.held_requests.div_ceil(2));
            if stays.is_none() {
                route.want_again();
                return Found::Starting(route);
            }
        }
        registry.want_still(&route, TOLD_AGAIN);
        patience.go_on();
    }
}

/// How long one request is held.
struct Patience {
    /// When it is looked at again whether it goes on.
    next: Instant,
    until: Instant,
}

impl Patience {
    fn new(config: &EdgeConfig, is_visit: bool) -> Self {
        let now = Instant::now();
        let timeouts = &config.timeouts;
        let until = now
            + if is_visit {
                timeouts.hold
            } else {
                timeouts.hold_programs
            };
        Self {
            next: until.min(now + timeouts.hold),
            until,
        }
    }

    fn is_over(&self) -> bool {
        self.next >= self.until
    }

    fn go_on(&mut self) {
        self.next = self.until.min(Instant::now() + TOLD_AGAIN);
    }
}
