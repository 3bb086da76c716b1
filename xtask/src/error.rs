//! What can go wrong with a task itself. That a check found something is no error: it is a result, and stands in the table.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot start {program}")]
    Start { program: String, source: io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot follow the output of {program}")]
    Follow { program: String, source: io::Error },
    #[error("{command} failed")]
    Failed { command: String },
    #[error("cannot read what cargo metadata says")]
    Metadata(#[source] serde_json::Error),
}

impl Error {
    /// The error and what is behind it, in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}
