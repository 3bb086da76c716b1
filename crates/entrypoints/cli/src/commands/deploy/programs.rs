//! Other people's programs that deploying takes: where they are, how they are run, and what it means when they fail. Their talk goes to standard
//! error, so that standard output has one value.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use wharf_domain::{Code, Failure};

/// A program, and how a person gets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    way: &'static str,
}

pub(super) const SAM: Program = Program {
    name: "sam",
    way: "pip install aws-sam-cli (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/install-sam-cli.html)",
};
pub(super) const CARGO_LAMBDA: Program = Program {
    name: "cargo-lambda",
    way: "pip install cargo-lambda (https://www.cargo-lambda.info), or give a function that is built with --bootstrap FILE",
};

impl Program {
    /// Where it is, by `PATH`.
    pub(super) fn find(self) -> Result<PathBuf, Failure> {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .map(|folder| folder.join(self.name))
            .find(|file| is_program(file))
            .ok_or_else(|| {
                Failure::new(
                    Code::DeployFailed,
                    format!("{} is in none of the folders of PATH", self.name),
                )
                .hint(format!("install it: {}", self.way))
            })
    }

    /// Runs it to its end, in a folder, with what it says on our standard error.
    pub(super) fn run(self, words: &[String], folder: &Path) -> Result<(), Failure> {
        let mut command = self.command(words, folder)?;
        let status = command.stdout(io::stderr()).status();
        let status = status.map_err(|error| self.failed(words, &error.to_string()))?;
        if status.success() {
            Ok(())
        } else {
            Err(self.failed(words, &format!("it ended with {status}")))
        }
    }

    /// Runs it to its end, and gives what it printed.
    pub(super) fn read(self, words: &[String], folder: &Path) -> Result<Vec<u8>, Failure> {
        let mut command = self.command(words, folder)?;
        let output = command.stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| self.failed(words, &error.to_string()))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(self.failed(words, &format!("it ended with {}", output.status)))
        }
    }

    fn command(self, words: &[String], folder: &Path) -> Result<Command, Failure> {
        let mut command = Command::new(self.find()?);
        command.args(words).current_dir(folder).stdin(Stdio::null());
        command.env(
            "SAM_CLI_TELEMETRY",
            env::var_os("SAM_CLI_TELEMETRY").unwrap_or_else(|| "0".into()),
        );
        Ok(command)
    }

    fn failed(self, words: &[String], why: &str) -> Failure {
        let what: Vec<_> = words
            .iter()
            .take_while(|word| !word.starts_with('-'))
            .cloned()
            .collect();
        Failure::new(
            Code::DeployFailed,
            format!("`{} {}` failed: {why}", self.name, what.join(" ")),
        )
        .hint("its own words stand above; what was rendered stays where it is, and the same command tries again")
    }
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// What a program was built for, by the head of its ELF file.
pub(super) fn architecture_of(file: &Path) -> io::Result<Option<&'static str>> {
    const MACHINE: usize = 18;
    let mut head = [0; 20];
    let mut open = fs::File::open(file)?;
    if open.read_exact(&mut head).is_err() || !head.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    Ok(match u16::from_le_bytes([head[MACHINE], head[MACHINE + 1]]) {
        0x3e => Some("x86_64"),
        0xb7 => Some("arm64"),
        _ => None,
    })
}

/// A command as a person would type it.
pub(super) fn shown<W: AsRef<OsStr>>(program: &str, words: impl IntoIterator<Item = W>) -> String {
    let mut line = program.to_owned();
    for word in words {
        let word = word.as_ref().to_string_lossy();
        let is_plain = !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c));
        line.push(' ');
        if is_plain {
            line.push_str(&word);
        } else {
            line.extend(["'", &word.replace('\'', r"'\''"), "'"]);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted() {
        assert_eq!(shown("sam", ["a=b", "c d", "it's"]), r"sam a=b 'c d' 'it'\''s'");
    }

    #[test]
    fn a_program_says_what_it_was_built_for() {
        let own = std::env::current_exe().expect("this test");
        let expected = if cfg!(target_arch = "x86_64") {
            "x86_64"
        } else {
            "arm64"
        };
        assert_eq!(architecture_of(&own).expect("readable"), Some(expected));
        let script = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(architecture_of(script.path()).expect("readable"), None);
    }
}
