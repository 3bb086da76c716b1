//! The router as its callers see it, over a Wharf in the simulated world. Every answer that a test gets is held against the
//! OpenAPI document too: a status, a media type or a field that the document does not know fails the test.

mod access;
mod bad_input;
mod console;
mod document;
mod events;
mod instances;
mod pages;
mod password;
mod provision;
mod rates;
mod services;
mod site;
mod webhooks;
