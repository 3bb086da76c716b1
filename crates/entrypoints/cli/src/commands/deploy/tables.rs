//! `deploy tables`: the registry's tables for a server that runs without the stack, which makes its own.

use serde::Serialize;
use std::process::ExitCode;
use wharf_domain::Failure;

use super::super::config;
use crate::{
    args::{DeployTables, Global, OnPlatform},
    output,
    up::wire::account::{Account, tables},
};

#[derive(Debug, Serialize)]
struct Printed {
    region: Option<String>,
    tables: Vec<Row>,
    applied: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// Before this command.
    exists: bool,
}

pub(super) async fn run(global: &Global, options: &DeployTables) -> Result<ExitCode, Failure> {
    let on = OnPlatform {
        platform: Some("ecs".to_owned()),
    };
    let config = config::load(global, &on.overrides())?;
    let account = Account::new(&config, options.region.as_deref());
    // Who asks is looked at first: without credentials the answer says so, rather than that a table cannot be described.
    account.identity().await?;
    let names = tables(&config);
    let missing = account.missing(&names).await?;
    if options.apply {
        account.create(&names).await?;
    }
    let printed = Printed {
        region: account.region().await,
        tables: names
            .all()
            .into_iter()
            .map(|(name, _)| Row {
                name: name.to_owned(),
                exists: !missing.iter().any(|missing| missing == name),
            })
            .collect(),
        applied: options.apply,
    };
    output::value(&printed, global.format(), text);
    Ok(ExitCode::SUCCESS)
}

fn text(printed: &Printed) -> String {
    let state = |row: &Row| match (row.exists, printed.applied) {
        (true, true) => "was there, and has its indexes",
        (true, false) => "is there",
        (false, true) => "made",
        (false, false) => "is missing",
    };
    let rows: Vec<_> = printed
        .tables
        .iter()
        .map(|row| vec![row.name.clone(), state(row).to_owned()])
        .collect();
    let table = output::table(&["TABLE", ""], &rows);
    if printed.applied {
        table
    } else {
        format!("{table}\n\nnothing was done; --apply makes what is missing, and adds indexes that are lacking")
    }
}
