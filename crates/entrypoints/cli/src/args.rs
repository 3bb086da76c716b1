//! The command line, as data.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

use crate::exit;

/// Gives each customer, or each start request, a running application of its own and an address that works.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, after_help = exit::HELP, max_term_width = 110, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Global {
    /// The configuration [default: wharf.toml, where there is one]
    #[arg(long, global = true, value_name = "FILE", env = "WHARF_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept [default: .wharf]
    #[arg(long, global = true, value_name = "FOLDER", env = "WHARF_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The server to talk to [default: the one that runs on the data directory]
    #[arg(long, global = true, value_name = "URL", env = "WHARF_SERVER")]
    pub(crate) server: Option<String>,
    /// Print one JSON value
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server: sign-up page, API, load balancer and tenants' applications, all behind one address
    Up(Up),
    /// Sign a tenant up, and wait until the application answers
    Provision(Provision),
    /// Start a service, or bring a stopped tenant back
    Start(Start),
    /// Stop a service's instances, a tenant (name and data are kept) or one instance
    Stop(Named),
    /// End a tenant or an instance for good: its address and its data go away
    Delete(Delete),
    /// List instances, newest first; or what starts and stops by the clock
    List(List),
    /// Show an instance: its state, what it holds, its steps and their times
    Show(Named),
    /// Print what an instance's task prints
    Logs(Logs),
    /// Send a start or stop event, as EventBridge would (see `docs/events.md`)
    SendEvent(SendEvent),
    /// List the mails, send one again, or see what one looks like
    #[command(subcommand)]
    Mail(Mail),
    /// Compare registry and world, and show what would mend the differences
    Repair(Repair),
    /// Take up a stuck instance where it stands
    Resume(Named),
    /// Give up a stuck instance: its name goes free, what is left in the world is yours to remove
    Abandon(Abandon),
    /// Give a trial another end, or none
    Extend(Extend),
    /// Copy the registry to a file, while the server runs
    Backup(Backup),
    /// Put a backup in the registry's place, while no server runs
    Restore(Restore),
    /// Check this machine and the configuration before anything is started
    Doctor(OnPlatform),
    /// Check, explain or describe the configuration
    #[command(subcommand)]
    Config(Config),
    /// Show what would be deployed to AWS, and deploy it with --apply
    Deploy(Deploy),
    /// Compute what one load balancer for all services saves against one for each
    Cost(Cost),
    /// Print a completion script for a shell
    Completions { shell: Shell },
    /// The bundled example application (started by `up`; settings come from the environment)
    Storefront,
}

/// Which section of each service is in force.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct OnPlatform {
    /// What tasks run as: process or ecs [default: the configuration's, else process]
    #[arg(long, value_name = "KIND")]
    pub(crate) platform: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Up {
    /// The address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    #[command(flatten)]
    pub(crate) on: OnPlatform,
    /// Listen off loopback although tenants' processes run as this very user
    #[arg(long)]
    pub(crate) trust_tenants: bool,
    /// The level of log lines that are written: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// How log lines are written: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Provision {
    /// The tenant's name, and the first part of its address
    pub(crate) subdomain: String,
    /// Who gets the mail
    #[arg(long)]
    pub(crate) email: String,
    /// The company's name, as it stands on the page
    #[arg(long)]
    pub(crate) company: String,
    /// Which service, where several have tenants
    #[arg(long)]
    pub(crate) service: Option<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
    /// The same key and fields again give the same instance again
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Wait {
    /// Do not wait for the end of it
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Start {
    /// A service without tenants, a tenant's name or an instance's id
    pub(crate) name: String,
    /// A variable for the new instance of a service
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) environment: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Named {
    /// A tenant's name, an instance's id, or (to stop) a service
    pub(crate) name: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Delete {
    /// A tenant's name or an instance's id
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct List {
    #[command(subcommand)]
    pub(crate) command: Option<ListCommand>,
    /// Only instances in this state
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(wharf_domain::State::NAMES.iter().copied()))]
    pub(crate) state: Option<String>,
    /// Only instances of this service
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// Ended and failed ones too
    #[arg(long)]
    pub(crate) all: bool,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ListCommand {
    /// Schedules: services that start and stop by the clock, with the times that come next
    Schedules,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Logs {
    /// A tenant's name or an instance's id
    pub(crate) name: String,
    /// Go on with what is printed from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many of the last lines
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) lines: u32,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SendEvent {
    /// A file with the event as JSON; `-` is standard input
    pub(crate) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// List the mails that wait or were given up, with what their last try met
    List(MailList),
    /// Send mails again that were given up, wait, or did not arrive
    Resend(MailResend),
    /// Render a mail as the configuration has it, and send nothing
    Preview(MailPreview),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct MailList {
    /// Those of the last 30 days that were sent, too
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct MailResend {
    /// The mails' ids, as `list` has them
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// All that were given up
    #[arg(long)]
    pub(crate) failed: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct MailPreview {
    /// What it is about
    #[arg(default_value = "ready", value_parser = clap::builder::PossibleValuesParser::new(wharf_domain::LetterKind::ALL.iter().map(|kind| kind.name())))]
    pub(crate) kind: String,
    /// The service whose tenant is told [default: the one that a sign-up gets]
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// Print the HTML, and nothing else
    #[arg(long)]
    pub(crate) html: bool,
    /// The tenant's name
    #[arg(long, default_value = "acme")]
    pub(crate) subdomain: String,
    /// The tenant's company
    #[arg(long, default_value = "Acme & Sons")]
    pub(crate) company: String,
    /// The tenant's address
    #[arg(long, default_value = "ada@example.com")]
    pub(crate) email: String,
    #[command(flatten)]
    pub(crate) on: OnPlatform,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Repair {
    /// Do it
    #[arg(long)]
    pub(crate) apply: bool,
    /// With --apply: also remove what the registry does not know, such as what was made after the backup that it was restored from
    #[arg(long, requires = "apply")]
    pub(crate) remove_unknown: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = BACKUP_HELP)]
pub(crate) struct Backup {
    /// Where the copy is to be
    pub(crate) file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = BACKUP_HELP)]
pub(crate) struct Restore {
    /// A file that `wharf backup` has made
    pub(crate) file: PathBuf,
}

const BACKUP_HELP: &str =
    "The registry alone is in it: databases, secrets and keys are the data directory's other folders.
A registry in DynamoDB is restored to a point in time by AWS. docs/backup.md has both.";

#[derive(Debug, ClapArgs)]
pub(crate) struct Abandon {
    /// A tenant's name or an instance's id
    pub(crate) name: String,
    /// Why, for the history
    #[arg(long)]
    pub(crate) reason: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Extend {
    /// A tenant's name or an instance's id
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) end: End,
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct End {
    /// So much longer than it had, or from now on if that is over: `14d`, `1month`
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub(crate) by: Option<jiff::Span>,
    /// Until this time, with its offset: `2026-12-24T18:00:00Z`
    #[arg(long, value_name = "WHEN", value_parser = time)]
    pub(crate) until: Option<jiff::Timestamp>,
    /// Without an end
    #[arg(long)]
    pub(crate) forever: bool,
}

fn span(text: &str) -> Result<jiff::Span, String> {
    let span: jiff::Span = text
        .parse()
        .map_err(|_| "write a number and its unit: 14d, 12h, 1month".to_owned())?;
    if span.is_positive() {
        Ok(span)
    } else {
        Err("it has to be more than nothing".to_owned())
    }
}

fn time(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse()
        .map_err(|_| "write it with its offset: 2026-12-24T18:00:00Z, 2026-12-24T19:00:00+01:00".to_owned())
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Deploy {
    #[command(subcommand)]
    pub(crate) command: Option<DeployCommand>,
    /// Do it
    #[arg(long)]
    pub(crate) apply: bool,
    /// Names everything that is deployed [default: dev]
    #[arg(long)]
    pub(crate) stage: Option<String>,
    /// What the function runs on
    #[arg(long, value_enum, default_value_t = Architecture::Arm64)]
    pub(crate) arch: Architecture,
    /// The region [default: as the AWS command line finds it]
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// The stack's name [default: wharf-STAGE]
    #[arg(long, value_name = "NAME")]
    pub(crate) stack_name: Option<String>,
    /// A parameter of the stack (deploy/template.yaml has them all)
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// Write what is deployed into this folder [default: deploy/STAGE in the data directory, with --apply]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// The function as somebody built it, in place of building it
    #[arg(long, value_name = "FILE")]
    pub(crate) bootstrap: Option<PathBuf>,
    /// The function that makes databases, as somebody built it [default: `databases` beside the other one]
    #[arg(long, value_name = "FILE", requires = "bootstrap")]
    pub(crate) databases: Option<PathBuf>,
    /// Wharf's source tree, which the function is built from [default: the one around the current folder]
    #[arg(long, value_name = "FOLDER", conflicts_with = "bootstrap")]
    pub(crate) source: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) schedule: Schedule,
}

/// What starts and stops by the clock. What is not said stays as it is deployed.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Times")]
pub(crate) struct Schedule {
    /// When services start: 07:30, cron(30 7 ? * MON-FRI *), or off
    #[arg(long, value_name = "TIME")]
    pub(crate) morning_start: Option<String>,
    /// A service that starts then, up to five of them [default: all without tenants]
    #[arg(long, value_name = "SERVICE", requires = "morning_start")]
    pub(crate) morning_service: Vec<String>,
    /// When services stop: 19:00, cron(…), or off
    #[arg(long, value_name = "TIME")]
    pub(crate) evening_stop: Option<String>,
    /// A service that stops then [default: all without tenants]
    #[arg(long, value_name = "SERVICE", requires = "evening_stop")]
    pub(crate) evening_service: Vec<String>,
    /// Where these times hold, such as Australia/Sydney
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeployCommand {
    /// Show which of the registry's tables are missing, and make them with --apply (the stack makes its own)
    Tables(DeployTables),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DeployTables {
    /// Do it
    #[arg(long)]
    pub(crate) apply: bool,
    /// The region [default: as the AWS command line finds it]
    #[arg(long)]
    pub(crate) region: Option<String>,
}

/// A processor that Lambda has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Architecture {
    #[value(name = "arm64")]
    Arm64,
    #[value(name = "x86_64")]
    X86_64,
}

impl Architecture {
    /// As CloudFormation writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Cost {
    /// A price in place of the one that comes along, such as load_balancer_hour=0.0252
    #[arg(long = "price", value_name = "NAME=AMOUNT")]
    pub(crate) prices: Vec<String>,
    /// Capacity units (LCUs) that the traffic of all services takes together, on average
    #[arg(long, default_value_t = 1.0, value_parser = quantity)]
    pub(crate) lcus: f64,
    /// Availability zones of a load balancer: it has a public address in each
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) zones: u32,
    /// Hours of a month
    #[arg(long, default_value_t = 730.0, value_parser = quantity)]
    pub(crate) hours: f64,
    /// Processors of a task; each service has one task
    #[arg(long, default_value_t = 0.25, value_parser = quantity)]
    pub(crate) vcpu: f64,
    /// Memory of a task, in GB
    #[arg(long, value_name = "GB", default_value_t = 0.5, value_parser = quantity)]
    pub(crate) memory: f64,
    /// Starts in a month
    #[arg(long, default_value_t = 1000)]
    pub(crate) starts: u32,
}

/// An amount of something: none is less than nothing, or without an end.
fn quantity(text: &str) -> Result<f64, String> {
    let amount = text.parse().ok().filter(|amount: &f64| (0.0..=1e9).contains(amount));
    amount.ok_or_else(|| "it has to be a number from 0 to 1000000000".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Report every problem of the configuration at once
    Check(OnPlatform),
    /// Say what a key means, what it is, and where that came from
    Explain {
        key: String,
        #[command(flatten)]
        on: OnPlatform,
    },
    /// Print the JSON Schema of wharf.toml
    Schema,
}

/// How a value is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Global {
    pub(crate) const fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }
}

impl OnPlatform {
    /// The configuration's settings that it outranks.
    pub(crate) fn overrides(self) -> wharf_config::Overrides {
        wharf_config::Overrides {
            platform: self.platform,
            ..wharf_config::Overrides::default()
        }
    }
}
