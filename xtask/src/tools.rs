//! The tools that the tasks need beside Rust: which they are, and how each comes onto a machine that has none.

use crate::{
    error::Error,
    python::{API, DEPLOY, EMULATOR, Environment},
    workspace::{Workspace, read, succeeds, succeeds_silently},
};
use std::process::Command;

/// A program that a task needs.
#[derive(Debug)]
pub(crate) struct Tool {
    /// What is looked for on `PATH`.
    pub program: &'static str,
    pub source: Source,
}

/// Where a tool comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A part of the Rust toolchain.
    Component { name: &'static str },
    /// Built from its crate, in this version, into the workspace's target folder.
    Crate { name: &'static str, version: &'static str },
    /// A package of Debian, or of what descends from it.
    Package { name: &'static str },
    /// A program of a virtual environment of Python.
    Python { environment: &'static Environment },
    /// A package of npm, in this version, in the workspace's target folder.
    Node { name: &'static str, version: &'static str },
}

pub(crate) const RUSTFMT: Tool = Tool {
    program: "rustfmt",
    source: Source::Component { name: "rustfmt" },
};
pub(crate) const CLIPPY: Tool = Tool {
    program: "cargo-clippy",
    source: Source::Component { name: "clippy" },
};
pub(crate) const NEXTEST: Tool = Tool {
    program: "cargo-nextest",
    source: Source::Crate {
        name: "cargo-nextest",
        version: "0.9.143",
    },
};
pub(crate) const DENY: Tool = Tool {
    program: "cargo-deny",
    source: Source::Crate {
        name: "cargo-deny",
        version: "0.20.2",
    },
};
/// libFuzzer is built from its source.
pub(crate) const CXX: Tool = Tool {
    program: "c++",
    source: Source::Package { name: "g++" },
};
pub(crate) const CHROMIUM: Tool = Tool {
    program: "chromium",
    source: Source::Package { name: "chromium" },
};
pub(crate) const DOCKERD: Tool = Tool {
    program: "dockerd",
    source: Source::Package { name: "docker.io" },
};
/// Without which it has no networks.
pub(crate) const IPTABLES: Tool = Tool {
    program: "iptables",
    source: Source::Package { name: "iptables" },
};
/// By which a network is set up that a test has for itself.
pub(crate) const IP: Tool = Tool {
    program: "ip",
    source: Source::Package { name: "iproute2" },
};
pub(crate) const PYTHON: Tool = Tool {
    program: "python3",
    source: Source::Package { name: "python3-venv" },
};
pub(crate) const NPM: Tool = Tool {
    program: "npm",
    source: Source::Package { name: "npm" },
};
/// And what comes along with it: cfn-lint, parliament, hadolint, botocore.
pub(crate) const SAM: Tool = Tool {
    program: "sam",
    source: Source::Python { environment: &DEPLOY },
};
pub(crate) const MINISTACK: Tool = Tool {
    program: "ministack",
    source: Source::Python { environment: &EMULATOR },
};
/// By this variable of the environment tests and benchmarks find it.
pub(crate) const MINISTACK_VARIABLE: &str = "WHARF_TEST_MINISTACK";
pub(crate) const SCHEMATHESIS: Tool = Tool {
    program: "schemathesis",
    source: Source::Python { environment: &API },
};
/// By this variable of the environment the tests of the API find it.
pub(crate) const SCHEMATHESIS_VARIABLE: &str = "WHARF_TEST_SCHEMATHESIS";
pub(crate) const ASL_VALIDATOR: Tool = Tool {
    program: "asl-validator",
    source: Source::Node {
        name: "asl-validator",
        version: "4.0.0",
    },
};
/// The server's programs. Debian keeps them off `PATH`, and puts a wrapper of this name there.
pub(crate) const POSTGRES: Tool = Tool {
    program: "pg_ctlcluster",
    source: Source::Package { name: "postgresql" },
};
/// By this variable of the environment tests find the folder of PostgreSQL's programs.
pub(crate) const POSTGRES_VARIABLE: &str = "WHARF_TEST_POSTGRES";
pub(crate) const EXIM: Tool = Tool {
    program: "exim4",
    source: Source::Package {
        name: "exim4-daemon-light",
    },
};
/// By this variable of the environment the tests of SMTP find it.
pub(crate) const EXIM_VARIABLE: &str = "WHARF_TEST_EXIM";
pub(crate) const NGINX: Tool = Tool {
    program: "nginx",
    source: Source::Package { name: "nginx-light" },
};
pub(crate) const WRK: Tool = Tool {
    program: "wrk",
    source: Source::Package { name: "wrk" },
};

/// A tool that is not here and could not be brought here.
#[derive(Debug)]
pub(crate) struct Missing {
    pub tool: &'static Tool,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "needs {}: {}", self.tool.program, self.tool.way())
    }
}

impl Tool {
    /// The command by which a person gets it.
    fn way(&self) -> String {
        match self.source {
            Source::Component { name } => format!("rustup component add {name}"),
            Source::Crate { name, version } => format!("cargo install --locked {name}@{version}"),
            Source::Package { name } => format!("sudo apt-get install {name}"),
            Source::Python { environment } => environment.way(),
            Source::Node { name, version } => format!("npm install --prefix {NODE} {name}@{version}"),
        }
    }
}

/// Where npm's packages are put, below the root.
const NODE: &str = "target/node";

/// A program that npm installed for us.
pub(crate) fn node(workspace: &Workspace, program: &str) -> Command {
    let path = workspace.root().join(NODE).join("node_modules/.bin").join(program);
    workspace.program(&path.to_string_lossy())
}

/// Brings tools onto the machine, as far as it lets us.
pub(crate) struct Toolbox<'a> {
    workspace: &'a Workspace,
    /// The list of Debian's packages is fetched once, and only if something is missing.
    packages_listed: bool,
}

impl<'a> Toolbox<'a> {
    pub(crate) const fn new(workspace: &'a Workspace) -> Self {
        Self {
            workspace,
            packages_listed: false,
        }
    }

    /// Sees to it that all of these are here. Gives those that are not.
    pub(crate) fn provide(&mut self, tools: &[&'static Tool]) -> Result<Vec<Missing>, Error> {
        let mut missing = Vec::new();
        for &tool in tools {
            if !self.has(tool) {
                self.install(tool)?;
                if !self.has(tool) {
                    missing.push(Missing { tool });
                }
            }
        }
        Ok(missing)
    }

    fn has(&self, tool: &Tool) -> bool {
        match tool.source {
            // rustup leaves a stand-in of the same name for a component that is not installed.
            Source::Component { .. } => succeeds_silently(self.workspace.program(tool.program).arg("--version")),
            Source::Crate { name, version } => {
                let ours = self.workspace.tools().join("bin").join(tool.program);
                if !ours.exists() {
                    return self.workspace.has_program(tool.program);
                }
                // One that an earlier commit asked for, in an earlier version, is replaced.
                read(&self.workspace.tools().join(".crates.toml"))
                    .is_ok_and(|list| list.contains(&format!("\"{name} {version} ")))
            }
            Source::Package { .. } => self.workspace.has_program(tool.program),
            Source::Python { environment } => environment.is_there(self.workspace),
            Source::Node { name, version } => {
                let package = self.workspace.root().join(NODE).join("node_modules").join(name);
                read(&package.join("package.json"))
                    .ok()
                    .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
                    .is_some_and(|package| package["version"] == version)
            }
        }
    }

    /// Tries to install it. That it does not work is for the caller to notice.
    fn install(&mut self, tool: &Tool) -> Result<(), Error> {
        match tool.source {
            Source::Component { name } => {
                if self.workspace.has_program("rustup") {
                    succeeds(self.workspace.program("rustup").args(["component", "add", name]))?;
                }
            }
            Source::Crate { name, version } => {
                let pinned = format!("{name}@{version}");
                succeeds(
                    self.workspace
                        .cargo(&["install", "--locked", "--root"])
                        .arg(self.workspace.tools())
                        .arg(pinned)
                        // They run for seconds: on a new machine it is their compilation that is waited for.
                        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
                )?;
            }
            Source::Package { name } => {
                if !self.workspace.has_program("apt-get") || !self.is_root() {
                    return Ok(());
                }
                if !self.packages_listed {
                    self.packages_listed = true;
                    succeeds(self.apt().arg("update"))?;
                }
                succeeds(self.apt().args(["install", "--yes", "--no-install-recommends", name]))?;
            }
            Source::Python { environment } => environment.install(self.workspace)?,
            Source::Node { name, version } => {
                if self.workspace.has_program("npm") {
                    let mut command = self.workspace.program("npm");
                    command.args(["install", "--no-fund", "--no-audit", "--prefix", NODE]);
                    succeeds(command.arg(format!("{name}@{version}")))?;
                }
            }
        }
        Ok(())
    }

    fn apt(&self) -> Command {
        let mut command = self.workspace.program("apt-get");
        command.arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn is_root(&self) -> bool {
        self.workspace
            .program("id")
            .arg("-u")
            .output()
            .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_the_way_to_get_it() {
        let said = |tool| Missing { tool }.to_string();
        assert_eq!(said(&CHROMIUM), "needs chromium: sudo apt-get install chromium");
        assert_eq!(said(&NGINX), "needs nginx: sudo apt-get install nginx-light");
        assert_eq!(said(&CLIPPY), "needs cargo-clippy: rustup component add clippy");
        assert_eq!(
            said(&ASL_VALIDATOR),
            "needs asl-validator: npm install --prefix target/node asl-validator@4.0.0"
        );
        assert!(said(&SAM).starts_with("needs sam: python3 -m venv target/python/deploy"));
        assert!(said(&NEXTEST).starts_with("needs cargo-nextest: cargo install --locked cargo-nextest@"));
    }

    #[test]
    fn what_every_machine_has_is_found() {
        let workspace = Workspace::find();
        assert!(workspace.has_program("cargo"));
        assert!(!workspace.has_program("a-program-that-nobody-has"));
    }
}
