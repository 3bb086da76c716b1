//! `/admin`: the orders, and what is shipped.

use axum::extract::{Query, State, rejection::QueryRejection};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    super::{
        Answer, Problem, Shared, checkout,
        form::{Form, Number, number},
        layout::{self, Head, Place},
        see,
    },
    Admin,
};
use crate::{
    clock,
    database::{ORDERS_PAGE, OrderSummary},
};

/// Where in the list the admin is: before this order.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct Where {
    #[serde(default)]
    before: String,
}

impl Where {
    fn before(&self) -> Option<i64> {
        number(&self.before)
    }
}

pub(in crate::web) async fn list(
    State(shop): State<Shared>,
    _: Admin,
    place: Result<Query<Where>, QueryRejection>,
) -> Answer {
    let before = place.ok().and_then(|Query(place)| place.before());
    let orders = shop.database().orders(before.unwrap_or(i64::MAX))?;
    let content = html! {
        h1 { "Orders" }
        @if orders.is_empty() {
            p { @if before.is_some() { "There are no older orders." } @else { "Nobody has ordered anything yet." } }
        } @else {
            div.scroll role="region" aria-label="Orders" tabindex="0" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Order" }
                            th scope="col" { "Customer" }
                            th scope="col" { "Placed" }
                            th.number scope="col" { "Pieces" }
                            th.number scope="col" { "Total" }
                            th scope="col" { "Shipped" }
                        }
                    }
                    tbody { @for order in &orders { (row(order, before)) } }
                }
            }
        }
        p.actions {
            @if before.is_some() { a href="/admin" { "Newest orders" } " " }
            @if let Some(last) = orders.last() && orders.len() == ORDERS_PAGE as usize { a href={ "/admin?before=" (last.number) } { "Older orders" } }
        }
    };
    Ok(layout::page(&shop, Head::new("Orders", Place::AdminOrders), &content))
}

fn row(order: &OrderSummary, before: Option<i64>) -> Markup {
    html! {
        tr id={ "order-" (order.number) } {
            th scope="row" { a href=(checkout::address(order.number, &order.key)) { (order.number) } }
            td { (order.customer) }
            td { (checkout::when(order.placed_at)) }
            td.number { (order.pieces) }
            td.number { (order.total) }
            td {
                @match order.shipped_at {
                    Some(moment) => (checkout::when(moment)),
                    None => form method="post" action={ "/admin/orders/" (order.number) "/shipped" } {
                        @if let Some(before) = before { input type="hidden" name="before" value=(before); }
                        button.second type="submit" { "Mark as shipped" span.unseen { ": order " (order.number) } }
                    },
                }
            }
        }
    }
}

pub(in crate::web) async fn mark_shipped(
    State(shop): State<Shared>,
    _: Admin,
    Number(order): Number,
    Form(place): Form<Where>,
) -> Answer {
    if !shop.database().mark_shipped(order, clock::now())? {
        return Err(Problem::not_found());
    }
    let query = place
        .before()
        .map(|before| format!("?before={before}"))
        .unwrap_or_default();
    Ok(see(&format!("/admin{query}#order-{order}")))
}
