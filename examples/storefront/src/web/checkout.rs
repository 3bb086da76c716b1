//! `/checkout`, where a basket becomes an order, and `/orders/<number>`, where its buyer can look at it again.

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use maud::html;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::{
    Answer, Problem, Shared, Shop, basket,
    field::{Field, Kind},
    form::{Form, Number, Visitor, number},
    layout::{self, Head, Place},
    see,
};
use crate::{
    clock,
    database::{BasketLine, Order, Outcome},
    money::Cents,
    random::Token,
    text,
};

const NAME_MAX: usize = 100;
const NOTE_MAX: usize = 500;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Checkout {
    #[serde(default)]
    name: String,
    #[serde(default)]
    note: String,
    /// The key that the order will have: a form that is sent twice makes one order.
    key: String,
    /// The total that the page showed, in cents.
    total: String,
}

/// What was wrong with the form, said beside the field or above all of them.
#[derive(Debug, Default)]
struct Faults {
    name: Option<String>,
    note: Option<String>,
    whole: Option<&'static str>,
}

pub(super) async fn show(State(shop): State<Shared>, visitor: Visitor) -> Answer {
    let lines = shop.basket(&visitor)?;
    if lines.is_empty() || lines.iter().any(BasketLine::is_short) {
        return Ok(see("/basket"));
    }
    Ok(page(
        &shop,
        &lines,
        &Checkout::default(),
        &Token::generate()?,
        &Faults::default(),
    ))
}

pub(super) async fn place(State(shop): State<Shared>, visitor: Visitor, Form(form): Form<Checkout>) -> Answer {
    let (Some(key), Some(agreed)) = (Token::parse(&form.key), number(&form.total).map(Cents::new)) else {
        return Err(Problem::form());
    };
    let Some(basket) = visitor.basket else {
        return Ok(see("/basket"));
    };
    let (name, note) = (text::line(&form.name, NAME_MAX), text::lines(&form.note, NOTE_MAX));
    let faults = match (name, note) {
        (Ok(name), Ok(note)) => match shop
            .database()
            .place_order(&basket, &key, &name, &note, agreed, clock::now())?
        {
            Outcome::Placed(number) => return Ok(see(&address(number, key.as_str()))),
            Outcome::Empty | Outcome::Short => return Ok(see("/basket")),
            Outcome::Repriced => Faults {
                whole: Some(
                    "A price or your basket has changed since you opened this page. Please look at the new total before you order.",
                ),
                ..Faults::default()
            },
        },
        (name, note) => {
            let said = |error: text::NotAText| error.to_string();
            Faults {
                name: name.err().map(said),
                note: note.err().map(said),
                whole: None,
            }
        }
    };
    let lines = shop.database().basket(&basket)?;
    if lines.is_empty() {
        return Ok(see("/basket"));
    }
    Ok((
        StatusCode::UNPROCESSABLE_ENTITY,
        page(&shop, &lines, &form, &key, &faults),
    )
        .into_response())
}

/// Where an order can be looked at by whoever has its key.
pub(super) fn address(number: i64, key: &str) -> String {
    format!("/orders/{number}?key={key}")
}

fn page(shop: &Shop, lines: &[BasketLine], form: &Checkout, key: &Token, faults: &Faults) -> Response {
    let total = basket::total(lines);
    let content = html! {
        h1 { "Check out" }
        @if let Some(fault) = faults.whole { p.notice.warning role="alert" { (fault) } }
        @if faults.name.is_some() || faults.note.is_some() {
            p.notice.warning role="alert" { "Something is missing or cannot be used. It is marked below." }
        }
        div.columns {
            form.stack method="post" action="/checkout" novalidate {
                input type="hidden" name="key" value=(key.as_str());
                input type="hidden" name="total" value=(total.count());
                (Field {
                    name: "name", label: "Your name", hint: None, kind: Kind::Line(NAME_MAX), required: true,
                    value: &form.name, error: faults.name.as_deref(), autocomplete: "name",
                }.show())
                (Field {
                    name: "note", label: "A note for us", hint: Some("Where to leave the parcel, for example."), kind: Kind::Lines(NOTE_MAX),
                    required: false, value: &form.note, error: faults.note.as_deref(), autocomplete: "off",
                }.show())
                button type="submit" { "Place the order for " (total) }
            }
            section.panel aria-labelledby="summary" {
                h2 id="summary" { "Your order" }
                ul.sums { @for line in lines { li { span { (line.quantity) " × " (line.name) } " " span { (line.total()) } } } }
                p.sum { span { "Total" } " " strong { (total) } }
                p { a href="/basket" { "Change the basket" } }
            }
        }
    };
    let pieces = Some(lines.iter().map(|line| line.quantity).sum());
    layout::page(shop, Head::new("Check out", Place::Elsewhere).pieces(pieces), &content)
}

#[derive(Debug, Deserialize)]
pub(super) struct Key {
    key: String,
}

pub(super) async fn order(
    State(shop): State<Shared>,
    Number(number): Number,
    visitor: Visitor,
    key: Result<Query<Key>, QueryRejection>,
) -> Answer {
    let Ok(Query(Key { key })) = key else {
        return Err(Problem::not_found());
    };
    // The same answer for a wrong key as for no such order: numbers can be counted up, and shall tell nothing.
    let order = shop
        .database()
        .order(number)?
        .filter(|order| order.key.as_bytes().ct_eq(key.as_bytes()).into())
        .ok_or_else(Problem::not_found)?;
    Ok(show_order(&shop, &order, shop.pieces(&visitor)?))
}

fn show_order(shop: &Shop, order: &Order, pieces: Option<i64>) -> Response {
    let title = format!("Order {}", order.number);
    let content = html! {
        section.narrow {
            p.status { @if order.shipped_at.is_some() { "On its way" } @else { "Placed" } }
            h1 { "Thank you, " (order.customer) }
            p.lead {
                "Your order number is " strong { (order.number) } ". "
                @match order.shipped_at {
                    Some(moment) => { "It was shipped on " (when(moment)) "." }
                    None => { "We will pack it soon." }
                }
            }
            div.panel {
                h2 { "What you ordered" }
                ul.sums { @for line in &order.lines { li { span { (line.quantity) " × " (line.name) } " " span { (line.price.times(line.quantity)) } } } }
                p.sum { span { "Total" } " " strong { (order.total()) } }
                p.unit { "Placed on " (when(order.placed_at)) }
                @if !order.note.is_empty() { h3 { "Your note" } p.note { (order.note) } }
            }
            p.hint { "Keep the address of this page: it is the way back to your order." }
            p { a.button href="/" { "To the products" } }
        }
    };
    layout::page(shop, Head::new(&title, Place::Elsewhere).pieces(pieces), &content)
}

pub(super) fn when(moment: i64) -> maud::Markup {
    html! { time datetime=(clock::machine(moment)) { (clock::display(moment)) } }
}
