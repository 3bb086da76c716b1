//! What an examination gives, as plain data: how it is shown is the entry point's business.

use serde::Serialize;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    Ok,
    /// It works, or may work; somebody should know.
    Warning,
    /// It will not work.
    Failed,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A service's name; `account` of the AWS account and who asks, `wharf` of what all services share.
    pub subject: String,
    /// What was looked at, with the AWS resource's name.
    pub what: String,
    pub grade: Grade,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The questions that come before a start on ECS, answered from configuration and account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answers {
    pub service: String,
    pub launch_type: String,
    pub network_mode: String,
    pub target_type: String,
    pub event_source: String,
    pub scaling: String,
    pub existing_resources: String,
}

impl Answers {
    /// Each question in a word or two, and its answer.
    #[must_use]
    pub fn questions(&self) -> [(&'static str, &str); 6] {
        [
            ("launch type", &self.launch_type),
            ("network mode", &self.network_mode),
            ("target type", &self.target_type),
            ("event source", &self.event_source),
            ("scaling", &self.scaling),
            ("existing resources", &self.existing_resources),
        ]
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// Those of one subject stand together.
    pub findings: Vec<Finding>,
    pub answers: Vec<Answers>,
}

impl Examination {
    /// How the worst of it is.
    #[must_use]
    pub fn grade(&self) -> Grade {
        let grades = self.findings.iter().map(|finding| finding.grade);
        grades.max().unwrap_or(Grade::Ok)
    }
}

/// Findings on one subject, as they are written down.
#[derive(Debug)]
pub(super) struct Notes {
    subject: String,
    findings: Vec<Finding>,
}

impl Notes {
    pub(super) fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            findings: Vec::new(),
        }
    }

    pub(super) fn ok(&mut self, what: impl Into<String>, found: impl Into<String>) {
        self.note(what.into(), Grade::Ok, found.into(), None);
    }

    pub(super) fn warn(&mut self, what: impl Into<String>, found: impl Into<String>, hint: impl Into<String>) {
        self.note(what.into(), Grade::Warning, found.into(), Some(hint.into()));
    }

    pub(super) fn fail(&mut self, what: impl Into<String>, found: impl Into<String>, hint: impl Into<String>) {
        self.note(what.into(), Grade::Failed, found.into(), Some(hint.into()));
    }

    pub(super) fn note(&mut self, what: String, grade: Grade, found: String, hint: Option<String>) {
        self.findings.push(Finding {
            subject: self.subject.clone(),
            what,
            grade,
            found: Some(found).filter(|found| !found.is_empty()),
            hint: hint.filter(|hint| !hint.is_empty()),
        });
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}
