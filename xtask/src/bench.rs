//! `cargo xtask bench`: the benchmarks, built for release. What is measured and how is the business of `benches/`.

use crate::{
    error::Error,
    tools::{NGINX, Toolbox, WRK},
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

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<bool, Error> {
    for missing in Toolbox::new(workspace).provide(&[&NGINX, &WRK])? {
        eprintln!("note: the comparison of load balancers {missing}");
    }
    let mut command = workspace.cargo(&["run", "--release", "--package", "wharf-benches", "--"]);
    for name in &arguments.only {
        command.args(["--only", name]);
    }
    command.args(&arguments.rest);
    succeeds(&mut command)
}
