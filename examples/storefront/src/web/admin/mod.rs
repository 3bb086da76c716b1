//! The admin's part of the shop, and the door before it: one password, a session cookie that only this shop can have signed, and few guesses.

mod attempts;
pub(super) mod orders;
pub(super) mod products;
mod session;

use axum::{
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
};
use maud::html;
use serde::Deserialize;
use tokio::time::Instant;

pub(super) use self::session::Door;
use super::{
    Answer, Problem, Shared, Shop,
    cookie::Cookie,
    field::{Field, Kind},
    form::{Form, Visitor},
    layout::{self, Head, Place},
    see, see_with,
};
use crate::{clock, random};

/// As long as a session lasts. Customers' pages never see it.
const COOKIE: Cookie = Cookie {
    name: "admin",
    path: "/admin",
    max_age_seconds: session::SECONDS,
};

/// Proof that the request comes from someone who knew the password. Every admin page takes one as an argument, so that none can forget to ask.
#[derive(Debug)]
pub(super) struct Admin(());

impl FromRequestParts<Shared> for Admin {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shop: &Shared) -> Result<Self, Response> {
        let door = shop.door.as_ref().ok_or_else(|| closed().into_response())?;
        let now = clock::now();
        if COOKIE.values(&parts.headers).any(|session| door.knows(session, now)) {
            Ok(Self(()))
        } else {
            Err(see("/admin/login"))
        }
    }
}

fn closed() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "The admin pages are closed",
        "The shop was set up without an admin password (APP_PASSWORD).",
    )
}

#[derive(Debug, Deserialize)]
pub(super) struct Login {
    password: String,
}

pub(super) async fn login(State(shop): State<Shared>) -> Answer {
    if shop.door.is_none() {
        return Err(closed());
    }
    Ok(page(&shop, None))
}

pub(super) async fn enter(State(shop): State<Shared>, visitor: Visitor, Form(form): Form<Login>) -> Answer {
    let door = shop.door.as_ref().ok_or_else(closed)?;
    match door.try_password(form.password.as_bytes(), Instant::now()) {
        Ok(true) => {
            let session = door.new_session(clock::now(), &random::bytes()?);
            Ok(see_with(COOKIE.set(&session, visitor.secure), "/admin"))
        }
        Ok(false) => Ok((StatusCode::UNAUTHORIZED, page(&shop, Some("That is not the password."))).into_response()),
        Err(wait) => Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many wrong passwords",
            "Wait a minute before you try again. Who is logged in already stays so.",
        )
        .way_on("/admin/login", "Try again")
        .retry_after(wait.as_secs() + 1)),
    }
}

pub(super) async fn leave(visitor: Visitor) -> Response {
    see_with(COOKIE.clear(visitor.secure), "/admin/login")
}

fn page(shop: &Shop, error: Option<&str>) -> Response {
    let content = html! {
        section.narrow {
            h1 { "Shop admin" }
            form.stack method="post" action="/admin/login" {
                // There is one admin and no name to type, but password managers file a password under a name.
                input type="text" name="username" value="admin" autocomplete="username" hidden;
                (Field {
                    name: "password", label: "Password", hint: None, kind: Kind::Password, required: true,
                    value: "", error, autocomplete: "current-password",
                }.show())
                button type="submit" { "Log in" }
            }
        }
    };
    layout::page(shop, Head::new("Shop admin", Place::Elsewhere), &content)
}
