//! The frame of every page: head, navigation, foot, and the one style sheet. Nothing of a particular page.

use axum::{
    http::HeaderValue,
    response::{Html, IntoResponse as _, Response},
};
use data_encoding::BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::Shop;

const STYLE: &str = include_str!("style.css");
/// Colours that a product's tile can have, as the style sheet numbers them.
const TILES: i64 = 6;

/// Which entry of the navigation is the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Products,
    Basket,
    AdminOrders,
    AdminProducts,
    Elsewhere,
}

impl Place {
    const fn is_admin(self) -> bool {
        matches!(self, Self::AdminOrders | Self::AdminProducts)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    title: &'a str,
    place: Place,
    pieces: Option<i64>,
}

impl<'a> Head<'a> {
    pub(super) const fn new(title: &'a str, place: Place) -> Self {
        Self {
            title,
            place,
            pieces: None,
        }
    }

    /// How many pieces are in the basket, where that is known.
    pub(super) const fn pieces(mut self, pieces: Option<i64>) -> Self {
        self.pieces = pieces;
        self
    }
}

pub(super) fn content_policy() -> HeaderValue {
    let style = BASE64.encode(&Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("the policy is ASCII")
}

pub(super) fn page(shop: &Shop, head: Head<'_>, content: &Markup) -> Response {
    Html(document(shop, head, content).into_string()).into_response()
}

/// The page's HTML, for who has a response already.
pub(super) fn document(shop: &Shop, head: Head<'_>, content: &Markup) -> Markup {
    let entry = |place: Place, path: &str, words: Markup| {
        let current = (place == head.place).then_some("page");
        html! { a href=(path) aria-current=[current] { (words) } }
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (head.title) " · " (shop.company) }
                // An empty icon, so that browsers do not ask for one.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    div.inner {
                        a.brand href="/" { span.mark aria-hidden="true" { (initial(&shop.company)) } span { (shop.company) } }
                        @if head.place.is_admin() {
                            nav aria-label="Admin" {
                                (entry(Place::AdminOrders, "/admin", html! { "Orders" }))
                                (entry(Place::AdminProducts, "/admin/products", html! { "Products" }))
                                form method="post" action="/admin/logout" { button.plain type="submit" { "Log out" } }
                            }
                        } @else {
                            nav aria-label="Shop" {
                                (entry(Place::Products, "/", html! { "Products" }))
                                (entry(Place::Basket, "/basket", html! {
                                    "Basket"
                                    @if let Some(pieces) = head.pieces && pieces > 0 {
                                        " " span.count { (pieces) span.unseen { (if pieces == 1 { " piece" } else { " pieces" }) } }
                                    }
                                }))
                            }
                        }
                    }
                }
                main.inner id="main" tabindex="-1" { (content) }
                footer.inner {
                    p { (shop.company) }
                    p {
                        @if head.place.is_admin() {
                            @if let Some(user) = &shop.user { "Account " (user) " · " }
                            a href="/" { "To the shop" }
                        } @else {
                            a href="/admin" { "Shop admin" }
                        }
                    }
                }
            }
        }
    }
}

/// A coloured square with the first letter of the product, which stands for a picture.
pub(super) fn tile(id: i64, name: &str) -> Markup {
    html! { span class={ "tile tile-" (id.rem_euclid(TILES)) } aria-hidden="true" { (initial(name)) } }
}

fn initial(name: &str) -> String {
    name.chars()
        .find(|c| c.is_alphanumeric())
        .map_or_else(|| "·".to_owned(), |c| c.to_uppercase().to_string())
}
