//! The simulator as a program: an account out of a file, time that passes by itself, events handed on.
//!
//! Its address is the only thing on stdout; everything else goes to stderr.

use clap::{Parser, ValueEnum};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use wharf_aws_simulator::{Consistency, Delivery, Inventory, Options, Simulator, Subscriber, Throttling};

/// A stand-in for AWS: ECS, ELBv2, the EC2 calls that ask for addresses, CloudWatch Logs and STS, on one endpoint.
///
/// Point AWS_ENDPOINT_URL_ECS, AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2, AWS_ENDPOINT_URL_EC2 and the like at the address that it
/// prints, and use any credentials. Nothing is started, and nothing costs anything.
#[derive(Debug, Parser)]
#[command(version)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Arguments {
    /// The address to listen on; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:4600")]
    listen: SocketAddr,
    /// What the account has, in JSON; without it, the account that the documents tell of.
    #[arg(long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Print the file that stands for the documented account, as an example, and end.
    #[arg(long)]
    print_resources: bool,
    /// Simulated seconds in a real one; 0: time passes only by POST /_simulator/advance.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Where "ECS Task State Change" events go: the URL of a queue, or an EventBridge endpoint.
    #[arg(long, value_name = "URL")]
    events_url: Option<String>,
    /// What is at --events-url.
    #[arg(long, value_enum, default_value_t = EventsTo::Queue)]
    events_to: EventsTo,
    /// The source of events that are put on a bus; most buses refuse those that begin with `aws.`.
    #[arg(long, value_name = "NAME", default_value = "aws.ecs")]
    events_source: String,
    /// Events come late, out of order and twice, as they may.
    #[arg(long)]
    untidy_events: bool,
    /// Refuse calls beyond AWS's documented rates.
    #[arg(long)]
    throttle: bool,
    /// Show at once what was done, where AWS may take a while.
    #[arg(long)]
    consistent: bool,
    /// What is logged on stderr: `warn`, `info`, or `debug` for every call.
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    log: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EventsTo {
    EventBridge,
    Queue,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.print_resources {
        print!("{}", Inventory::DOCUMENTED);
        return ExitCode::SUCCESS;
    }
    let Ok(filter) = EnvFilter::try_new(&arguments.log) else {
        eprintln!("error: --log {} is no filter", arguments.log);
        return ExitCode::FAILURE;
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let text = match &arguments.resources {
        None => Inventory::DOCUMENTED.to_owned(),
        Some(file) => {
            std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?
        }
    };
    let inventory = Inventory::parse(&text).map_err(|error| format!("the file of resources is wrong: {error}"))?;
    let usual = Options::default();
    let options = Options {
        listen: arguments.listen,
        account: inventory.account.clone().unwrap_or(usual.account),
        region: inventory.region.clone().unwrap_or(usual.region),
        speed: arguments.speed,
        starts_at: now(),
        consistency: if arguments.consistent {
            Consistency::STRONG
        } else {
            Consistency::default()
        },
        throttling: if arguments.throttle {
            Throttling::Documented
        } else {
            Throttling::Off
        },
        delivery: if arguments.untidy_events {
            Delivery::UNTIDY
        } else {
            Delivery::default()
        },
    };
    let mut asked_to_end = [SignalKind::interrupt(), SignalKind::terminate()]
        .map(|kind| signal(kind).map_err(|error| format!("signals cannot be waited for: {error}")));
    let simulator = Simulator::start(options)
        .await
        .map_err(|error| format!("{} cannot be listened on: {error}", arguments.listen))?;
    simulator
        .put(&inventory)
        .map_err(|message| format!("the file of resources is refused: {message}"))?;
    if let Some(url) = arguments.events_url {
        simulator.publish(match arguments.events_to {
            EventsTo::EventBridge => Subscriber::EventBridge {
                endpoint: url,
                source: arguments.events_source,
            },
            EventsTo::Queue => Subscriber::Queue(url),
        });
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", simulator.url())
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("stdout: {error}"))?;
    let [interrupt, terminate] = &mut asked_to_end;
    let (interrupt, terminate) = (
        interrupt.as_mut().map_err(|error| error.clone())?,
        terminate.as_mut().map_err(|error| error.clone())?,
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program that somebody tries things with goes by his own clock"
)]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
