//! `/admin/products`: what the shop sells, as its owner changes it.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    super::{
        Answer, Problem, Shared, Shop,
        field::{Field, Kind},
        form::{Form, Number, number},
        layout::{self, Head, Place},
        see,
    },
    Admin,
};
use crate::{
    database::{Draft, Product},
    money::Cents,
    text,
};

const NAME_MAX: usize = 80;
const DESCRIPTION_MAX: usize = 500;
const STOCK_MAX: i64 = 100_000;

/// A product as it was typed.
#[derive(Debug, Default, Deserialize)]
pub(in crate::web) struct Typed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    price: String,
    #[serde(default)]
    stock: String,
    /// The stock that the form showed before it was changed; empty for a new product.
    #[serde(default)]
    stock_seen: String,
}

/// What is wrong with the fields, each in words.
#[derive(Debug, Default)]
struct Faults {
    name: Option<String>,
    description: Option<String>,
    price: Option<String>,
    stock: Option<String>,
}

impl Typed {
    fn of(product: &Product) -> Self {
        Self {
            name: product.name.clone(),
            description: product.description.clone(),
            price: product.price.plain(),
            stock: product.stock.to_string(),
            stock_seen: product.stock.to_string(),
        }
    }

    fn check(&self) -> Result<Draft, Faults> {
        let name = text::line(&self.name, NAME_MAX);
        let description = text::lines(&self.description, DESCRIPTION_MAX);
        let price = self.price.parse::<Cents>();
        let stock = count(&self.stock).ok_or_else(|| format!("Give a whole number from 0 to {STOCK_MAX}."));
        match (name, description, price, stock) {
            (Ok(name), Ok(description), Ok(price), Ok(stock)) => Ok(Draft {
                name,
                description,
                price,
                stock,
            }),
            (name, description, price, stock) => Err(Faults {
                name: name.err().map(|error| error.to_string()),
                description: description.err().map(|error| error.to_string()),
                price: price.err().map(|error| error.to_string()),
                stock: stock.err(),
            }),
        }
    }
}

fn count(text: &str) -> Option<i64> {
    number(text.trim()).filter(|count| *count <= STOCK_MAX)
}

pub(in crate::web) async fn list(State(shop): State<Shared>, _: Admin) -> Answer {
    list_page(&shop, &Typed::default(), &Faults::default())
}

pub(in crate::web) async fn add(State(shop): State<Shared>, _: Admin, Form(typed): Form<Typed>) -> Answer {
    match typed.check() {
        Ok(draft) if shop.database().add_product(&draft)? => Ok(see("/admin/products")),
        Ok(_) => Err(Problem::new(
            StatusCode::CONFLICT,
            "The shop has all the products that it can have",
            "Change one that you no longer sell.",
        )
        .way_on("/admin/products", "To the products")),
        Err(faults) => Ok((StatusCode::UNPROCESSABLE_ENTITY, list_page(&shop, &typed, &faults)?).into_response()),
    }
}

pub(in crate::web) async fn edit(State(shop): State<Shared>, _: Admin, Number(id): Number) -> Answer {
    let product = shop.database().product(id)?.ok_or_else(Problem::not_found)?;
    Ok(edit_page(&shop, id, &Typed::of(&product), &Faults::default()))
}

pub(in crate::web) async fn change(
    State(shop): State<Shared>,
    _: Admin,
    Number(id): Number,
    Form(typed): Form<Typed>,
) -> Answer {
    let stock_seen = count(&typed.stock_seen).ok_or_else(Problem::form)?;
    match typed.check() {
        Ok(draft) if shop.database().change_product(id, &draft, stock_seen)? => Ok(see("/admin/products")),
        Ok(_) => Err(Problem::not_found()),
        Err(faults) => Ok((StatusCode::UNPROCESSABLE_ENTITY, edit_page(&shop, id, &typed, &faults)).into_response()),
    }
}

pub(in crate::web) async fn withdraw(State(shop): State<Shared>, _: Admin, Number(id): Number) -> Answer {
    set_withdrawn(&shop, id, true)
}

pub(in crate::web) async fn restore(State(shop): State<Shared>, _: Admin, Number(id): Number) -> Answer {
    set_withdrawn(&shop, id, false)
}

fn set_withdrawn(shop: &Shop, id: i64, withdrawn: bool) -> Answer {
    if shop.database().set_withdrawn(id, withdrawn)? {
        Ok(see("/admin/products"))
    } else {
        Err(Problem::not_found())
    }
}

fn list_page(shop: &Shop, typed: &Typed, faults: &Faults) -> Answer {
    let products = shop.database().all_products()?;
    let content = html! {
        h1 { "Products" }
        (alert(faults))
        div.scroll role="region" aria-label="Products" tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" { "Product" }
                        th.number scope="col" { "Price" }
                        th.number scope="col" { "Stock" }
                        th scope="col" { "For sale" }
                    }
                }
                tbody { @for product in &products { (row(product)) } }
            }
        }
        section.panel aria-labelledby="add" {
            h2 id="add" { "Add a product" }
            form.stack method="post" action="/admin/products" novalidate {
                (fields(typed, faults))
                button type="submit" { "Add the product" }
            }
        }
    };
    Ok(layout::page(
        shop,
        Head::new("Products", Place::AdminProducts),
        &content,
    ))
}

fn row(product: &Product) -> Markup {
    let (action, words) = if product.withdrawn {
        ("restore", "Sell again")
    } else {
        ("withdraw", "Withdraw")
    };
    html! {
        tr {
            th scope="row" { a href={ "/admin/products/" (product.id) } { (product.name) } }
            td.number { (product.price) }
            td.number { (product.stock) }
            td {
                form method="post" action={ "/admin/products/" (product.id) "/" (action) } {
                    @if product.withdrawn { span.stock.none { "Withdrawn " } }
                    button.second type="submit" { (words) span.unseen { ": " (product.name) } }
                }
            }
        }
    }
}

fn edit_page(shop: &Shop, id: i64, typed: &Typed, faults: &Faults) -> Response {
    let content = html! {
        section.narrow {
            h1 { "Change a product" }
            (alert(faults))
            form.stack method="post" action={ "/admin/products/" (id) } novalidate {
                input type="hidden" name="stock_seen" value=(typed.stock_seen);
                (fields(typed, faults))
                p.actions { button type="submit" { "Save" } " " a href="/admin/products" { "Leave it as it is" } }
            }
        }
    };
    layout::page(shop, Head::new("Change a product", Place::AdminProducts), &content)
}

fn alert(faults: &Faults) -> Markup {
    let wrong = [&faults.name, &faults.description, &faults.price, &faults.stock]
        .into_iter()
        .any(Option::is_some);
    html! { @if wrong { p.notice.warning role="alert" { "Something is missing or cannot be used. It is marked below." } } }
}

fn fields(typed: &Typed, faults: &Faults) -> Markup {
    let field = |name, label, hint, kind, required, value, error: &Option<String>| {
        Field {
            name,
            label,
            hint,
            kind,
            required,
            value,
            error: error.as_deref(),
            autocomplete: "off",
        }
        .show()
    };
    html! {
        (field("name", "Name", None, Kind::Line(NAME_MAX), true, &typed.name, &faults.name))
        (field("description", "Description", None, Kind::Lines(DESCRIPTION_MAX), false, &typed.description, &faults.description))
        (field("price", "Price in $", Some("For example 12.50"), Kind::Price, true, &typed.price, &faults.price))
        (field("stock", "Pieces in stock", None, Kind::Count(STOCK_MAX), true, &typed.stock, &faults.stock))
    }
}
