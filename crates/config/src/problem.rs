//! What is wrong with a configuration: every problem at once, each with its key, its place and how to mend it.
//!
//! Nothing here decides what is wrong; see `resolve` (a value by itself) and `rules` (values against each other).

use serde::Serialize;
use std::fmt;
use wharf_domain::{Code, Failure};

use crate::Source;

/// So many are reported; somebody who has more has one reason for them.
const PROBLEMS_MAX: usize = 100;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The setting, `services.auth.port.range`; empty where the text is not TOML.
    pub key: String,
    /// Where the wrong value stands. `Default` where the problem is one of several values, or of the machine.
    #[serde(flatten)]
    pub source: Source,
    /// A lower-case fragment: what is wrong.
    pub message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The failure that this alone would be.
    pub code: Code,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !matches!(self.source, Source::Default | Source::BuiltIn) {
            write!(f, "{}: ", self.source)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// All that is wrong, in the order of the file, then what comes from elsewhere. `Display` gives each a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Problems {
    problems: Vec<Problem>,
    /// How many more there are than are listed.
    left_out: usize,
}

impl Problems {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.problems.iter()
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        if self.problems.len() == PROBLEMS_MAX {
            self.left_out += 1;
        } else if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(crate) fn sorted(mut self) -> Self {
        let place = |problem: &Problem| match &problem.source {
            Source::File { line, column, .. } => (0, *line, *column),
            Source::Environment { .. } => (1, 0, 0),
            Source::Flag { .. } => (2, 0, 0),
            Source::Default | Source::BuiltIn => (3, 0, 0),
        };
        self.problems.sort_by_key(place);
        self
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        if self.left_out > 0 {
            write!(f, "\nand {} more", self.left_out)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let first = problems
            .problems
            .first()
            .map_or(Code::ConfigInvalid, |problem| problem.code);
        let code = if problems.iter().all(|problem| problem.code == first) {
            first
        } else {
            Code::ConfigInvalid
        };
        match problems.problems.as_slice() {
            [only] => {
                let failure = Self::new(
                    code,
                    Problem {
                        hint: None,
                        ..only.clone()
                    }
                    .to_string(),
                );
                match &only.hint {
                    Some(hint) => failure.hint(hint.clone()),
                    None => failure,
                }
            }
            several => {
                let count = several.len() + problems.left_out;
                Self::new(code, format!("the configuration has {count} problems:\n{problems}"))
                    .hint("mend them, and look again with `wharf config check`")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(key: &str, line: usize) -> Problem {
        let source = Source::File {
            file: "wharf.toml".into(),
            line,
            column: 5,
        };
        Problem {
            key: key.into(),
            source,
            message: "unknown key".into(),
            hint: None,
            code: Code::ConfigInvalid,
        }
    }

    #[test]
    fn a_problem_names_place_key_and_remedy_in_one_line() {
        let problem = Problem {
            hint: Some("did you mean \"port\"?".into()),
            ..problem("services.auth.prot", 12)
        };
        assert_eq!(
            problem.to_string(),
            "wharf.toml:12:5: services.auth.prot: unknown key; did you mean \"port\"?"
        );
    }

    #[test]
    fn problems_are_in_the_order_of_the_file_and_bounded() {
        let mut problems = Problems::default();
        for line in (1..=PROBLEMS_MAX + 7).rev() {
            problems.push(problem("a", line));
        }
        let text = problems.sorted().to_string();
        assert!(text.starts_with("wharf.toml:8:5"), "{text}");
        assert!(text.ends_with("and 7 more"), "{text}");
    }

    #[test]
    fn one_problem_is_a_failure_with_its_own_code_and_hint() {
        let mut problems = Problems::default();
        problems.push(Problem {
            code: Code::ListenRefused,
            hint: Some("listen on loopback".into()),
            ..problem("server.listen", 2)
        });
        let failure = Failure::from(problems.clone());
        assert_eq!(
            (failure.code, failure.hint.as_deref()),
            (Code::ListenRefused, Some("listen on loopback"))
        );
        problems.push(problem("server.lisen", 3));
        let failure = Failure::from(problems);
        assert_eq!(failure.code, Code::ConfigInvalid);
        assert!(
            failure.message.contains("2 problems") && failure.message.contains("server.lisen"),
            "{}",
            failure.message
        );
    }
}
