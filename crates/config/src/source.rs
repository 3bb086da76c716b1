//! Where a value came from, or where a problem stands. What may be done about it is said elsewhere.

use serde::Serialize;
use std::fmt;

/// The origin of a value, in rising order of rank within one start of Wharf: default, built in, file, environment, flag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Source {
    /// Nothing said anything, so the default holds.
    Default,
    /// The text of the built-in service.
    BuiltIn,
    /// A place in the configuration file; line and column count from 1, columns in characters.
    File { file: String, line: usize, column: usize },
    /// A variable of the environment.
    Environment { variable: String },
    /// An option of the command line.
    Flag { flag: String },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::BuiltIn => f.write_str("built in"),
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::Flag { flag } => write!(f, "{flag}"),
        }
    }
}
