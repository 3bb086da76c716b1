//! What the suite `aws` deploys: the shipped template, expanded, and a package for the function. Both go into `target/deployed`; what is done with them is
//! for the tests.

use std::{ffi::OsStr, fs, path::PathBuf};

use super::deploy::without_an_account;
use crate::{
    error::Error,
    python::DEPLOY,
    workspace::{Workspace, output, succeeds},
};

const FOLDER: &str = "target/deployed";
const TEMPLATE: &str = "deploy/template.yaml";
/// Where the tests upload the package and the state machine's definition to.
const UPLOADED: [&str; 2] = ["s3://deploy/code.zip", "s3://deploy/definition.json"];
/// The only file of the package: the tests say by a variable what it goes on as.
const BOOTSTRAP: &str = "crates/entrypoints/lambda/tests/deployed/bootstrap";

/// The files, and the variables by which the tests find them.
pub(super) struct Stack {
    template: PathBuf,
    package: PathBuf,
}

impl Stack {
    /// Made anew each time: it takes a second.
    pub(super) fn make(workspace: &Workspace) -> Result<Self, Error> {
        let folder = workspace.root().join(FOLDER);
        let stack = Self {
            template: folder.join("template.json"),
            package: folder.join("code.zip"),
        };
        let failed = |source| Error::Read {
            path: folder.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut expand = DEPLOY.script(workspace, "expand_template.py");
        let template = output(without_an_account(expand.arg(TEMPLATE).args(UPLOADED)))?;
        fs::write(&stack.template, template).map_err(failed)?;
        // A package that cannot be made is missed by the tests, by its name.
        let mut pack = DEPLOY.program(workspace, "python");
        pack.args(["-m", "zipfile", "-c"]).arg(&stack.package).arg(BOOTSTRAP);
        succeeds(&mut pack)?;
        Ok(stack)
    }

    pub(super) fn variables(&self) -> [(&'static str, &OsStr); 2] {
        [
            ("WHARF_TEST_TEMPLATE", self.template.as_os_str()),
            ("WHARF_TEST_PACKAGE", self.package.as_os_str()),
        ]
    }
}
