//! `cargo xtask bench`: the benchmarks, built for release. What is measured and how is the business of `benches/`.

use crate::{
    error::Error,
    postgres,
    python::EMULATOR,
    test::docker::Engine,
    tools::{
        DOCKERD, IPTABLES, MINISTACK, MINISTACK_VARIABLE, NGINX, POSTGRES, POSTGRES_VARIABLE, PYTHON, Tool, Toolbox,
        WRK,
    },
    workspace::{Workspace, succeeds},
};

#[derive(clap::Args)]
#[command(after_help = "What else the benchmarks take: cargo xtask bench -- --help")]
pub(crate) struct Arguments {
    /// Only this benchmark; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Handed on to the benchmarks as they are
    #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// What some benchmarks need beside Rust.
struct Need {
    /// Their names.
    what: &'static [&'static str],
    tools: &'static [&'static Tool],
}

/// The benchmark of the function, which is built in a profile of its own.
const LAMBDA: &str = "lambda";
/// The benchmarks that are given a Docker Engine of their own.
const DOCKER: &[&str] = &["docker", "wake"];

const NEEDS: &[Need] = &[
    Need {
        what: &["edge"],
        tools: &[&NGINX, &WRK],
    },
    Need {
        what: &["dynamodb", LAMBDA],
        tools: &[&PYTHON, &MINISTACK],
    },
    Need {
        what: DOCKER,
        tools: &[&DOCKERD, &IPTABLES],
    },
    Need {
        what: &["postgres"],
        tools: &[&POSTGRES],
    },
];

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<bool, Error> {
    let mut toolbox = Toolbox::new(workspace);
    for Need { what, tools } in NEEDS {
        let is_wanted = |only: &String| what.contains(&only.as_str());
        if arguments.only.is_empty() || arguments.only.iter().any(is_wanted) {
            for missing in toolbox.provide(tools)? {
                eprintln!("note: {} {missing}", what.join(" and "));
            }
        }
    }
    // It takes minutes, which are no part of the run.
    let is_wanted = arguments.only.is_empty() || arguments.only.iter().any(|only| only == LAMBDA);
    if is_wanted && !succeeds(&mut workspace.cargo(&["build", "--profile", "lambda", "--package", "wharf-lambda"]))? {
        return Ok(false);
    }
    let is_wanted = arguments.only.is_empty() || arguments.only.iter().any(|only| DOCKER.contains(&only.as_str()));
    let engine = is_wanted.then(|| Engine::start(workspace)).and_then(|started| {
        let told = |error: &Error| eprintln!("note: no container can be measured: {error}");
        started.inspect_err(told).ok()
    });
    let mut command = workspace.cargo(&["run", "--release", "--package", "wharf-benches", "--"]);
    command.env(
        MINISTACK_VARIABLE,
        EMULATOR.program(workspace, MINISTACK.program).get_program(),
    );
    command.envs(engine.iter().map(Engine::variable));
    if let Ok(programs) = postgres::programs() {
        command.env(POSTGRES_VARIABLE, programs);
    }
    for name in &arguments.only {
        command.args(["--only", name]);
    }
    command.args(&arguments.rest);
    succeeds(&mut command)
}
