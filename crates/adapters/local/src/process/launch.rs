//! From a task's specification to what the system is asked to start: which program, with which arguments, environment and folder.
//!
//! What must not be here: starting it. Everything that can be wrong with a command is found here, before anything has happened.

use rustix::process::Rlimit;
use secrecy::ExposeSecret;
use std::{
    collections::BTreeMap,
    env,
    ffi::{CString, OsStr, OsString},
    fs, io,
    os::{fd::BorrowedFd, unix::ffi::OsStringExt},
    path::{Path, PathBuf},
};
use wharf_domain::{Code, Failure, service::RunSpec};
use wharf_platform::TaskSpec;

use super::marker;

/// The command that means this program.
const OWN_NAME: &str = "wharf";
/// What a task's `PATH` is where Wharf has none.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What is to run, each text ended by its zero. It holds secrets, and is dropped as soon as the program runs.
pub(super) struct Launch {
    pub(super) program: CString,
    pub(super) arguments: Vec<CString>,
    pub(super) environment: Vec<CString>,
    pub(super) directory: CString,
}

/// What a program finds beside what it was given.
pub(super) struct Surroundings<'a> {
    pub(super) input: BorrowedFd<'a>,
    /// Standard output and standard error.
    pub(super) output: BorrowedFd<'a>,
    /// Wharf raises its own limit of open files; a program that was not written for that (one that uses `select`) gets
    /// what it expects.
    pub(super) open_files: Rlimit,
}

/// Where a start failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No process was made: there is no room for one.
    Clone,
    Prepare,
    Directory,
    Exec,
}

/// Where commands and folders are looked for, and what every task is given.
#[derive(Debug)]
pub(super) struct Places {
    /// The folder of `wharf.toml`: what relative paths in it are relative to.
    base: PathBuf,
    /// What `wharf` means as a command.
    own_program: PathBuf,
    /// Where commands without a slash are looked for.
    search: OsString,
    /// Of Wharf's own environment only what a program cannot well do without.
    passed_on: BTreeMap<&'static str, OsString>,
}

fn command_failure(message: impl Into<String>) -> Failure {
    Failure::new(Code::TaskCommand, message)
}

/// A file that this user may execute.
fn executable(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(rustix::fs::access(path, rustix::fs::Access::EXEC_OK)?)
}

/// Finds what is wrong with a service's command without starting it: for whoever looks before there is anything to start with.
pub fn check_command(run: &RunSpec, base: PathBuf, own_program: PathBuf) -> Result<(), Failure> {
    Places::new(base, own_program).check(run)
}

impl Places {
    pub(super) fn new(base: PathBuf, own_program: PathBuf) -> Self {
        let search = env::var_os("PATH")
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| DEFAULT_PATH.into());
        let mut passed_on: BTreeMap<_, _> = ["LANG", "TMPDIR"]
            .into_iter()
            .filter_map(|name| Some((name, env::var_os(name)?)))
            .collect();
        passed_on.entry("LANG").or_insert_with(|| "C.UTF-8".into());
        passed_on.insert("PATH", search.clone());
        Self {
            base,
            own_program,
            search,
            passed_on,
        }
    }

    /// Finds what is wrong with a command without starting it.
    pub(super) fn check(&self, run: &RunSpec) -> Result<(), Failure> {
        let RunSpec::Process { command, directory, .. } = run else {
            return Err(not_a_process());
        };
        self.program(command)?;
        if let Some(directory) = directory {
            let path = self.base.join(directory);
            if !path.is_dir() {
                return Err(
                    command_failure(format!("the folder {} to run in is not there", path.display())).hint(
                        "make it, or correct `directory` of the service; it is relative to the folder of wharf.toml",
                    ),
                );
            }
        }
        Ok(())
    }

    fn program(&self, command: &[String]) -> Result<PathBuf, Failure> {
        let Some(name) = command.first().filter(|name| !name.is_empty()) else {
            return Err(command_failure("the service has no command")
                .hint("say what to run, for example process = { command = [\"./server\", \"--port\", \"{port}\"] }"));
        };
        if name == OWN_NAME {
            return Self::at(name, self.own_program.clone());
        }
        if name.contains('/') {
            return Self::at(name, self.base.join(name));
        }
        // As `execvp` does: the first that can be executed.
        env::split_paths(&self.search)
            .map(|folder| self.base.join(folder).join(name))
            .find(|path| executable(path).is_ok())
            .ok_or_else(|| {
                command_failure(format!(
                    "the command {name:?} is in none of the folders of PATH ({})",
                    self.search.display()
                ))
                .hint(
                    "install it, or name it with its path; a path with a slash is relative to the folder of wharf.toml",
                )
            })
    }

    fn at(name: &str, path: PathBuf) -> Result<PathBuf, Failure> {
        match executable(&path) {
            Ok(()) => Ok(path),
            Err(error) => {
                let hint = match error.kind() {
                    io::ErrorKind::NotFound => {
                        "build or install it there, or correct `command` of the service; a path with a slash is relative to the folder of wharf.toml"
                    }
                    io::ErrorKind::PermissionDenied => "make it executable (chmod +x)",
                    _ => "correct `command` of the service",
                };
                let place = if Path::new(name) == path {
                    String::new()
                } else {
                    format!(" (it would be {})", path.display())
                };
                Err(command_failure(format!("the command {name:?} cannot be run{place}: {error}")).hint(hint))
            }
        }
    }

    /// What to start for a task. `home` is its own folder, where it runs unless its service says otherwise.
    pub(super) fn launch(&self, spec: &TaskSpec, home: &Path) -> Result<Launch, Failure> {
        let RunSpec::Process { command, directory, .. } = &spec.run else {
            return Err(not_a_process());
        };
        let program = self.program(command)?;
        let directory = directory
            .as_ref()
            .map_or_else(|| home.to_owned(), |given| self.base.join(given));
        Ok(Launch {
            program: zero_ended(program.into_os_string().into_vec(), "the command's path")?,
            arguments: command
                .iter()
                .map(|argument| zero_ended(argument.clone().into_bytes(), "an argument of the command"))
                .collect::<Result<_, _>>()?,
            environment: self.environment(spec, home)?,
            directory: zero_ended(directory.into_os_string().into_vec(), "the folder to run in")?,
        })
    }

    /// The service may set anything of its own, and replace what it would be given, but not what it is known by.
    fn environment(&self, spec: &TaskSpec, home: &Path) -> Result<Vec<CString>, Failure> {
        let owner = &spec.owner;
        let mut own = BTreeMap::from([
            (marker::DEPLOYMENT, owner.deployment.as_str().to_owned()),
            (marker::INSTANCE, owner.instance.to_string()),
            (marker::ATTEMPT, owner.attempt.to_string()),
        ]);
        own.extend(spec.port.map(|port| ("PORT", port.to_string())));

        // Wharf's own first: a reader of /proc/<pid>/environ has them in its first bytes.
        let mut variables: Vec<CString> = Vec::new();
        for (name, value) in &own {
            variables.push(variable(name, OsStr::new(value))?);
        }
        for (name, value) in &spec.environment {
            if name.is_empty() || name.contains('=') {
                return Err(command_failure(format!(
                    "{name:?} cannot be the name of an environment variable"
                )));
            }
            if !own.contains_key(name.as_str()) {
                variables.push(variable(name, OsStr::new(value.expose_secret()))?);
            }
        }
        let home = ("HOME", home.as_os_str());
        let passed_on = self.passed_on.iter().map(|(name, value)| (*name, value.as_os_str()));
        for (name, value) in passed_on.chain([home]) {
            if !spec.environment.contains_key(name) {
                variables.push(variable(name, value)?);
            }
        }
        Ok(variables)
    }
}

fn variable(name: &str, value: &OsStr) -> Result<CString, Failure> {
    let bytes = [name.as_bytes(), b"=", value.as_encoded_bytes()].concat();
    zero_ended(bytes, &format!("the environment variable {name}"))
}

/// The text itself is not repeated in the failure: it may be a secret.
fn zero_ended(bytes: Vec<u8>, what: &str) -> Result<CString, Failure> {
    CString::new(bytes).map_err(|_| {
        command_failure(format!("{what} holds a zero character"))
            .hint("the system ends texts with that character, so that no program can be given one")
    })
}

/// A failed start in words.
pub(super) fn start_failure(launch: &Launch, stage: Stage, error: &io::Error) -> Failure {
    let path = |text: &CString| text.to_string_lossy().into_owned();
    match stage {
        Stage::Clone | Stage::Prepare => Failure::new(
            Code::TaskLost,
            format!("the machine has no room for another process: {error}"),
        )
        .hint("look at the limits of processes and memory (ulimit -u, cgroups), or run fewer instances"),
        Stage::Directory => command_failure(format!(
            "the task's folder {} cannot be entered: {error}",
            path(&launch.directory)
        )),
        Stage::Exec => {
            let failure = command_failure(format!("{} cannot be run: {error}", path(&launch.program)));
            match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
                Some(rustix::io::Errno::NOEXEC) => {
                    failure.hint("a script needs a first line that says what runs it, for example #!/bin/sh; a program has to be built for this machine")
                }
                // The file itself was there when it was looked for: what is not is what its first line names, or its loader.
                Some(rustix::io::Errno::NOENT) => {
                    failure.hint("what its first line (#!) names is not there, or it was linked for another system")
                }
                _ => failure,
            }
        }
    }
}

fn not_a_process() -> Failure {
    command_failure("the instance was claimed for another platform".to_owned())
        .hint("bring it back on the platform that it was made on, or delete it and sign up again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;
    use std::os::unix::fs::PermissionsExt;
    use wharf_domain::{Attempt, DeploymentId, InstanceId, Timestamp};
    use wharf_platform::Owner;

    fn run(command: &[&str]) -> RunSpec {
        RunSpec::Process {
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            memory: None,
            directory: None,
        }
    }

    fn spec(environment: &[(&str, &str)]) -> TaskSpec {
        TaskSpec {
            owner: Owner {
                deployment: DeploymentId::new([1; 10]),
                instance: InstanceId::new(Timestamp(1), [2; 10]),
                attempt: Attempt(3),
            },
            service: "shop".parse().unwrap(),
            run: run(&["sh"]),
            port: Some(4000),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)))
                .collect(),
            public: false,
            intended_at: Timestamp(1),
        }
    }

    fn places(base: &Path) -> Places {
        Places::new(base.to_owned(), "/bin/sh".into())
    }

    #[test]
    fn a_command_is_found_as_wharf_as_a_path_or_in_the_search_path() {
        let base = tempfile::tempdir().unwrap();
        let script = base.path().join("serve");
        fs::write(&script, "").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let places = places(base.path());
        let program = |name: &str| places.program(&[name.to_owned()]).unwrap();
        assert_eq!(program("wharf"), Path::new("/bin/sh"));
        assert_eq!(program("./serve"), base.path().join("./serve"));
        assert_eq!(program("/bin/sh"), Path::new("/bin/sh"));
        assert!(program("sh").is_absolute());
    }

    #[test]
    fn what_is_wrong_with_a_command_is_said_with_the_path_that_was_looked_at() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("data"), "").unwrap();
        let places = places(base.path());
        let cases: [(&[&str], &str, &str); 6] = [
            (&[], "no command", "say what to run"),
            (&[""], "no command", "say what to run"),
            (&["./missing"], "missing): No such file", "build or install it"),
            (&["./data"], "data): Permission denied", "chmod +x"),
            (&["/"], "cannot be run: ", "correct"),
            (
                &["no-such-command-here"],
                "is in none of the folders of PATH",
                "install it",
            ),
        ];
        for (command, message, hint) in cases {
            let failure = places.check(&run(command)).unwrap_err();
            assert_eq!(failure.code, Code::TaskCommand);
            assert!(failure.message.contains(message), "{}", failure.message);
            assert!(
                failure.hint.as_deref().unwrap_or_default().contains(hint),
                "{:?}",
                failure.hint
            );
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_found_before_the_start() {
        let base = tempfile::tempdir().unwrap();
        let run = RunSpec::Process {
            command: vec!["sh".into()],
            memory: None,
            directory: Some("nowhere".into()),
        };
        let failure = places(base.path()).check(&run).unwrap_err();
        assert!(
            failure.message.contains("nowhere to run in is not there"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn the_environment_is_the_tasks_own_and_its_marks_cannot_be_replaced() {
        let base = tempfile::tempdir().unwrap();
        let spec = spec(&[
            ("APP_PASSWORD", "secret"),
            ("WHARF_ATTEMPT", "9"),
            ("PATH", "/opt"),
            ("PORT", "1"),
        ]);
        let launch = places(base.path()).launch(&spec, Path::new("/home/of/it")).unwrap();
        let variables: Vec<_> = launch.environment.iter().map(|text| text.to_str().unwrap()).collect();
        for expected in [
            "APP_PASSWORD=secret",
            "WHARF_ATTEMPT=3",
            "PATH=/opt",
            "PORT=4000",
            "HOME=/home/of/it",
            "WHARF_INSTANCE_ID=inst_00000000",
        ] {
            assert!(
                variables.iter().any(|variable| variable.starts_with(expected)),
                "{expected}: {variables:?}"
            );
        }
        let known = [
            "APP_PASSWORD",
            "HOME",
            "LANG",
            "PATH",
            "PORT",
            "TMPDIR",
            "WHARF_ATTEMPT",
            "WHARF_DEPLOYMENT",
            "WHARF_INSTANCE_ID",
        ];
        for variable in &variables {
            let (name, _) = variable.split_once('=').unwrap();
            assert!(known.contains(&name), "{name} is nobody's business");
            assert_eq!(
                variables
                    .iter()
                    .filter(|other| other.starts_with(&format!("{name}=")))
                    .count(),
                1,
                "{name}"
            );
        }
    }

    #[test]
    fn a_zero_in_a_secret_is_refused_without_showing_it() {
        let base = tempfile::tempdir().unwrap();
        let spec = spec(&[("APP_PASSWORD", "hush\0")]);
        let Err(failure) = places(base.path()).launch(&spec, Path::new("/")) else {
            panic!("refused")
        };
        assert!(
            failure.message.contains("APP_PASSWORD") && !failure.message.contains("hush"),
            "{failure}"
        );
    }
}
