//! `cargo xtask audit`: known vulnerabilities of the dependencies. Apart from `test`, because its answer depends on the day and on the network.

use crate::{
    error::Error,
    tools::{DENY, Toolbox},
    workspace::{Workspace, succeeds},
};

pub(crate) fn run(workspace: &Workspace) -> Result<bool, Error> {
    if let Some(missing) = Toolbox::new(workspace).provide(&[&DENY])?.first() {
        eprintln!("error: nothing was checked: the audit {missing}");
        return Ok(false);
    }
    if !succeeds(&mut workspace.cargo(&["deny", "fetch", "db"]))? {
        eprintln!(
            "error: nothing was checked: the database of advisories cannot be fetched; try again with the network"
        );
        return Ok(false);
    }
    let mut clean = succeeds(&mut workspace.cargo(&["deny", "check", "advisories"]))?;
    if workspace.has_program("cargo-audit") {
        clean &= succeeds(&mut workspace.cargo(&["audit"]))?;
    }
    Ok(clean)
}
