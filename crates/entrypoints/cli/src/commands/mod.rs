//! The commands: one file for each group of them.

mod backup;
mod config;
mod cost;
mod deploy;
mod doctor;
mod instances;
mod logs;
mod mail;
mod repair;
mod schedules;
mod start;

pub(crate) use config::load as load_config;

use clap::CommandFactory;
use std::{path::PathBuf, process::ExitCode};
use wharf_domain::{Code, Failure};

use crate::{
    args::{Args, Command, Global, List, ListCommand, Mail},
    output, up,
};

/// Where everything is kept, unless told otherwise.
const DATA_DIR: &str = ".wharf";

pub(crate) fn run(args: Args) -> Result<ExitCode, Failure> {
    let Args { global, command } = args;
    match command {
        Command::Up(options) => up::run(&global, options),
        Command::Config(command) => config::run(&global, command),
        Command::Mail(Mail::Preview(options)) => mail::preview(&global, options),
        Command::Doctor(on) => doctor::run(&global, on),
        Command::Cost(options) => cost::run(&global, &options),
        Command::Backup(options) => backup::backup(&global, &options),
        Command::Restore(options) => backup::restore(&global, &options),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "wharf", &mut script);
            output::line(&String::from_utf8_lossy(&script));
            Ok(ExitCode::SUCCESS)
        }
        Command::Storefront => Ok(wharf_storefront::run()),
        client => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::internal(format!("no runtime: {error}")))?;
            runtime.block_on(talk(&global, client))
        }
    }
}

/// The commands that talk: to a running server, and `deploy` to AWS.
async fn talk(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Provision(options) => start::provision(global, options).await,
        Command::Start(options) => start::start(global, options).await,
        Command::SendEvent(options) => start::send_event(global, &options).await,
        Command::Stop(options) => instances::stop(global, &options).await,
        Command::Delete(options) => instances::delete(global, &options).await,
        Command::List(List {
            command: Some(ListCommand::Schedules),
            ..
        }) => schedules::list(global).await,
        Command::List(options) => instances::list(global, &options).await,
        Command::Show(options) => instances::show(global, &options).await,
        Command::Resume(options) => instances::resume(global, &options).await,
        Command::Abandon(options) => instances::abandon(global, &options).await,
        Command::Extend(options) => instances::extend(global, &options).await,
        Command::Logs(options) => logs::run(global, &options).await,
        Command::Mail(Mail::List(options)) => mail::list(global, &options).await,
        Command::Mail(Mail::Resend(options)) => mail::resend(global, &options).await,
        Command::Repair(options) => repair::run(global, &options).await,
        Command::Deploy(options) => deploy::run(global, &options).await,
        Command::Up(_)
        | Command::Config(_)
        | Command::Cost(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Doctor(_)
        | Command::Mail(Mail::Preview(_))
        | Command::Completions { .. }
        | Command::Storefront => Err(Failure::internal("a command without a server was sent to one")),
    }
}

/// The data directory: of the command line, the environment or the configuration.
pub(crate) fn data_dir(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(folder) = &global.data_dir {
        return Ok(folder.clone());
    }
    // A configuration with errors must not keep a client from its server, nor must secrets that only the server is given.
    match config::data_dir(global) {
        Ok(folder) => Ok(folder.unwrap_or_else(|| PathBuf::from(DATA_DIR))),
        Err(failure) if failure.code == Code::ConfigInvalid => Ok(PathBuf::from(DATA_DIR)),
        Err(failure) => Err(failure),
    }
}
