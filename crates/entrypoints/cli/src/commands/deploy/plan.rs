//! What a deployment will do, and what it did: one value, as text or as JSON. Nothing is done here.

use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf};
use wharf_domain::Failure;

use super::parameters::Set;
use crate::output;

/// After it come all parameters.
pub(super) const OVERRIDES: &str = "--parameter-overrides";

/// A deployment, before and after.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    pub(super) stack: String,
    pub(super) stage: String,
    pub(super) architecture: &'static str,
    /// As far as the credentials say so.
    pub(super) account: Option<String>,
    pub(super) identity: Option<String>,
    pub(super) region: Option<String>,
    /// In place of AWS's own, where an emulator is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<String>,
    pub(super) configuration: Option<PathBuf>,
    pub(super) services: Vec<String>,
    /// Where everything is rendered.
    pub(super) folder: PathBuf,
    pub(super) parameters: Vec<Set>,
    pub(super) notes: Vec<String>,
    /// What keeps it from being applied.
    pub(super) obstacles: Vec<Failure>,
    /// What is run, in this order.
    pub(super) commands: Vec<String>,
    pub(super) done: Done,
    /// What the stack gives out.
    pub(super) outputs: BTreeMap<String, String>,
}

/// How far it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Done {
    Nothing,
    Rendered,
    Applied,
}

impl Plan {
    pub(super) fn text(&self) -> String {
        let mut parts = vec![self.head()];
        let rows: Vec<_> = self
            .parameters
            .iter()
            .map(|set| vec![set.name.clone(), set.value.clone(), set.from.clone()])
            .collect();
        parts.push(output::table(&["PARAMETER", "VALUE", "FROM"], &rows));
        if !self.notes.is_empty() {
            parts.push(lines(self.notes.iter().map(|note| format!("note: {note}"))));
        }
        match self.done {
            Done::Applied => parts.push(self.applied()),
            Done::Nothing | Done::Rendered => parts.push(self.planned()),
        }
        parts.join("\n\n")
    }

    fn head(&self) -> String {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "not known".to_owned());
        let configuration = match &self.configuration {
            Some(path) => path.display().to_string(),
            None => "none".to_owned(),
        };
        let mut rows = vec![
            ("stack", format!("{}, stage {}", self.stack, self.stage)),
            ("account", known(&self.account)),
            ("as", known(&self.identity)),
            ("region", known(&self.region)),
        ];
        if let Some(endpoint) = &self.endpoint {
            rows.push(("endpoint", format!("{endpoint}, which is not AWS")));
        }
        rows.push(("function", format!("for {}", self.architecture)));
        rows.push((
            "configuration",
            format!("{configuration}; services: {}", self.services.join(", ")),
        ));
        rows.push(("folder", self.folder.display().to_string()));
        lines(rows.into_iter().map(|(name, value)| format!("{name:<14} {value}")))
    }

    fn planned(&self) -> String {
        let mut parts = Vec::new();
        for obstacle in &self.obstacles {
            parts.push(format!("BAD  {}", obstacle.message));
            parts.extend(obstacle.hint.iter().map(|hint| format!("     hint: {hint}")));
        }
        if !self.obstacles.is_empty() {
            parts.push(String::new());
        }
        parts.push(match self.done {
            Done::Rendered => "the folder is written; these are left to run:".to_owned(),
            _ => "to run:".to_owned(),
        });
        parts.extend(self.commands.iter().map(|command| match command.split_once(OVERRIDES) {
            // As they stand above; whoever runs it by hand gets them in full.
            Some((command, _)) if self.done == Done::Nothing => format!("  {command}{OVERRIDES} …"),
            _ => format!("  {command}"),
        }));
        parts.push(String::new());
        parts.push(match self.done {
            Done::Rendered => "nothing was deployed; --apply does it".to_owned(),
            _ => "nothing was done; --apply does it".to_owned(),
        });
        parts.join("\n")
    }

    fn applied(&self) -> String {
        let rows: Vec<_> = self
            .outputs
            .iter()
            .map(|(name, value)| vec![name.clone(), value.clone()])
            .collect();
        let token = format!(
            "the operators' token: aws secretsmanager get-secret-value --secret-id wharf/{}/admin-token --query SecretString --output text",
            self.stage
        );
        [
            format!("{} is deployed", self.stack),
            output::table(&["OUTPUT", "VALUE"], &rows),
            token,
        ]
        .join("\n\n")
    }
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}
