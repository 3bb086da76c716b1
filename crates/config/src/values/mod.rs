//! The types that settings have: each with how it is written, how it is shown, and what it refuses by itself.
//! What depends on other settings is in `rules`.

mod address;
mod aws;
mod choices;
mod databases;
mod docker;
mod duration;
mod ecs;
mod interval;
mod network;
mod ports;
mod rate;
mod schedule;
mod size;
mod text;
mod webhook;

pub use address::{HostName, Mailbox, PublicUrl};
pub use aws::{Secret, TableName};
pub use choices::{LogFormat, LogLevel, MailKind, PlatformKind, RegistryKind, RepairApply, SmtpTls};
pub use databases::{DatabaseKind, DatabaseName, Host, UrlQuery, UrlScheme};
pub use interval::Interval;
pub use ports::PortRange;
pub use rate::Rate;
pub use webhook::HookUrl;

pub(crate) use address::page;
pub(crate) use aws::Share;
pub(crate) use choices::{EcsRouteKind, LaunchType, PortKind, RouteKind, SecretsForm};
pub(crate) use docker::{ImagePlatform, Loosened, PullPolicy};
pub(crate) use ecs::{CapacityProviders, EcsPort, HostPattern, Mebibytes, PathPattern, PublicIp};
pub(crate) use size::{ByteSize, KIB, MIB};
pub(crate) use text::{Environment, Header, Label, PathPrefix, UrlPath};
pub(crate) use webhook::{Announced, WebhookForm};
