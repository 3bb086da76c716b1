//! What could not be done, as a page in plain words. Causes go to the log, never into the page.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::html;

use super::{
    Shop,
    layout::{self, Head, Place},
};
use crate::{database, random::NoRandomness};

/// Travels in the response's extensions to `finish`, which alone has what a page needs: the shop.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    title: &'static str,
    advice: &'static str,
    /// A page that goes on from here, and the words that lead there.
    way_on: (&'static str, &'static str),
    retry_after_seconds: Option<u64>,
}

impl Problem {
    pub(super) const fn new(status: StatusCode, title: &'static str, advice: &'static str) -> Self {
        Self {
            status,
            title,
            advice,
            way_on: ("/", "To the products"),
            retry_after_seconds: None,
        }
    }

    pub(super) const fn way_on(mut self, path: &'static str, words: &'static str) -> Self {
        self.way_on = (path, words);
        self
    }

    pub(super) const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    pub(super) const fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "There is nothing here",
            "The address may be mistyped, or what it showed may be gone.",
        )
    }

    pub(super) const fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "That cannot be done here",
            "This address does not take such a request.",
        )
    }

    pub(super) const fn form() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "The form could not be read",
            "Go back, reload the page, and send it again.",
        )
    }

    pub(super) const fn origin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "That did not come from this shop",
            "The request was sent by a page of another site, and nothing was done.",
        )
    }

    const fn storage() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The shop cannot reach its data",
            "Nothing was changed. Please try again in a moment.",
        )
        .retry_after(2)
    }

    /// Makes the response that carries this problem into the problem's page. Its status and its other headers (`Allow`) stay.
    pub(super) fn show(&self, shop: &Shop, response: &mut Response) {
        let page = layout::document(
            shop,
            Head::new(self.title, Place::Elsewhere),
            &html! {
                section.narrow {
                    p.status { (self.status.as_u16()) }
                    h1 { (self.title) }
                    p { (self.advice) }
                    p { a.button href=(self.way_on.0) { (self.way_on.1) } }
                }
            },
        );
        *response.body_mut() = Body::from(page.into_string());
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        if let Some(seconds) = self.retry_after_seconds {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<database::Error> for Problem {
    fn from(error: database::Error) -> Self {
        crate::say(&error);
        Self::storage()
    }
}

impl From<NoRandomness> for Problem {
    fn from(error: NoRandomness) -> Self {
        crate::say(&error);
        Self::storage()
    }
}
