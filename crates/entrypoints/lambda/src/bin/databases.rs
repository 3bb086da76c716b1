//! `databases`: the function that makes tenants' databases, alone in the database server's network. Nothing is decided here.

use std::process::ExitCode;
use wharf_lambda::{databases, process};

fn main() -> ExitCode {
    process::run(|payload, at| async move { databases::invoke(payload, at.deadline).await })
}
