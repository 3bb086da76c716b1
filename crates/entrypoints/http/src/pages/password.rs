//! The first password, behind the mail's link: a look shows a button, and only the button shows the password, once. What looks
//! at links before people do (mail scanners, previews) presses no buttons.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use maud::{Markup, html};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use wharf_domain::Code;
use wharf_provisioning::InstanceView;

use super::{
    layout::{self, Layout},
    with_form,
};
use crate::{
    answer, around,
    operation::{Access, Operation, STORE, Tag},
    problem::Answer,
    request::Word,
    state::App,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/password/{token}", "password_page", Tag::Pages, Access::PasswordLink, ask)
            .says("The page of the mail's link", "Shows a button. Nothing is revealed by looking.")
            .sends(200, "text/html", "The page")
            .fails(&[Code::PasswordShown])
            .fails(STORE),
        Operation::post("/password/{token}", "reveal_password", Tag::Pages, Access::PasswordLink, reveal)
            .says("Show the first password, once", "As a page where a browser asks.")
            .answers::<Revealed>(200, "The password", "Revealed")
            .like(json!({"company_name": "Acme Inc.", "url": "http://acme.localhost:8080/", "password": "correct-horse-battery"}))
            .sends(200, "text/html", "The same as a page")
            .fails(&[Code::PasswordShown, Code::SecretsFailed])
            .fails(STORE),
    ]
}

/// A tenant's first password.
#[derive(Serialize, ToSchema)]
struct Revealed {
    company_name: Option<String>,
    url: Option<String>,
    password: String,
}

async fn ask(State(app): State<App>, Word(token): Word) -> Answer<Response> {
    let shown = app.wharf.password_waits(&token).await?;
    let name = name(&shown);
    let main = html! {
        h1 { "The first password of " (name) }
        p.lead { "It is shown once, and then never again. Have a place ready to keep it." }
        form.card method="post" action={ "/password/" (token) } {
            p { "It opens the administration of " (address(&shown)) "." }
            button.main type="submit" { "Show the password" }
        }
    };
    Ok(with_form(layout::page("First password", &Layout::default(), &main)))
}

async fn reveal(State(app): State<App>, Word(token): Word, request: Request) -> Answer {
    let (shown, password) = app.wharf.reveal_password(&token).await?;
    let company_name = shown.tenant.as_ref().map(|tenant| tenant.company_name.to_string());
    if !around::prefers_page(request.headers()) {
        let revealed = Revealed {
            company_name,
            url: shown.url,
            password: password.expose_secret().to_owned(),
        };
        return Ok(answer::json(StatusCode::OK, &revealed));
    }
    let main = html! {
        h1 { "The first password of " (name(&shown)) }
        div.card {
            p { code.secret id="secret" { (password.expose_secret()) } }
            button type="button" data-copy="secret" hidden { "Copy" }
        }
        p { "Keep it now: it is not shown again." }
        @if let Some(url) = &shown.url {
            p { a.button.main href=(url) rel="noreferrer" { "Open " (url) } }
        }
    };
    Ok(with_form(layout::page("First password", &Layout::default(), &main)))
}

fn name(shown: &InstanceView) -> &str {
    shown
        .tenant
        .as_ref()
        .map_or_else(|| shown.name(), |tenant| tenant.company_name.as_str())
}

fn address(shown: &InstanceView) -> Markup {
    html! {
        @match &shown.url {
            Some(url) => a href=(url) { (url) },
            None => (shown.name()),
        }
    }
}
