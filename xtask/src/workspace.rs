//! The workspace that the tasks work on: where it is, and how a program is run in it.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::error::Error;

/// Where the tools are put that are missing on `PATH`, below the root.
const TOOLS: &str = "target/tools";
/// What `cargo run` tells this program of itself. Handed on, it would make some build scripts run again.
const OF_THIS_PACKAGE: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

pub(crate) struct Workspace {
    root: PathBuf,
    /// The caller's search path, and after it the tools of our own.
    path: OsString,
}

impl Workspace {
    pub(crate) fn find() -> Self {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest).parent().unwrap_or(Path::new(".")).to_owned();
        let mut folders: Vec<PathBuf> =
            env::var_os("PATH").map_or_else(Vec::new, |path| env::split_paths(&path).collect());
        folders.push(root.join(TOOLS).join("bin"));
        let path = env::join_paths(folders).unwrap_or_else(|_| env::var_os("PATH").unwrap_or_default());
        Self { root, path }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join(TOOLS)
    }

    /// Whether a program of this name would be found.
    pub(crate) fn has_program(&self, name: &str) -> bool {
        env::split_paths(&self.path).any(|folder| is_executable(&folder.join(name)))
    }

    /// A program, run from the root.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.current_dir(&self.root).env("PATH", &self.path);
        for (key, _) in env::vars_os() {
            if let Some(text) = key.to_str()
                && OF_THIS_PACKAGE.iter().any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(text);
            }
        }
        command
    }

    /// The cargo that runs this program, with words of its command line.
    pub(crate) fn cargo(&self, words: &[&str]) -> Command {
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut command = self.program(&cargo);
        command.args(words);
        command
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    fs::metadata(path.with_extension(env::consts::EXE_EXTENSION)).is_ok_and(|found| found.is_file())
}

/// Runs a command that writes to our own terminal. Gives whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool, Error> {
    announce(command);
    let status = command.status().map_err(|source| Error::Start {
        program: program_of(command),
        source,
    })?;
    Ok(status.success())
}

/// As [`succeeds`], without a word: for asking whether something is there.
pub(crate) fn succeeds_silently(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command, passes its standard output on line by line, and hands each line to `each`. Gives whether it succeeded.
pub(crate) fn follow(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool, Error> {
    announce(command);
    let program = program_of(command);
    let failed = |source| Error::Follow {
        program: program.clone(),
        source,
    };
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|source| Error::Start {
        program: program.clone(),
        source,
    })?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.map_err(failed)?;
            each(&line);
            // A reader who left does not change what the tests find.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }
    Ok(child.wait().map_err(failed)?.success())
}

/// What a command prints to standard output; its failure is an error.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, Error> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start {
            program: program_of(command),
            source,
        })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Error::Failed {
            command: words_of(command),
        })
    }
}

fn announce(command: &Command) {
    eprintln!("$ {}", words_of(command));
}

fn program_of(command: &Command) -> String {
    Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned()
}

fn words_of(command: &Command) -> String {
    let mut text = program_of(command);
    for word in command.get_args() {
        text.push(' ');
        text.push_str(&word.to_string_lossy());
    }
    text
}

pub(crate) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}
