//! `bootstrap`: the function for everything that happens. Nothing is decided here.

use std::{process::ExitCode, sync::Arc};
use wharf_lambda::{Function, process, wire};

fn main() -> ExitCode {
    let function = Arc::new(Function::new(wire::make()));
    process::run(move |payload, at| {
        let function = function.clone();
        async move { function.invoke(payload, &at).await }
    })
}
