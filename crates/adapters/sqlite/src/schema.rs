//! The formats of the registry, and the way from each to the next. Forward only: a registry never goes back.

use rusqlite::{Connection, OptionalExtension};

/// Marks the file as a registry ("Whrf").
pub(crate) const APPLICATION_ID: i32 = 0x5768_7266;

/// What leads from the format before to format n (the first: 1). A file that was released is never edited again, and each new one comes
/// with a test that starts from a fixture of the format before (`tests/registry/formats.rs`).
pub(crate) const MIGRATIONS: &[&str] = &[include_str!("../schema/1.sql")];

/// The format that a registry has. `None`: it says none that can be read.
pub(crate) fn format(connection: &Connection) -> rusqlite::Result<Option<usize>> {
    let text: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Brings a registry of format `from` (0: an empty file) to the last of `migrations`, all in one transaction.
pub(crate) fn migrate(connection: &mut Connection, from: usize, migrations: &[&str]) -> rusqlite::Result<()> {
    if from >= migrations.len() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for migration in &migrations[from..] {
        transaction.execute_batch(migration)?;
    }
    transaction.execute(
        "INSERT INTO meta (key, value) VALUES ('format', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1",
        [migrations.len().to_string()],
    )?;
    transaction.commit()
}

/// Tables and indexes, each with the statement that made it.
pub(crate) fn shape(connection: &Connection) -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
    connection
        .prepare("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
}

/// The shape of a registry of this format, which is one of those that are known.
pub(crate) fn shape_of(format: usize) -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection, 0, &MIGRATIONS[..format])?;
    shape(&connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: &str = "CREATE TABLE addition (value TEXT) STRICT; INSERT INTO addition VALUES ('new');";

    fn first() -> Connection {
        let mut connection = Connection::open_in_memory().expect("memory");
        migrate(&mut connection, 0, MIGRATIONS).expect("an empty file takes the schema");
        connection
    }

    #[test]
    fn a_registry_comes_to_the_last_format_and_keeps_what_it_has() {
        let mut connection = first();
        connection
            .execute("INSERT INTO meta (key, value) VALUES ('deployment', 'dep_x')", [])
            .expect("meta");
        let migrations = [MIGRATIONS, &[NEXT]].concat();
        migrate(&mut connection, MIGRATIONS.len(), &migrations).expect("the next format");
        assert_eq!(format(&connection).expect("format"), Some(MIGRATIONS.len() + 1));
        let kept: String = connection
            .query_row("SELECT value FROM meta WHERE key = 'deployment'", [], |row| row.get(0))
            .expect("kept");
        assert_eq!(kept, "dep_x");
        migrate(&mut connection, MIGRATIONS.len() + 1, &migrations).expect("nothing is left to do");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_format_before() {
        let mut connection = first();
        let migrations = [MIGRATIONS, &[NEXT, "INSERT INTO no_such_table VALUES (1)"]].concat();
        migrate(&mut connection, MIGRATIONS.len(), &migrations).expect_err("the last one is wrong");
        assert_eq!(format(&connection).expect("format"), Some(MIGRATIONS.len()));
        connection
            .query_row("SELECT 1 FROM addition", [], |_| Ok(()))
            .expect_err("the first one is taken back too");
    }
}
