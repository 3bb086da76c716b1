//! Baskets: what a visitor means to buy, kept under the token of the visitor's cookie. Nothing is reserved by being in a basket.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{Keep, Result, Sqlite};
use crate::{money::Cents, random::Token};

/// Pieces of one product in one basket.
pub(crate) const QUANTITY_MAX: i64 = 99;
/// Products in one basket.
pub(super) const LINES_MAX: i64 = 50;
/// A basket that nobody touched for so long is forgotten.
pub(super) const KEPT_SECONDS: i64 = 30 * 24 * 60 * 60;
/// Baskets kept at most: older ones give way, so that visitors without cookies cannot fill the disk.
pub(super) const BASKETS_MAX: i64 = 20_000;

#[derive(Clone, Debug)]
pub(crate) struct BasketLine {
    pub(crate) product: i64,
    pub(crate) name: String,
    pub(crate) price: Cents,
    pub(crate) quantity: i64,
    /// Pieces that can be ordered now: 0 when the product was withdrawn.
    pub(crate) available: i64,
}

impl BasketLine {
    pub(crate) fn total(&self) -> Cents {
        self.price.times(self.quantity)
    }

    pub(crate) fn is_short(&self) -> bool {
        self.quantity > self.available
    }
}

/// What became of an addition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is in the basket of this token.
    Into(Token),
    /// The product is not on sale, or there is none left.
    NotOnSale,
    /// The basket has `LINES_MAX` products.
    Full,
}

/// The lines of a basket, in the order of the products' page.
pub(super) fn lines(connection: &Connection, basket: &Token) -> Result<Vec<BasketLine>> {
    let mut statement = connection.prepare_cached(
        "SELECT product, name, price_cents, quantity, iif(withdrawn, 0, stock)
         FROM baskets JOIN basket_lines ON basket = baskets.id JOIN products ON products.id = product
         WHERE token = ?1 ORDER BY product",
    )?;
    let lines = statement.query_map([basket.as_str()], |row| {
        Ok(BasketLine {
            product: row.get(0)?,
            name: row.get(1)?,
            price: Cents::new(row.get(2)?),
            quantity: row.get(3)?,
            available: row.get(4)?,
        })
    })?;
    Ok(lines.collect::<rusqlite::Result<_>>()?)
}

impl Sqlite {
    pub(super) fn basket(&self, basket: &Token) -> Result<Vec<BasketLine>> {
        lines(&self.connection, basket)
    }

    /// How many pieces are in a basket.
    pub(super) fn basket_count(&self, basket: &Token) -> Result<i64> {
        let mut statement = self.connection.prepare_cached(
            "SELECT coalesce(sum(quantity), 0) FROM baskets JOIN basket_lines ON basket = baskets.id WHERE token = ?1",
        )?;
        Ok(statement.query_row([basket.as_str()], |row| row.get(0))?)
    }

    /// Puts `quantity` pieces more into the basket, up to `QUANTITY_MAX`; without a basket, or with one that was forgotten, into a new one.
    pub(super) fn add_to_basket(
        &mut self,
        basket: Option<&Token>,
        product: i64,
        quantity: i64,
        now: i64,
    ) -> Result<Added> {
        self.write(Keep::Usually, |transaction| {
            let on_sale = "SELECT 1 FROM products WHERE id = ?1 AND withdrawn = 0 AND stock > 0";
            if !transaction.prepare_cached(on_sale)?.exists([product])? {
                return Ok(Added::NotOnSale);
            }
            let (id, token) = match basket {
                Some(token) => match find(transaction, token, now)? {
                    Some(id) => (id, token.clone()),
                    None => begin(transaction, now)?,
                },
                None => begin(transaction, now)?,
            };
            let others = "SELECT count(*) FROM basket_lines WHERE basket = ?1 AND product <> ?2";
            if transaction
                .prepare_cached(others)?
                .query_row([id, product], |row| row.get::<_, i64>(0))?
                >= LINES_MAX
            {
                return Ok(Added::Full);
            }
            transaction
                .prepare_cached(
                    "INSERT INTO basket_lines (basket, product, quantity) VALUES (?1, ?2, min(?3, ?4))
                     ON CONFLICT DO UPDATE SET quantity = min(quantity + ?3, ?4)",
                )?
                .execute(params![id, product, quantity, QUANTITY_MAX])?;
            Ok(Added::Into(token))
        })
    }

    /// Sets the quantity of a product that is in the basket; 0 takes it out. What is not in the basket stays out of it.
    pub(super) fn change_basket(&mut self, basket: &Token, product: i64, quantity: i64, now: i64) -> Result<()> {
        self.write(Keep::Usually, |transaction| {
            let Some(id) = find(transaction, basket, now)? else {
                return Ok(());
            };
            if quantity <= 0 {
                transaction.execute(
                    "DELETE FROM basket_lines WHERE basket = ?1 AND product = ?2",
                    [id, product],
                )?;
            } else {
                let change = "UPDATE basket_lines SET quantity = ?3 WHERE basket = ?1 AND product = ?2";
                transaction.execute(change, [id, product, quantity.min(QUANTITY_MAX)])?;
            }
            Ok(())
        })
    }
}

/// Finds the basket of a token, and notes that it is in use.
fn find(transaction: &Transaction<'_>, token: &Token, now: i64) -> Result<Option<i64>> {
    let mut statement =
        transaction.prepare_cached("UPDATE baskets SET touched_at = ?2 WHERE token = ?1 RETURNING id")?;
    Ok(statement
        .query_row(params![token.as_str(), now], |row| row.get(0))
        .optional()?)
}

/// Begins a basket under a new token (never under one that a browser sent: it would be somebody else's choice), and forgets old ones.
fn begin(transaction: &Transaction<'_>, now: i64) -> Result<(i64, Token)> {
    let token = Token::generate()?;
    transaction
        .prepare_cached("INSERT INTO baskets (token, touched_at) VALUES (?1, ?2)")?
        .execute(params![token.as_str(), now])?;
    let id = transaction.last_insert_rowid();
    transaction
        .prepare_cached("DELETE FROM baskets WHERE touched_at < ?1 OR id <= ?2")?
        .execute([now.saturating_sub(KEPT_SECONDS), id - BASKETS_MAX])?;
    Ok((id, token))
}
