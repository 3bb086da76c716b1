//! Into the console, and out of it: the admin token for a session's cookie.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use maud::html;
use wharf_domain::Code;

use super::{
    CONSOLE, LOGIN,
    layout::{self, Layout},
    with_form,
};
use crate::{
    answer, around,
    fields::Field,
    operation::{Access, Operation, STORE, Tag},
    problem::{Answer, Problem},
    request,
    state::App,
};

const FORM: &[Field] = &[Field::text(
    "token",
    256,
    "The admin token: it is in the file admin-token of the data directory, or in the secret that `aws.admin_token_secret` names",
    "wharf_0123456789abcdef",
)
.required()];

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(LOGIN, "login_page", Tag::Pages, Access::Anyone, show)
            .says("The console's login", "")
            .sends(200, "text/html", "The page"),
        Operation::post(LOGIN, "login", Tag::Pages, Access::Anyone, login)
            .says(
                "Begin a console session",
                "With the admin token. Failed tries are limited.",
            )
            .takes_form("Login", FORM)
            .redirects("Begun", "The console")
            .with_header("Set-Cookie", "The session: HttpOnly, SameSite=Strict, for twelve hours")
            .fails(&[Code::AuthDenied, Code::LimitRate]),
        Operation::post("/logout", "logout", Tag::Pages, Access::Anyone, logout)
            .says(
                "End the console session",
                "For good: its cookie opens nothing any more, whoever has kept it.",
            )
            .redirects("Ended", "The login page")
            .with_header("Set-Cookie", "Takes the session's cookie away")
            .fails(STORE),
    ]
}

async fn show() -> Response {
    with_form(page(None))
}

async fn login(State(app): State<App>, request: Request) -> Answer {
    let client = app.clients.of(&request);
    let is_page = around::prefers_page(request.headers());
    let fields = request::form(request, FORM).await?;
    let token = fields.text("token").map(str::to_owned);
    let token = fields.done(token)?;
    // Before the token is looked at: who has tried too often is not told whether this one is right.
    app.logins.look(client)?;
    if app.door.is_token(token.trim()) {
        return Ok(with_cookie(
            answer::see_other(CONSOLE),
            app.door.open_session(app.clock.now(), &*app.ids),
        ));
    }
    app.logins.take(client)?;
    tracing::warn!("a login to the console failed");
    let problem = Problem::new(
        Code::AuthDenied,
        "the token is not this server's admin token",
        "it is in the file admin-token of the data directory, or in the secret that `aws.admin_token_secret` names",
    );
    if !is_page {
        return Err(problem);
    }
    let mut response = with_form(page(Some(&problem.failure.message)));
    *response.status_mut() = StatusCode::FORBIDDEN;
    Ok(response)
}

async fn logout(State(app): State<App>, headers: HeaderMap) -> Answer {
    app.door.end_sessions(&app.wharf, &headers, app.clock.now()).await?;
    Ok(with_cookie(answer::see_other(LOGIN), app.door.close_session()))
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

fn page(wrong: Option<&str>) -> String {
    let main = html! {
        h1 { "Console" }
        p.lead { "For the operator of this server." }
        form.card method="post" action=(LOGIN) {
            p.alert role="alert" hidden[wrong.is_none()] { @if let Some(wrong) = wrong { (super::prose::sentence(wrong)) } }
            div.field {
                label for="token" { "Admin token" }
                input id="token" name="token" type="password" required autocomplete="current-password" aria-describedby="token-hint";
                p.hint id="token-hint" { "It stands in the data directory, in the file " code { "admin-token" } "." }
            }
            button.main type="submit" { "Log in" }
        }
    };
    layout::page("Log in", &Layout::default(), &main)
}
