//! Tenants' databases in one shared PostgreSQL: for each instance a role and a database that it owns, and that nobody else can connect to.
//!
//! | module | what it is for |
//! |---|---|
//! | `options` | what an operator chooses, and the address as tenants see it |
//! | `address` | the administrator's URL, with TLS as `sslmode` means it |
//! | `tls` | which certificates are believed |
//! | `server` | connections to the server, bounded in number and in time |
//! | `trouble` | what the server refused, as a failure |
//! | `names` | names as PostgreSQL takes them |
//! | `mark` | whose a role or a database is |
//! | `catalogue` | what is there, and whose |
//! | `databases` | [`PostgresDatabases`]: makes, opens, removes, lists |
//! | `spares` | databases that are ready before anybody wants one |
//! | `removal` | what was removed: kept, dumped, dropped |
//! | `programs` | PostgreSQL's own programs on this machine |
//! | `managed` | a server of Wharf's own |
//! | `examine` | what `wharf doctor` looks at |
//!
//! What must not be here: decisions about instances. What a tenant does in its database is its own.
//!
//! # What belongs to whom
//!
//! The mark that says whose a database is stands in the comment of its *role*: a tenant owns its database and could change that one's comment, never its
//! role's. A database is an instance's if the role with that instance's mark owns it. What Wharf has in stock, and what it has removed, it knows by
//! names that begin with `wharf_`, which no tenant's does, and which only who may make databases could give.
//!
//! # What a kill leaves
//!
//! A claim is one transaction: role, mark and the stock's database under its new name and owner. Nothing can be left between role and
//! database. Where another tool, or a restored server, has left a role without a database, `create` goes on from there.
//!
//! # What tenants see of each other
//!
//! PostgreSQL's catalogues of roles and databases are readable for every role: a tenant can list the names of others' databases. It cannot connect to them.

mod address;
mod catalogue;
mod databases;
pub mod examine;
pub mod managed;
mod mark;
mod names;
mod options;
mod programs;
mod removal;
mod server;
mod spares;
mod tls;
mod trouble;

pub use address::AdminAddress;
pub use databases::PostgresDatabases;
pub use managed::{Gateway, Managed, ManagedOptions};
pub use options::{Keeping, PostgresOptions, Settings, TenantAddress};
pub use programs::Programs;
