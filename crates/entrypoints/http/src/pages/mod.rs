//! The pages: rendered here, whole, so that each works without a script. The script in `assets/` only spares people reloads.

mod assets;
mod choose;
mod console;
mod layout;
mod login;
mod password;
mod prose;
mod signup;
mod status;
mod trouble;

pub(crate) use status::page as status;
pub(crate) use trouble::{explained, page as trouble};

use axum::{
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};

use crate::operation::Operation;

pub(crate) const LOGIN: &str = "/login";
const CONSOLE: &str = "/console";

pub(crate) fn operations() -> Vec<Operation> {
    [
        signup::operations(),
        password::operations(),
        choose::operations(),
        console::operations(),
        login::operations(),
        assets::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A page that has a form. Of a form on a page whose referrer policy is `no-referrer`, a browser says that its origin is null;
/// with this policy it says which it is, and still tells other sites nothing.
fn with_form(page: String) -> Response {
    let mut response = Html(page).into_response();
    response
        .headers_mut()
        .insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
