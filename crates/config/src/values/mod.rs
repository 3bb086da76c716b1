//! The types that settings have: each with how it is written, how it is shown, and what it refuses by itself.
//! What depends on other settings is in `rules`.

mod address;
mod choices;
mod duration;
mod network;
mod ports;
mod rate;
mod size;
mod text;

pub use address::{HostName, Mailbox, PublicUrl};
pub use choices::{LogFormat, LogLevel, PlatformKind};
pub use ports::PortRange;
pub use rate::Rate;
pub use text::Pattern;

pub(crate) use address::page;
pub(crate) use choices::{EcsRouteKind, PortKind, RouteKind};
pub(crate) use size::{ByteSize, KIB, MIB};
pub(crate) use text::{Environment, Header, Label, PathPrefix, UrlPath};
