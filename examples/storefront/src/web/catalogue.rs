//! `/`: what the shop sells.

use axum::{extract::State, response::Response};
use maud::{Markup, html};

use super::{
    Answer, Shared, Shop,
    form::Visitor,
    layout::{self, Head, Place},
};
use crate::database::{Product, QUANTITY_MAX};

/// From this stock on, what is left is worth saying.
const FEW: i64 = 5;

pub(super) async fn show(State(shop): State<Shared>, visitor: Visitor) -> Answer {
    let products = shop.database().products_on_sale()?;
    Ok(page(&shop, &products, shop.pieces(&visitor)?))
}

fn page(shop: &Shop, products: &[Product], pieces: Option<i64>) -> Response {
    let content = html! {
        div.hero {
            h1 { (shop.company) }
            @if let Some(greeting) = &shop.greeting { p.lead { (greeting) } }
        }
        @if products.is_empty() {
            p.notice { "There is nothing for sale at the moment. Please look in again." }
        } @else {
            h2.unseen { "Products" }
            ul.products { @for product in products { li { (card(product)) } } }
        }
    };
    layout::page(shop, Head::new("Products", Place::Products).pieces(pieces), &content)
}

fn card(product: &Product) -> Markup {
    html! {
        article.card {
            (layout::tile(product.id, &product.name))
            div.text {
                h3 { (product.name) }
                p.description { (product.description) }
            }
            div.buy {
                p.price { (product.price) }
                @if product.stock == 0 {
                    p.stock.none { "Sold out" }
                } @else {
                    @if product.stock <= FEW { p.stock.few { "Only " (product.stock) " left" } }
                    form method="post" action="/basket/add" {
                        input type="hidden" name="product" value=(product.id);
                        label.unseen for={ "quantity-" (product.id) } { "Quantity of " (product.name) }
                        input.quantity id={ "quantity-" (product.id) } type="number" inputmode="numeric" name="quantity" value="1" min="1"
                            max=(product.stock.min(QUANTITY_MAX)) required autocomplete="off";
                        button type="submit" { "Add to basket" span.unseen { ": " (product.name) } }
                    }
                }
            }
        }
    }
}
