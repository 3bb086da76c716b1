//! `repair`: the differences between registry and world, the plan, and what became of it.

use serde::{Deserialize, Serialize};
use serde_json::json;
use std::process::ExitCode;
use wharf_domain::Failure;
use wharf_provisioning::repair::{Class, Finding, Mended, Outcome};

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
    let asked = json!({"apply": options.apply, "remove_unknown": options.remove_unknown});
    let answer: Answer = Client::find(global)?.post("/repair", &asked).await?;
    output::value(&answer, global.format(), |answer| render(answer, options.apply));
    Ok(if remains(&answer) {
        ExitCode::from(exit::DIFFERENCES)
    } else {
        ExitCode::SUCCESS
    })
}

/// Whether anything that was found is still so, as far as can be told: what was not mended now, and what could not be.
fn remains(answer: &Answer) -> bool {
    let is_mended = |finding: &Finding| {
        let came_to = answer
            .mended
            .iter()
            .find(|mended| Some(&mended.mend) == finding.mend.as_ref());
        came_to.is_some_and(|mended| mended.outcome != Outcome::Failed)
    };
    !answer.findings.iter().all(is_mended)
}

fn render(answer: &Answer, applied: bool) -> String {
    if answer.findings.is_empty() {
        return "registry and world agree".to_owned();
    }
    let mut lines: Vec<String> = answer.findings.iter().flat_map(found).collect();
    lines.push(String::new());
    lines.extend(answer.mended.iter().map(|mended| match mended.outcome {
        Outcome::Done => format!("done: {}", mended.text),
        Outcome::PassedOver => format!("passed over: {}: {}", mended.mend, mended.text),
        Outcome::Failed => format!("not done: {}: {}", mended.mend, mended.text),
    }));
    let of = |class| {
        answer
            .findings
            .iter()
            .filter(|finding| finding.class == Some(class))
            .count()
    };
    let unknown = of(Class::Unknown);
    if !applied && of(Class::Safe) + of(Class::Asked) > 0 {
        lines.push("nothing was changed; `wharf repair --apply` does it".to_owned());
    }
    let came_to_unknown = answer.mended.len() > of(Class::Safe) + of(Class::Asked);
    if unknown > 0 && !came_to_unknown {
        lines.push(
            "what the registry does not know is removed only by `wharf repair --apply --remove-unknown`: \
             first be sure that this is the right registry"
                .to_owned(),
        );
    }
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.join("\n")
}

fn found(finding: &Finding) -> Vec<String> {
    let mut lines = vec![format!("- {}", finding.what)];
    lines.extend(finding.cause.iter().map(|cause| format!("  because {cause}")));
    lines.extend(finding.mend.iter().map(|mend| format!("  mend: {mend}")));
    lines.extend(finding.hint.iter().map(|hint| format!("  for you: {hint}")));
    lines
}
