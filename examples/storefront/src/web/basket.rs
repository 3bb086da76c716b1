//! `/basket`: what a visitor means to buy, and the forms that change it.

use axum::{extract::State, http::StatusCode, response::Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Answer, Problem, Shared, Shop,
    cookie::Cookie,
    form::{Form, Visitor, number},
    layout::{self, Head, Place},
    see, see_with,
};
use crate::{
    clock,
    database::{Added, BasketLine, QUANTITY_MAX},
    money::Cents,
};

/// As long as the database keeps a basket that nobody touches.
pub(super) const COOKIE: Cookie = Cookie {
    name: "basket",
    path: "/",
    max_age_seconds: 30 * 24 * 60 * 60,
};

#[derive(Debug, Deserialize)]
pub(super) struct Line {
    product: String,
    #[serde(default)]
    quantity: String,
}

impl Line {
    fn product(&self) -> Answer<i64> {
        number(&self.product).ok_or_else(Problem::form)
    }

    /// The quantity, if it is from `least` to the most that a line can have.
    fn quantity(&self, least: i64) -> Answer<i64> {
        number(self.quantity.trim())
            .filter(|quantity| (least..=QUANTITY_MAX).contains(quantity))
            .ok_or(
                Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "That quantity cannot be ordered",
                    "Give a whole number from 1 to 99.",
                )
                .way_on("/basket", "To the basket"),
            )
    }
}

pub(super) async fn show(State(shop): State<Shared>, visitor: Visitor) -> Answer {
    let lines = shop.basket(&visitor)?;
    Ok(page(&shop, &lines))
}

pub(super) async fn add(State(shop): State<Shared>, visitor: Visitor, Form(line): Form<Line>) -> Answer {
    let (product, quantity) = (line.product()?, line.quantity(1)?);
    let added = shop
        .database()
        .add_to_basket(visitor.basket.as_ref(), product, quantity, clock::now())?;
    match added {
        Added::Into(basket) => Ok(see_with(COOKIE.set(basket.as_str(), visitor.secure), "/basket")),
        Added::NotOnSale => Err(Problem::new(
            StatusCode::CONFLICT,
            "That is sold out",
            "It was sold, or taken off the shelf, a moment ago.",
        )),
        Added::Full => Err(Problem::new(
            StatusCode::CONFLICT,
            "The basket is full",
            "Order what is in it, or take something out first.",
        )
        .way_on("/basket", "To the basket")),
    }
}

pub(super) async fn change(State(shop): State<Shared>, visitor: Visitor, Form(line): Form<Line>) -> Answer {
    set(&shop, &visitor, line.product()?, line.quantity(0)?)
}

pub(super) async fn remove(State(shop): State<Shared>, visitor: Visitor, Form(line): Form<Line>) -> Answer {
    set(&shop, &visitor, line.product()?, 0)
}

fn set(shop: &Shop, visitor: &Visitor, product: i64, quantity: i64) -> Answer {
    if let Some(basket) = &visitor.basket {
        shop.database().change_basket(basket, product, quantity, clock::now())?;
    }
    Ok(see("/basket"))
}

fn page(shop: &Shop, lines: &[BasketLine]) -> Response {
    let is_short = lines.iter().any(BasketLine::is_short);
    let content = html! {
        h1 { "Your basket" }
        @if lines.is_empty() {
            p { "There is nothing in it yet." }
            p { a.button href="/" { "To the products" } }
        } @else {
            @if is_short {
                p.notice.warning role="alert" { "There is less of something than you want. Change the marked lines, and you can order." }
            }
            ul.lines { @for line in lines { li { (show_line(line)) } } }
            div.total {
                p { "Total " strong { (total(lines)) } }
                p.actions {
                    a href="/" { "Go on shopping" }
                    @if !is_short { " " a.button href="/checkout" { "Check out" } }
                }
            }
        }
    };
    let pieces = Some(lines.iter().map(|line| line.quantity).sum());
    layout::page(shop, Head::new("Your basket", Place::Basket).pieces(pieces), &content)
}

fn show_line(line: &BasketLine) -> Markup {
    let quantity_id = format!("quantity-{}", line.product);
    let short_id = line.is_short().then(|| format!("short-{}", line.product));
    html! {
        article.line {
            (layout::tile(line.product, &line.name))
            div.text {
                h2 { (line.name) }
                p.unit { (line.price) " each" }
                @if let Some(id) = &short_id {
                    p.error id=(id) {
                        @if line.available == 0 { "Sold out: please remove it." } @else { "Only " (line.available) " left." }
                    }
                }
            }
            p.price { (line.total()) }
            div.change {
                form method="post" action="/basket/change" {
                    input type="hidden" name="product" value=(line.product);
                    label.unseen for=(quantity_id) { "Quantity of " (line.name) }
                    input.quantity id=(quantity_id) type="number" inputmode="numeric" name="quantity" value=(line.quantity) min="0" max=(QUANTITY_MAX)
                        required autocomplete="off" aria-describedby=[short_id.as_deref()];
                    button.second type="submit" { "Change" span.unseen { " the quantity of " (line.name) } }
                }
                form method="post" action="/basket/remove" {
                    input type="hidden" name="product" value=(line.product);
                    button.plain type="submit" { "Remove" span.unseen { " " (line.name) } }
                }
            }
        }
    }
}

pub(super) fn total(lines: &[BasketLine]) -> Cents {
    lines.iter().map(BasketLine::total).sum()
}
