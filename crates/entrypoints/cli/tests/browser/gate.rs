//! A storefront that starts when it is let: what passes in milliseconds can be looked at as long as one likes.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// A pipe, whose readers wait until somebody has it open for writing.
pub(crate) struct Gate {
    pipe: PathBuf,
    writer: Option<File>,
}

impl Gate {
    /// One that is shut.
    pub(crate) fn shut_in(folder: &Path) -> Self {
        let pipe = fs::canonicalize(folder).expect("a folder").join("gate");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        Self { pipe, writer: None }
    }

    /// Lets through who waits, and who comes.
    pub(crate) fn open(&mut self) {
        // For reading too: a writer alone would wait for a reader.
        let writer = File::options().read(true).write(true).open(&self.pipe);
        self.writer = Some(writer.expect("a pipe"));
    }

    /// Lets nobody through any more.
    pub(crate) fn shut(&mut self) {
        self.writer = None;
    }

    /// The bundled storefront behind the gate, as a section of a configuration.
    pub(crate) fn storefront(&self) -> String {
        let script = format!(": < {}; exec \"$0\" storefront", json!(self.pipe));
        let command = json!(["/bin/sh", "-c", script, env!("CARGO_BIN_EXE_wharf")]);
        format!(
            "[services.storefront]\n\
             tenant = true\n\
             database = true\n\
             health = {{ path = \"/healthz\" }}\n\
             identity_header = \"x-wharf-instance\"\n\
             process = {{ command = {command} }}\n"
        )
    }
}
