//! Virtual environments of Python: what each holds, in exact versions, and how it comes to be. What runs in one is no matter of this file.
//!
//! The versions stand in `xtask/python/NAME.txt` and nowhere else, those of indirect dependencies too, so that a check says tomorrow what it says
//! today.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    error::Error,
    workspace::{Workspace, read, succeeds},
};

/// Where they are put, below the root.
const FOLDER: &str = "target/python";
/// Where the scripts are, and the lists of versions, below the root.
const SOURCES: &str = "xtask/python";
/// A copy of the list that an environment was made from, within it. It is written last: without it, or with another, the environment is made anew.
const STAMP: &str = "made-from.txt";

/// An environment. Those that do not go together (two packages that want different versions of a third) are apart.
#[derive(Debug)]
pub(crate) struct Environment {
    /// The name of its list, and of its folder.
    pub name: &'static str,
}

/// What checks `deploy/`.
pub(crate) const DEPLOY: Environment = Environment { name: "deploy" };
/// What stands in for AWS's services in the tests of the adapter.
pub(crate) const EMULATOR: Environment = Environment { name: "emulator" };
/// What makes requests from the API's document.
pub(crate) const API: Environment = Environment { name: "api" };

impl Environment {
    /// A program that came with one of its packages, run from the root.
    pub(crate) fn program(&self, workspace: &Workspace, name: &str) -> Command {
        let mut command = workspace.program(&self.folder(workspace).join("bin").join(name).to_string_lossy());
        // What a person has installed for themselves is not what the list says.
        command.env("PYTHONNOUSERSITE", "1").env_remove("PYTHONPATH");
        command
    }

    /// A script of `xtask/python`, run from the root.
    pub(crate) fn script(&self, workspace: &Workspace, name: &str) -> Command {
        let mut command = self.program(workspace, "python");
        // Libraries warn of what their next versions will not have; ours are pinned.
        command
            .args(["-W", "ignore"])
            .arg(workspace.root().join(SOURCES).join(name));
        command
    }

    /// It is there, and was made from the list as it is now.
    pub(crate) fn is_there(&self, workspace: &Workspace) -> bool {
        let made_from = read(&self.folder(workspace).join(STAMP));
        made_from.is_ok_and(|made_from| read(&self.list(workspace)).is_ok_and(|list| list == made_from))
    }

    /// Makes it, in place of whatever is there. That it does not work is for the caller to notice.
    pub(crate) fn install(&self, workspace: &Workspace) -> Result<(), Error> {
        if !workspace.has_program("python3") {
            return Ok(());
        }
        let folder = self.folder(workspace);
        let mut make = workspace.program("python3");
        if !succeeds(make.args(["-m", "venv", "--clear"]).arg(&folder))? {
            return Ok(());
        }
        let mut fill = self.program(workspace, "python");
        fill.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--requirement",
        ]);
        if succeeds(fill.arg(self.list(workspace)))? {
            let (list, stamp) = (self.list(workspace), folder.join(STAMP));
            fs::copy(&list, &stamp).map_err(|source| Error::Read { path: list, source })?;
        }
        Ok(())
    }

    /// The commands by which a person makes it.
    pub(crate) fn way(&self) -> String {
        let Self { name } = self;
        format!("python3 -m venv {FOLDER}/{name} && {FOLDER}/{name}/bin/pip install --no-deps -r {SOURCES}/{name}.txt")
    }

    fn folder(&self, workspace: &Workspace) -> PathBuf {
        workspace.root().join(FOLDER).join(self.name)
    }

    fn list(&self, workspace: &Workspace) -> PathBuf {
        workspace.root().join(SOURCES).join(format!("{}.txt", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_in_a_list_is_exact() {
        let workspace = Workspace::find();
        for environment in [&DEPLOY, &EMULATOR, &API] {
            let list = read(&environment.list(&workspace)).expect(environment.name);
            let packages: Vec<_> = list.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(!packages.is_empty());
            for package in packages {
                assert_eq!(package.split("==").count(), 2, "{package}");
            }
        }
    }
}
