//! `repair`: the differences between registry and world, the plan, and what became of it.

use serde::{Deserialize, Serialize};
use serde_json::json;
use std::process::ExitCode;
use wharf_domain::Failure;
use wharf_provisioning::repair::{Finding, Mended};

use crate::{
    args::{Global, Repair},
    client::Client,
    exit, output,
};

#[derive(Serialize, Deserialize)]
struct Answer {
    findings: Vec<Finding>,
    #[serde(default)]
    mended: Vec<Mended>,
}

pub(crate) async fn run(global: &Global, options: &Repair) -> Result<ExitCode, Failure> {
    let answer: Answer = Client::find(global)?
        .post("/repair", &json!({"apply": options.apply}))
        .await?;
    output::value(&answer, global.format(), |answer| render(answer, options.apply));
    let left = if options.apply {
        answer.mended.iter().any(|mended| mended.error.is_some())
            || answer.findings.iter().any(|finding| finding.mend.is_none())
    } else {
        !answer.findings.is_empty()
    };
    Ok(if left {
        ExitCode::from(exit::DIFFERENCES)
    } else {
        ExitCode::SUCCESS
    })
}

fn render(answer: &Answer, applied: bool) -> String {
    if answer.findings.is_empty() {
        return "registry and world agree".to_owned();
    }
    let mut lines = Vec::new();
    for finding in &answer.findings {
        lines.push(format!("- {}", finding.what));
        match (&finding.mend, &finding.hint) {
            (Some(mend), _) => lines.push(format!("  {mend}")),
            (None, Some(hint)) => lines.push(format!("  for you: {hint}")),
            (None, None) => {}
        }
    }
    if applied {
        lines.push(String::new());
        for mended in &answer.mended {
            lines.push(match &mended.error {
                None => format!("done: {}", mended.mend),
                Some(error) => format!("not done: {}: {error}", mended.mend),
            });
        }
    } else if answer.findings.iter().any(|finding| finding.mend.is_some()) {
        lines.push(String::new());
        lines.push("nothing was changed; `wharf repair --apply` does it".to_owned());
    }
    lines.join("\n")
}
