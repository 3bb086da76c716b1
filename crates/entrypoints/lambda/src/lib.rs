//! Wharf on Lambda: one function for everything that happens, and a small one beside it, alone in the database server's network, that makes tenants'
//! databases for it. The binaries are `bootstrap` and `databases`; what they do is here, so that tests can call it.
//!
//! | file | what it is for |
//! |---|---|
//! | `payload` | what an invocation is, told by its payload |
//! | `function` | one invocation in, its answer out: how long it may take, and what is told of it |
//! | `deployed` | Wharf, put together for each way in which it is called |
//! | `gateway` | requests and answers of the HTTP API |
//! | `metrics` | log lines and CloudWatch metrics for what happens to instances |
//! | `log` | the log's form |
//! | `wire` | the one file that names the function's adapters |
//! | `databases` | the function beside it, with its one adapter |
//! | `process` | how both run: ask Lambda for work, answer |
//!
//! Nothing is made before the first payload that needs it: the time from the process's start to its first question for work is what every cold start costs.
//! What must not be here: decisions about instances.

pub mod databases;
pub mod deployed;
pub mod function;
pub mod gateway;
pub mod log;
pub mod metrics;
pub mod payload;
pub mod process;
pub mod wire;

pub use deployed::{Deployed, Parts};
pub use function::{Function, Invocation};
pub use payload::{Message, Note, Payload};
