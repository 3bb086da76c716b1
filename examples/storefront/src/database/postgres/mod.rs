//! The shop's data on a PostgreSQL server: the same methods as those of the file, in the server's words.

mod session;

use postgres::{Row, Transaction};

use self::session::Sessions;
use super::{
    Added, BasketLine, Draft, OpenError, Order, OrderSummary, Outcome, Product, QUANTITY_MAX, Result,
    basket::{BASKETS_MAX, KEPT_SECONDS, LINES_MAX},
    catalogue::PRODUCTS_MAX,
    new_secret,
    orders::{NUMBER_BASE, OrderLine, PAGE},
};
use crate::{money::Cents, random::Token};

/// The number of the tables' form.
const SCHEMA: u8 = 1;
/// Two starts of one shop make its tables one after the other, and two orders get their numbers so ("shop" in ASCII).
const LOCK: i64 = 0x7368_6f70;

#[derive(Debug)]
pub(super) struct Server {
    sessions: Sessions,
}

fn product(row: &Row) -> Product {
    Product {
        id: row.get("id"),
        name: row.get("name"),
        description: row.get("description"),
        price: Cents::new(row.get("price_cents")),
        stock: row.get("stock"),
        withdrawn: row.get("withdrawn"),
    }
}

fn lines(transaction: &mut Transaction<'_>, basket: &str) -> Result<Vec<BasketLine>> {
    let rows = transaction.query(
        "SELECT product, name, price_cents, quantity, CASE WHEN withdrawn THEN 0 ELSE stock END
         FROM baskets JOIN basket_lines ON basket = baskets.id JOIN products ON products.id = product
         WHERE token = $1 ORDER BY product",
        &[&basket],
    )?;
    let line = |row: &Row| BasketLine {
        product: row.get(0),
        name: row.get(1),
        price: Cents::new(row.get(2)),
        quantity: row.get(3),
        available: row.get(4),
    };
    Ok(rows.iter().map(line).collect())
}

/// Finds the basket of a token, and notes that it is in use.
fn find(transaction: &mut Transaction<'_>, token: &str, now: i64) -> Result<Option<i64>> {
    let touch = "UPDATE baskets SET touched_at = $2 WHERE token = $1 RETURNING id";
    Ok(transaction.query_opt(touch, &[&token, &now])?.map(|row| row.get(0)))
}

fn begin(transaction: &mut Transaction<'_>, token: &str, now: i64) -> Result<i64> {
    let insert = "INSERT INTO baskets (token, touched_at) VALUES ($1, $2) RETURNING id";
    let id: i64 = transaction.query_one(insert, &[&token, &now])?.get(0);
    let forget = "DELETE FROM baskets WHERE touched_at < $1 OR id <= $2";
    transaction.execute(forget, &[&now.saturating_sub(KEPT_SECONDS), &(id - BASKETS_MAX)])?;
    Ok(id)
}

impl Server {
    /// Connects, and makes the tables with their first products where there are none.
    pub(super) fn open(config: postgres::Config) -> Result<Self, OpenError> {
        let sessions = Sessions::new(config)?;
        let secret = new_secret()?;
        let state = sessions.run(move |transaction| {
            transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
            let tables: i64 = transaction
                .query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[])?
                .get(0);
            if tables == 0 {
                transaction.batch_execute(include_str!("schema.sql"))?;
                transaction.batch_execute(include_str!("../seed.sql"))?;
                let insert = "INSERT INTO settings (name, value) VALUES ($1, $2)";
                transaction.execute(insert, &[&"secret", &&secret[..]])?;
                transaction.execute(insert, &[&"schema", &&[SCHEMA][..]])?;
                return Ok(Some(SCHEMA));
            }
            let has_settings: bool = transaction
                .query_one(
                    "SELECT to_regclass('public.settings') IS NOT NULL AND to_regclass('public.products') IS NOT NULL",
                    &[],
                )?
                .get(0);
            if !has_settings {
                return Ok(None);
            }
            let schema = transaction.query_opt("SELECT value FROM settings WHERE name = 'schema'", &[])?;
            Ok(schema.and_then(|row| row.get::<_, Vec<u8>>(0).first().copied()))
        })?;
        match state {
            Some(SCHEMA) => Ok(Self { sessions }),
            Some(_) => Err(OpenError::NewerServer),
            None => Err(OpenError::ForeignServer),
        }
    }

    pub(super) fn ping(&self) -> Result<()> {
        self.sessions.run(|transaction| {
            transaction.query_opt("SELECT 1 FROM products LIMIT 1", &[])?;
            Ok(())
        })
    }

    pub(super) fn secret(&self) -> Result<Vec<u8>> {
        self.sessions.run(|transaction| {
            let row = transaction.query_one("SELECT value FROM settings WHERE name = 'secret'", &[])?;
            Ok(row.get(0))
        })
    }

    pub(super) fn products_on_sale(&self) -> Result<Vec<Product>> {
        self.sessions.run(|transaction| {
            let select = "SELECT * FROM products WHERE NOT withdrawn ORDER BY id LIMIT $1";
            Ok(transaction
                .query(select, &[&PRODUCTS_MAX])?
                .iter()
                .map(product)
                .collect())
        })
    }

    pub(super) fn all_products(&self) -> Result<Vec<Product>> {
        self.sessions.run(|transaction| {
            let select = "SELECT * FROM products ORDER BY withdrawn, id LIMIT $1";
            Ok(transaction
                .query(select, &[&PRODUCTS_MAX])?
                .iter()
                .map(product)
                .collect())
        })
    }

    pub(super) fn product(&self, id: i64) -> Result<Option<Product>> {
        self.sessions.run(move |transaction| {
            let found = transaction.query_opt("SELECT * FROM products WHERE id = $1", &[&id])?;
            Ok(found.as_ref().map(product))
        })
    }

    pub(super) fn add_product(&self, draft: &Draft) -> Result<bool> {
        let draft = draft.clone();
        self.sessions.run(move |transaction| {
            let added = transaction.execute(
                "INSERT INTO products (name, description, price_cents, stock)
                 SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM products) < $5",
                &[
                    &draft.name,
                    &draft.description,
                    &draft.price.count(),
                    &draft.stock,
                    &PRODUCTS_MAX,
                ],
            )?;
            Ok(added == 1)
        })
    }

    pub(super) fn change_product(&self, id: i64, draft: &Draft, stock_seen: i64) -> Result<bool> {
        let draft = draft.clone();
        self.sessions.run(move |transaction| {
            let sold = draft.stock.saturating_sub(stock_seen);
            let changed = transaction.execute(
                "UPDATE products SET name = $2, description = $3, price_cents = $4, stock = greatest(0, stock + $5) WHERE id = $1",
                &[&id, &draft.name, &draft.description, &draft.price.count(), &sold],
            )?;
            Ok(changed == 1)
        })
    }

    pub(super) fn set_withdrawn(&self, id: i64, withdrawn: bool) -> Result<bool> {
        self.sessions.run(move |transaction| {
            let update = "UPDATE products SET withdrawn = $2 WHERE id = $1";
            Ok(transaction.execute(update, &[&id, &withdrawn])? == 1)
        })
    }

    pub(super) fn basket(&self, basket: &Token) -> Result<Vec<BasketLine>> {
        let basket = basket.clone();
        self.sessions
            .run(move |transaction| lines(transaction, basket.as_str()))
    }

    pub(super) fn basket_count(&self, basket: &Token) -> Result<i64> {
        let basket = basket.clone();
        self.sessions.run(move |transaction| {
            let row = transaction.query_one(
                "SELECT coalesce(sum(quantity), 0)::bigint FROM baskets JOIN basket_lines ON basket = baskets.id WHERE token = $1",
                &[&basket.as_str()],
            )?;
            Ok(row.get(0))
        })
    }

    pub(super) fn add_to_basket(&self, basket: Option<&Token>, product: i64, quantity: i64, now: i64) -> Result<Added> {
        let basket = basket.cloned();
        let new = Token::generate()?;
        self.sessions.run(move |transaction| {
            let on_sale = "SELECT 1 FROM products WHERE id = $1 AND NOT withdrawn AND stock > 0";
            if transaction.query_opt(on_sale, &[&product])?.is_none() {
                return Ok(Added::NotOnSale);
            }
            let known = match &basket {
                Some(token) => find(transaction, token.as_str(), now)?,
                None => None,
            };
            let (id, token) = match (known, basket) {
                (Some(id), Some(token)) => (id, token),
                _ => (begin(transaction, new.as_str(), now)?, new),
            };
            let others = "SELECT count(*) FROM basket_lines WHERE basket = $1 AND product <> $2";
            if transaction.query_one(others, &[&id, &product])?.get::<_, i64>(0) >= LINES_MAX {
                return Ok(Added::Full);
            }
            transaction.execute(
                "INSERT INTO basket_lines (basket, product, quantity) VALUES ($1, $2, least($3, $4::bigint))
                 ON CONFLICT (basket, product) DO UPDATE SET quantity = least(basket_lines.quantity + $3, $4)",
                &[&id, &product, &quantity, &QUANTITY_MAX],
            )?;
            Ok(Added::Into(token))
        })
    }

    pub(super) fn change_basket(&self, basket: &Token, product: i64, quantity: i64, now: i64) -> Result<()> {
        let basket = basket.clone();
        self.sessions.run(move |transaction| {
            let Some(id) = find(transaction, basket.as_str(), now)? else {
                return Ok(());
            };
            if quantity <= 0 {
                let delete = "DELETE FROM basket_lines WHERE basket = $1 AND product = $2";
                transaction.execute(delete, &[&id, &product])?;
            } else {
                let change = "UPDATE basket_lines SET quantity = $3 WHERE basket = $1 AND product = $2";
                transaction.execute(change, &[&id, &product, &quantity.min(QUANTITY_MAX)])?;
            }
            Ok(())
        })
    }

    pub(super) fn place_order(
        &self,
        basket: &Token,
        key: &Token,
        customer: &str,
        note: &str,
        agreed: Cents,
        now: i64,
    ) -> Result<Outcome> {
        let (basket, key) = (basket.clone(), key.clone());
        let (customer, note) = (customer.to_owned(), note.to_owned());
        self.sessions.run(move |transaction| {
            transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
            let known = "SELECT number FROM orders WHERE key = $1";
            if let Some(row) = transaction.query_opt(known, &[&key.as_str()])? {
                return Ok(Outcome::Placed(row.get(0)));
            }
            let lines = lines(transaction, basket.as_str())?;
            if lines.is_empty() {
                return Ok(Outcome::Empty);
            }
            if lines.iter().any(BasketLine::is_short) {
                return Ok(Outcome::Short);
            }
            if lines.iter().map(BasketLine::total).sum::<Cents>() != agreed {
                return Ok(Outcome::Repriced);
            }
            let number: i64 = transaction
                .query_one(
                    "INSERT INTO orders (number, key, customer, note, placed_at)
                     SELECT coalesce(max(number), $1) + 1, $2, $3, $4, $5 FROM orders RETURNING number",
                    &[&NUMBER_BASE, &key.as_str(), &customer, &note, &now],
                )?
                .get(0);
            for line in &lines {
                // The table's own check holds the stock at zero or above, whatever the code before it overlooks.
                let take = "UPDATE products SET stock = stock - $2 WHERE id = $1";
                transaction.execute(take, &[&line.product, &line.quantity])?;
                transaction.execute(
                    "INSERT INTO order_lines (order_number, product, name, price_cents, quantity) VALUES ($1, $2, $3, $4, $5)",
                    &[&number, &line.product, &line.name, &line.price.count(), &line.quantity],
                )?;
            }
            transaction.execute("DELETE FROM baskets WHERE token = $1", &[&basket.as_str()])?;
            Ok(Outcome::Placed(number))
        })
    }

    pub(super) fn order(&self, number: i64) -> Result<Option<Order>> {
        self.sessions.run(move |transaction| {
            let Some(row) = transaction.query_opt("SELECT * FROM orders WHERE number = $1", &[&number])? else {
                return Ok(None);
            };
            let lines = transaction.query(
                "SELECT name, price_cents, quantity FROM order_lines WHERE order_number = $1 ORDER BY product",
                &[&number],
            )?;
            let line = |row: &Row| OrderLine {
                name: row.get(0),
                price: Cents::new(row.get(1)),
                quantity: row.get(2),
            };
            Ok(Some(Order {
                number,
                key: row.get("key"),
                customer: row.get("customer"),
                note: row.get("note"),
                placed_at: row.get("placed_at"),
                shipped_at: row.get("shipped_at"),
                lines: lines.iter().map(line).collect(),
            }))
        })
    }

    pub(super) fn orders(&self, before: i64) -> Result<Vec<OrderSummary>> {
        self.sessions.run(move |transaction| {
            let rows = transaction.query(
                "SELECT number, key, customer, placed_at, shipped_at, sum(quantity)::bigint, sum(price_cents * quantity)::bigint
                 FROM orders JOIN order_lines ON order_number = number
                 WHERE number < $1 GROUP BY number ORDER BY number DESC LIMIT $2",
                &[&before, &i64::from(PAGE)],
            )?;
            let summary = |row: &Row| OrderSummary {
                number: row.get(0),
                key: row.get(1),
                customer: row.get(2),
                placed_at: row.get(3),
                shipped_at: row.get(4),
                pieces: row.get(5),
                total: Cents::new(row.get(6)),
            };
            Ok(rows.iter().map(summary).collect())
        })
    }

    pub(super) fn mark_shipped(&self, number: i64, now: i64) -> Result<bool> {
        self.sessions.run(move |transaction| {
            let mark = "UPDATE orders SET shipped_at = coalesce(shipped_at, $2) WHERE number = $1";
            Ok(transaction.execute(mark, &[&number, &now])? == 1)
        })
    }
}
