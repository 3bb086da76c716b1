//! The suite `deploy`: what others' tools say of the files in `deploy/`. What only we can know of them is tested in `xtask/tests/deploy`.
//!
//! None of the tools asks the network, and none needs an account: what they are told of a region and of credentials is made up.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Counts, Machine};
use crate::{
    error::Error,
    python::DEPLOY,
    tools::node,
    workspace::{Workspace, output, succeeds},
};

/// The template that SAM deploys; the others are plain CloudFormation.
const TEMPLATE: &str = "deploy/template.yaml";
const STATE_MACHINE: &str = "deploy/statemachine.asl.json";
const DOCKERFILE: &str = "examples/storefront/Dockerfile";

/// Runs every check, whatever the one before found.
pub(super) fn check(machine: &Machine<'_>) -> Result<Counts, Error> {
    let workspace = machine.workspace;
    let templates = files(workspace, "deploy", "yaml")?;
    let task_definitions = files(workspace, "deploy/taskdef", "json")?;
    let mut checks = vec![
        DEPLOY
            .program(workspace, "sam")
            .with(["validate", "--lint", "--template", TEMPLATE]),
        DEPLOY.script(workspace, "check_policies.py").with(&templates),
        DEPLOY
            .script(workspace, "check_task_definitions.py")
            .with(&task_definitions),
        node(workspace, "asl-validator").with(["--json-path", STATE_MACHINE]),
        DEPLOY.program(workspace, "hadolint").with([DOCKERFILE]),
    ];
    for template in &templates {
        checks.push(DEPLOY.program(workspace, "cfn-lint").with([template]));
    }
    let mut counts = Counts::default();
    for command in &mut checks {
        let good = succeeds(without_an_account(command))?;
        counts = counts.and(Counts::one(good));
    }
    let expanded = output(without_an_account(
        &mut DEPLOY.script(workspace, "expand_template.py").with([TEMPLATE]),
    ));
    Ok(counts.and(Counts::one(expanded.is_ok_and(|json| is_plain(&json)))))
}

/// Whether nothing of SAM is left in an expanded template.
fn is_plain(json: &[u8]) -> bool {
    let template: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    let resources = template["Resources"].as_object();
    template.get("Transform").is_none()
        && resources.is_some_and(|all| {
            let mut kinds = all
                .values()
                .map(|resource| resource["Type"].as_str().unwrap_or_default());
            !all.is_empty() && kinds.all(|kind| kind.starts_with("AWS::") && !kind.starts_with("AWS::Serverless::"))
        })
}

/// Keeps a tool from looking for an account, from reporting its use, and from what this machine is configured for.
pub(super) fn without_an_account(command: &mut Command) -> &mut Command {
    command
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "none")
        .env("AWS_SECRET_ACCESS_KEY", "none")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("SAM_CLI_TELEMETRY", "0")
        .env_remove("AWS_PROFILE")
}

/// The files of a kind in a folder, in order, as paths from the root.
fn files(workspace: &Workspace, folder: &str, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let path = workspace.root().join(folder);
    let failed = |source| Error::Read {
        path: path.clone(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(&path).map_err(failed)? {
        let name = PathBuf::from(entry.map_err(failed)?.file_name());
        if name.extension().is_some_and(|its| its == extension) {
            found.push(Path::new(folder).join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// A command with its words.
trait With {
    fn with<W: AsRef<std::ffi::OsStr>>(self, words: impl IntoIterator<Item = W>) -> Self;
}

impl With for Command {
    fn with<W: AsRef<std::ffi::OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.args(words);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expansion_that_left_something_of_sam_is_none() {
        assert!(is_plain(br#"{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}"#));
        for bad in [
            r#"{"Resources": {"Function": {"Type": "AWS::Serverless::Function"}}}"#,
            r#"{"Transform": "AWS::Serverless-2016-10-31", "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}"#,
            r#"{"Resources": {}}"#,
            "",
        ] {
            assert!(!is_plain(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn every_template_and_task_definition_is_found() {
        let workspace = Workspace::find();
        let templates = files(&workspace, "deploy", "yaml").expect("deploy");
        assert!(templates.contains(&PathBuf::from(TEMPLATE)), "{templates:?}");
        assert_eq!(files(&workspace, "deploy/taskdef", "json").expect("taskdef").len(), 2);
    }
}
