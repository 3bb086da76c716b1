//! The keys of instances' databases.

use std::{path::PathBuf, time::Duration};

use crate::{
    table::{Key, Node::Leaf, Presence::Always, Section, Variable},
    values::{DatabaseKind, DatabaseName, Host, Secret, UrlQuery, UrlScheme},
};

const YEAR: Duration = Duration::from_hours(365 * 24);

pub(crate) static KIND: Key<Option<DatabaseKind>> = Key::new(
    "kind",
    || None,
    "What an instance with `database = true` gets. `files`: a SQLite file in `data_dir`, for processes. `postgres`: a role and a database \
     of its own on one PostgreSQL server. `none`: a service that wants one is refused.",
)
.default_note("`postgres` where `WHARF_POSTGRES_URL`, `url_file` or `managed` is given; otherwise `files` for processes, `none` elsewhere");
pub(crate) static URL: Key<Option<Secret>> = Key::new(
    "url",
    || None,
    "Where the PostgreSQL server is, with a user who may make roles and databases: `postgresql://user:password@host:5432/postgres`. \
     `sslmode` (`disable`, `prefer`, `require`, `verify-ca`, `verify-full`) and `sslrootcert` in it mean what they mean to libpq. Not in the file; it is never shown.",
)
.variables(&[Variable::above("WHARF_POSTGRES_URL")]);
pub(crate) static URL_FILE: Key<Option<PathBuf>> = Key::new(
    "url_file",
    || None,
    "A file that holds this URL and nothing else. A relative path in the file counts from the file's folder.",
);
pub(crate) static MANAGED: Key<bool> = Key::new(
    "managed",
    || false,
    "Whether Wharf runs a PostgreSQL server of its own, from the programs on this machine, in the folder `postgres` of `data_dir`. It ends with Wharf.",
);
pub(crate) static PROGRAMS: Key<Option<PathBuf>> = Key::new(
    "programs",
    || None,
    "The folder of PostgreSQL's programs (`postgres`, `initdb`, `pg_dump`), for `managed` and `archive`.",
)
.default_note("the newest of `/usr/lib/postgresql/*/bin`, or what is in the usual folders");
pub(crate) static USER: Key<DatabaseName> = Key::new(
    "user",
    || DatabaseName::known("postgres"),
    "The user of this machine that runs a managed server where Wharf is root: PostgreSQL refuses to run as root.",
);
pub(crate) static MAX_CONNECTIONS: Key<u32> = Key::new(
    "max_connections",
    || 300,
    "How many connections a managed server takes, of all tenants together.",
)
.between(&[20, 10_000]);
pub(crate) static WAIT: Key<Duration> = Key::new(
    "wait",
    || Duration::from_mins(1),
    "How long a PostgreSQL server that does not answer, or has no connection left, is waited for before a start fails. What is to be removed on it waits for a day.",
)
.between(&[Duration::ZERO, Duration::from_hours(24)]);
pub(crate) static SCHEME: Key<UrlScheme> = Key::new(
    "scheme",
    || UrlScheme::known("postgresql"),
    "The scheme of `DATABASE_URL`, as the tenants' library wants it (`postgresql+asyncpg`).",
);
pub(crate) static TENANT_HOST: Key<Option<Host>> = Key::new(
    "tenant_host",
    || None,
    "The server's name or address as tenants see it, in `DATABASE_URL`.",
)
.default_note("the host of `WHARF_POSTGRES_URL`; of a managed server `127.0.0.1`, for containers Docker's gateway");
pub(crate) static TENANT_PORT: Key<Option<u16>> =
    Key::new("tenant_port", || None, "The server's port as tenants see it.")
        .between(&[Some(1), Some(u16::MAX)])
        .default_note("the port of the server");
pub(crate) static TENANT_QUERY: Key<Option<UrlQuery>> = Key::new(
    "tenant_query",
    || None,
    "What stands behind the question mark of `DATABASE_URL`.",
);
pub(crate) static CONNECTION_LIMIT: Key<u32> = Key::new(
    "connection_limit",
    || 20,
    "How many connections an instance may have open to its database at once.",
)
.between(&[1, 10_000]);
pub(crate) static STATEMENT_TIMEOUT: Key<Duration> = Key::new(
    "statement_timeout",
    || Duration::ZERO,
    "How long a statement of an instance may take; `\"0s\"` is for ever. It is a default: an instance may set another for its sessions.",
)
.between(&[Duration::ZERO, Duration::from_hours(24)]);
pub(crate) static TEMPLATE: Key<DatabaseName> = Key::new(
    "template",
    || DatabaseName::known("template0"),
    "The database that instances' databases are copies of. What is in another than `template0` belongs to who made it.",
);
pub(crate) static EXTENSIONS: Key<Vec<DatabaseName>> = Key::new(
    "extensions",
    Vec::new,
    "The extensions that are in each database from its beginning. They have to be installed on the server.",
);
pub(crate) static SPARE: Key<u32> = Key::new(
    "spare",
    || 4,
    "How many databases are kept ready: to give one away is a rename, which takes a millisecond, where making one takes twenty.",
)
.between(&[0, 100]);
pub(crate) static KEEP: Key<Duration> = Key::new(
    "keep",
    || Duration::ZERO,
    "How long the database of an ended instance stays on the server, under another name and closed, before it is dropped.",
)
.between(&[Duration::ZERO, YEAR]);
pub(crate) static ARCHIVE: Key<Option<PathBuf>> = Key::new(
    "archive",
    || None,
    "The folder into which `pg_dump` writes a database before it is dropped. A relative path in the file counts from the file's folder.",
)
.default_note("no dump is made");

pub(crate) static DATABASES: Section = Section {
    name: "databases",
    doc: "What an instance with `database = true` gets.",
    presence: Always,
    children: &[
        Leaf(&KIND),
        Leaf(&URL),
        Leaf(&URL_FILE),
        Leaf(&MANAGED),
        Leaf(&PROGRAMS),
        Leaf(&USER),
        Leaf(&MAX_CONNECTIONS),
        Leaf(&WAIT),
        Leaf(&SCHEME),
        Leaf(&TENANT_HOST),
        Leaf(&TENANT_PORT),
        Leaf(&TENANT_QUERY),
        Leaf(&CONNECTION_LIMIT),
        Leaf(&STATEMENT_TIMEOUT),
        Leaf(&TEMPLATE),
        Leaf(&EXTENSIONS),
        Leaf(&SPARE),
        Leaf(&KEEP),
        Leaf(&ARCHIVE),
    ],
};
