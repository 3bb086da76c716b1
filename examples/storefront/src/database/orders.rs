//! Orders: a basket becomes one in a single transaction, which takes the stock with it, or leaves everything as it was.

use rusqlite::{OptionalExtension as _, params};

use super::{Keep, Result, Sqlite, basket};
use crate::{money::Cents, random::Token};

/// Orders on one page of the admin's list.
pub(crate) const PAGE: u32 = 50;
/// The first order's number is one more. Four digits are easier to tell apart on the telephone than one.
pub(super) const NUMBER_BASE: i64 = 1000;

#[derive(Clone, Debug)]
pub(crate) struct OrderLine {
    pub(crate) name: String,
    pub(crate) price: Cents,
    pub(crate) quantity: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) number: i64,
    pub(crate) key: String,
    pub(crate) customer: String,
    pub(crate) note: String,
    /// Seconds since 1970, as is `shipped_at`.
    pub(crate) placed_at: i64,
    pub(crate) shipped_at: Option<i64>,
    pub(crate) lines: Vec<OrderLine>,
}

impl Order {
    pub(crate) fn total(&self) -> Cents {
        self.lines.iter().map(|line| line.price.times(line.quantity)).sum()
    }
}

/// An order as the admin's list shows it.
#[derive(Clone, Debug)]
pub(crate) struct OrderSummary {
    pub(crate) number: i64,
    pub(crate) key: String,
    pub(crate) customer: String,
    pub(crate) placed_at: i64,
    pub(crate) shipped_at: Option<i64>,
    pub(crate) pieces: i64,
    pub(crate) total: Cents,
}

/// What became of a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The order has this number. The same key again gives the same number, and no second order.
    Placed(i64),
    Empty,
    /// There is less of something than the basket wants, or it was withdrawn.
    Short,
    /// The prices are no longer those that the customer agreed to.
    Repriced,
}

impl Sqlite {
    /// Makes an order of the basket, and empties it. `agreed` is the total that the customer saw.
    pub(super) fn place_order(
        &mut self,
        basket: &Token,
        key: &Token,
        customer: &str,
        note: &str,
        agreed: Cents,
        now: i64,
    ) -> Result<Outcome> {
        self.write(Keep::Always, |transaction| {
            let known = "SELECT number FROM orders WHERE key = ?1";
            if let Some(number) = transaction.prepare_cached(known)?.query_row([key.as_str()], |row| row.get(0)).optional()? {
                return Ok(Outcome::Placed(number));
            }
            let lines = basket::lines(transaction, basket)?;
            if lines.is_empty() {
                return Ok(Outcome::Empty);
            }
            if lines.iter().any(basket::BasketLine::is_short) {
                return Ok(Outcome::Short);
            }
            if lines.iter().map(basket::BasketLine::total).sum::<Cents>() != agreed {
                return Ok(Outcome::Repriced);
            }
            let number = transaction
                .prepare_cached(
                    "INSERT INTO orders (number, key, customer, note, placed_at)
                     SELECT coalesce(max(number), ?1) + 1, ?2, ?3, ?4, ?5 FROM orders RETURNING number",
                )?
                .query_row(params![NUMBER_BASE, key.as_str(), customer, note, now], |row| row.get(0))?;
            for line in &lines {
                // The table's own check holds the stock at zero or above, whatever the code before it overlooks.
                transaction.prepare_cached("UPDATE products SET stock = stock - ?2 WHERE id = ?1")?.execute([line.product, line.quantity])?;
                transaction
                    .prepare_cached("INSERT INTO order_lines (order_number, product, name, price_cents, quantity) VALUES (?1, ?2, ?3, ?4, ?5)")?
                    .execute(params![number, line.product, line.name, line.price.count(), line.quantity])?;
            }
            transaction.execute("DELETE FROM baskets WHERE token = ?1", [basket.as_str()])?;
            Ok(Outcome::Placed(number))
        })
    }

    pub(super) fn order(&self, number: i64) -> Result<Option<Order>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM orders WHERE number = ?1")?;
        let order = statement.query_row([number], |row| {
            Ok(Order {
                number,
                key: row.get("key")?,
                customer: row.get("customer")?,
                note: row.get("note")?,
                placed_at: row.get("placed_at")?,
                shipped_at: row.get("shipped_at")?,
                lines: Vec::new(),
            })
        });
        let Some(mut order) = order.optional()? else {
            return Ok(None);
        };
        let mut statement = self.connection.prepare_cached(
            "SELECT name, price_cents, quantity FROM order_lines WHERE order_number = ?1 ORDER BY product",
        )?;
        let lines = statement.query_map([number], |row| {
            Ok(OrderLine {
                name: row.get(0)?,
                price: Cents::new(row.get(1)?),
                quantity: row.get(2)?,
            })
        })?;
        order.lines = lines.collect::<rusqlite::Result<_>>()?;
        Ok(Some(order))
    }

    /// A page of orders, the newest first, all of a lower number than `before`.
    pub(super) fn orders(&self, before: i64) -> Result<Vec<OrderSummary>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT number, key, customer, placed_at, shipped_at, sum(quantity), sum(price_cents * quantity)
             FROM orders JOIN order_lines ON order_number = number
             WHERE number < ?1 GROUP BY number ORDER BY number DESC LIMIT ?2",
        )?;
        let orders = statement.query_map(params![before, PAGE], |row| {
            Ok(OrderSummary {
                number: row.get(0)?,
                key: row.get(1)?,
                customer: row.get(2)?,
                placed_at: row.get(3)?,
                shipped_at: row.get(4)?,
                pieces: row.get(5)?,
                total: Cents::new(row.get(6)?),
            })
        })?;
        Ok(orders.collect::<rusqlite::Result<_>>()?)
    }

    /// Marks an order as shipped; again, it keeps its first date. `false`: there is no such order.
    pub(super) fn mark_shipped(&mut self, number: i64, now: i64) -> Result<bool> {
        self.write(Keep::Always, |transaction| {
            let mark = "UPDATE orders SET shipped_at = coalesce(shipped_at, ?2) WHERE number = ?1";
            Ok(transaction.execute(mark, [number, now])? == 1)
        })
    }
}
