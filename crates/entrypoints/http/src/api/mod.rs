//! The API, one file a resource. Each gives its operations; nothing else is asked of it.

pub(crate) mod errors;
mod events;
mod health;
mod history;
mod instances;
mod mails;
mod names;
pub(crate) mod provision;
mod repair;
mod schedules;
mod services;
pub(crate) mod status;
mod tenants;
pub(crate) mod view;
mod webhooks;

use crate::operation::Operation;

pub(crate) fn operations() -> Vec<Operation> {
    [
        provision::operations(),
        status::operations(),
        names::operations(),
        instances::operations(),
        tenants::operations(),
        services::operations(),
        schedules::operations(),
        events::operations(),
        webhooks::operations(),
        mails::operations(),
        repair::operations(),
        health::operations(),
        errors::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
