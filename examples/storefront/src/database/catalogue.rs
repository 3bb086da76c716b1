//! Products: what customers see, and what the admin changes.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Keep, Result, Sqlite};
use crate::money::Cents;

/// So many products fit on one page that can still be read.
pub(crate) const PRODUCTS_MAX: i64 = 200;

#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) price: Cents,
    /// Pieces that can still be ordered.
    pub(crate) stock: i64,
    /// No longer sold. It stays known for the orders that name it.
    pub(crate) withdrawn: bool,
}

/// A product as the admin's form has it, with every field checked.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) price: Cents,
    pub(crate) stock: i64,
}

fn product(row: &Row<'_>) -> rusqlite::Result<Product> {
    Ok(Product {
        id: row.get("id")?,
        name: row.get("name")?,
        description: row.get("description")?,
        price: Cents::new(row.get("price_cents")?),
        stock: row.get("stock")?,
        withdrawn: row.get("withdrawn")?,
    })
}

impl Sqlite {
    pub(super) fn products_on_sale(&self) -> Result<Vec<Product>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM products WHERE withdrawn = 0 ORDER BY id LIMIT ?1")?;
        Ok(statement
            .query_map([PRODUCTS_MAX], product)?
            .collect::<rusqlite::Result<_>>()?)
    }

    /// Those on sale first, then the withdrawn ones.
    pub(super) fn all_products(&self) -> Result<Vec<Product>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT * FROM products ORDER BY withdrawn, id LIMIT ?1")?;
        Ok(statement
            .query_map([PRODUCTS_MAX], product)?
            .collect::<rusqlite::Result<_>>()?)
    }

    pub(super) fn product(&self, id: i64) -> Result<Option<Product>> {
        let mut statement = self.connection.prepare_cached("SELECT * FROM products WHERE id = ?1")?;
        Ok(statement.query_row([id], product).optional()?)
    }

    /// Puts a product on sale. `false`: there are `PRODUCTS_MAX` already.
    pub(super) fn add_product(&mut self, draft: &Draft) -> Result<bool> {
        self.write(Keep::Always, |transaction| {
            let added = transaction.execute(
                "INSERT INTO products (name, description, price_cents, stock)
                 SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*) FROM products) < ?5",
                params![
                    draft.name,
                    draft.description,
                    draft.price.count(),
                    draft.stock,
                    PRODUCTS_MAX
                ],
            )?;
            Ok(added == 1)
        })
    }

    /// Changes a product. `stock_seen` is the stock that the form showed: only the difference is applied, so that what was sold while the
    /// form was open stays sold. `false`: there is no such product.
    pub(super) fn change_product(&mut self, id: i64, draft: &Draft, stock_seen: i64) -> Result<bool> {
        self.write(Keep::Always, |transaction| {
            let changed = transaction.execute(
                "UPDATE products SET name = ?2, description = ?3, price_cents = ?4, stock = max(0, stock + ?5) WHERE id = ?1",
                params![id, draft.name, draft.description, draft.price.count(), draft.stock.saturating_sub(stock_seen)],
            )?;
            Ok(changed == 1)
        })
    }

    /// Takes a product off sale, or puts it back. `false`: there is no such product.
    pub(super) fn set_withdrawn(&mut self, id: i64, withdrawn: bool) -> Result<bool> {
        self.write(Keep::Always, |transaction| {
            Ok(transaction.execute(
                "UPDATE products SET withdrawn = ?2 WHERE id = ?1",
                params![id, withdrawn],
            )? == 1)
        })
    }
}
