//! A page of a listing: which index serves which filters.
//!
//! Each listing index begins with what is filtered for, goes on with the id (the order of the page), and holds every other
//! column that can be filtered by. So a page is found in an index alone, in order, and only its own records are read. Where an index begins
//! with `live` and the caller does not care, both halves are read and merged.

use rusqlite::{Connection, ToSql, params_from_iter};
use wharf_saga::store::{PAGE_MAX, Query, Stored};

use crate::columns::{STORED, limit_column, stored};

/// Reads a page. Two statements over one snapshot: the numbers of its records, then the records.
pub(crate) fn page(connection: &Connection, query: &Query) -> rusqlite::Result<Vec<Stored>> {
    let limit = query.limit.min(PAGE_MAX);
    let snapshot = connection.unchecked_transaction()?;
    let mut found: Vec<(String, i64)> = Vec::new();
    for (sql, parameters) in statements(query, limit) {
        let mut statement = snapshot.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(parameters), |row| Ok((row.get(0)?, row.get(1)?)))?;
        for row in rows {
            found.push(row?);
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.truncate(limit);
    let mut record = snapshot.prepare_cached(&format!("SELECT {STORED} FROM instances WHERE number = ?1"))?;
    found
        .into_iter()
        .map(|(_, number)| record.query_row([number], stored))
        .collect()
}

fn statements(query: &Query, limit: usize) -> Vec<(String, Vec<Box<dyn ToSql>>)> {
    let (index, begins_with_live) = if query.name.is_some() {
        ("instances_name", false)
    } else if query.state.is_some() {
        ("instances_state", false)
    } else if query.service.is_some() {
        ("instances_service", true)
    } else {
        ("instances_live", true)
    };
    let halves = match query.live {
        None if begins_with_live => vec![Some(true), Some(false)],
        live => vec![live],
    };
    halves
        .into_iter()
        .map(|live| statement(query, live, index, limit))
        .collect()
}

fn statement(query: &Query, live: Option<bool>, index: &str, limit: usize) -> (String, Vec<Box<dyn ToSql>>) {
    let mut sql = format!("SELECT id, number FROM instances INDEXED BY {index} WHERE 1");
    let mut parameters: Vec<Box<dyn ToSql>> = Vec::new();
    let mut filter = |condition: &str, value: Box<dyn ToSql>| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        parameters.push(value);
    };
    if let Some(name) = &query.name {
        filter("name = ?", Box::new(name.clone()));
    }
    if let Some(state) = &query.state {
        filter("state = ?", Box::new(state.clone()));
    }
    if let Some(service) = &query.service {
        filter("service = ?", Box::new(service.clone()));
    }
    if let Some(live) = live {
        filter("live = ?", Box::new(live));
    }
    if let Some(named) = query.named {
        filter("(name IS NOT NULL) = ?", Box::new(named));
    }
    if let Some(before) = &query.before {
        filter("id < ?", Box::new(before.as_str().to_owned()));
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?");
    parameters.push(Box::new(limit_column(limit)));
    (sql, parameters)
}
