//! Problems as pages, and what their codes mean.

use maud::html;
use wharf_domain::{Code, Failure, Fault};

use super::{
    layout::{self, Layout},
    prose::sentence,
};
use crate::{api::errors::Explained, problem::Problem};

/// A problem, for a person with a browser.
pub(crate) fn page(problem: &Problem) -> String {
    let Failure {
        code, message, hint, ..
    } = &*problem.failure;
    let title = match code {
        Code::PasswordShown => "This link is used up",
        Code::RequestNotFound | Code::InstanceUnknown => "There is nothing here",
        Code::LimitRate => "A moment, please",
        _ if problem.status.is_server_error() => "That did not work, and it is our fault",
        _ => "That did not work",
    };
    // What a program is told about a path is no help to a person.
    let hint = match code {
        Code::RequestNotFound => Some("check the address"),
        _ => hint.as_deref(),
    };
    let main = html! {
        h1 { (title) }
        div.card.wrong {
            p { strong { (sentence(message)) } }
            @if let Some(hint) = hint { p { (sentence(hint)) } }
            @if !problem.errors.is_empty() {
                ul {
                    @for error in &problem.errors {
                        li { strong { (error.field) } ": " (error.detail) @if let Some(hint) = &error.hint { " (" (hint) ")" } }
                    }
                }
            }
            p.hint { "Code " a href={ "/errors/" (code) } { (code) } }
        }
        p { a href="/" { "Sign-up page" } }
    };
    layout::page(title, &Layout::default(), &main)
}

/// What a code means.
pub(crate) fn explained(explained: &Explained) -> String {
    let whose = match explained.fault {
        Fault::Caller => "Whoever asked mends it: change what is asked for, then ask again.",
        Fault::Service => "The service's author mends it: its program or its image.",
        Fault::Operator => "The operator mends it: the configuration or the machine.",
        Fault::Wharf => "It is a defect of Wharf.",
    };
    let main = html! {
        h1 { code { (explained.code) } }
        p.lead { (sentence(explained.summary)) }
        div.card {
            p { (whose) }
            @if explained.retry { p { "It may pass by itself: trying again later can help." } }
            p.hint { "HTTP status " (explained.status) }
        }
    };
    layout::page(explained.code.as_str(), &Layout::default(), &main)
}
