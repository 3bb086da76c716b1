//! The settings of Wharf itself, typed. Read from what `resolve` found; a value that it refused stands as its default here, and the
//! whole is thrown away in the end.

mod aws;
mod databases;
mod docker;
mod limits;
mod mail;
mod webhook;

pub use aws::{Aws, Registry};
pub use databases::DatabaseSettings;
pub use docker::Docker;
pub use limits::Limits;
pub use mail::{Mail, ServiceMail, Smtp};
pub use webhook::{Notify, Webhook};
pub(crate) use {
    mail::service_mails,
    webhook::{notify, webhooks},
};

use ipnet::IpNet;
use serde::Serialize;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use wharf_domain::{Service, ServiceName, Subdomain, event::Allow};

use crate::{
    Machine,
    keys::system as keys,
    resolved::Resolved,
    setting::Setting,
    values::{HostName, Interval, LogFormat, LogLevel, PlatformKind, PortRange, PublicUrl, Rate, RepairApply},
};

/// `[server]`: where Wharf listens, how it is reached, and what it accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    pub listen: SocketAddr,
    pub console_host: HostName,
    pub services_host: HostName,
    pub tenant_domain: HostName,
    /// As configured; [`Server::public_url`] has the default too.
    pub public_url: Option<PublicUrl>,
    pub data_dir: PathBuf,
    pub trusted_proxies: Vec<IpNet>,
    pub max_instances: u32,
    pub trust_tenants: bool,
    /// Bytes of a request's body.
    pub body_limit: u64,
    /// Bytes of a request's line and headers.
    pub header_limit: u64,
    pub header_timeout: Duration,
    /// Of one client address, at once.
    pub connections_per_address: u32,
    pub idle_timeout: Duration,
    /// Until the head of an instance's answer.
    pub response_timeout: Duration,
    /// Of a program's request for what is starting.
    pub hold_timeout: Duration,
}

impl Server {
    /// Where the console is reached, without a slash at its end. `port` is the one that is listened on, which differs from the configured
    /// one where that is 0.
    #[must_use]
    pub fn public_url(&self, port: u16) -> String {
        self.public_url
            .as_ref()
            .map_or_else(|| self.url_of(self.console_host.as_str(), port), ToString::to_string)
    }

    /// Where another host of this server is reached, a tenant's or the services': with the scheme and the port of the console.
    #[must_use]
    pub fn url_of(&self, host: &str, port: u16) -> String {
        match &self.public_url {
            Some(url) => url.with_host(host),
            None if port == 80 => format!("http://{host}"),
            None => format!("http://{host}:{port}"),
        }
    }

    /// Whether only this machine can reach it.
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether people elsewhere reach it: at its own address, or through a proxy on this machine, which is why it has names that others know.
    #[must_use]
    pub fn is_public(&self) -> bool {
        !self.is_loopback() || !self.console_host.is_of_this_machine() || !self.tenant_domain.is_of_this_machine()
    }

    /// Whether what this address says of others (`X-Forwarded-For`) is believed.
    #[must_use]
    pub fn trusts_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    pub(crate) fn read(from: &mut Resolved<'_>) -> Self {
        const PATH: &str = "server";
        let data_dir = from.path(PATH, &keys::DATA_DIR);
        let server = Self {
            listen: from.get(PATH, &keys::LISTEN),
            console_host: from.get(PATH, &keys::CONSOLE_HOST),
            services_host: from.get(PATH, &keys::SERVICES_HOST),
            tenant_domain: from.get(PATH, &keys::TENANT_DOMAIN),
            public_url: from.get(PATH, &keys::PUBLIC_URL),
            data_dir,
            trusted_proxies: from.get(PATH, &keys::TRUSTED_PROXIES),
            max_instances: from.get(PATH, &keys::MAX_INSTANCES),
            trust_tenants: from.get(PATH, &keys::TRUST_TENANTS),
            body_limit: from.get(PATH, &keys::BODY_LIMIT).0,
            header_limit: from.get(PATH, &keys::HEADER_LIMIT).0,
            header_timeout: from.get(PATH, &keys::HEADER_TIMEOUT),
            connections_per_address: from.get(PATH, &keys::CONNECTIONS_PER_ADDRESS),
            idle_timeout: from.get(PATH, &keys::IDLE_TIMEOUT),
            response_timeout: from.get(PATH, &keys::RESPONSE_TIMEOUT),
            hold_timeout: from.get(PATH, &keys::HOLD_TIMEOUT),
        };
        if server.public_url.is_none() {
            from.settle("server.public_url", server.public_url(server.listen.port()).show());
        }
        server
    }
}

/// `[platform]`: what the tasks run on. The range of dynamic ports is in [`Ports`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Platform {
    pub kind: PlatformKind,
    /// How long a task waits for room, and for its turn.
    pub capacity_wait: Duration,
}

impl Platform {
    pub(crate) fn read(from: &Resolved<'_>) -> Self {
        Self {
            kind: from.platform,
            capacity_wait: from.get("platform", &keys::CAPACITY_WAIT),
        }
    }
}

/// `[signup]`: who may become a tenant, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signup {
    /// Whether anybody may; otherwise only the admin token provisions.
    pub open: bool,
    pub verify_email: bool,
    /// Of one client address.
    pub rate: Rate,
    /// As configured; `Config::tenant_service` has the default too.
    pub service: Option<ServiceName>,
}

impl Signup {
    pub(crate) fn read(from: &mut Resolved<'_>, server: &Server) -> Self {
        const PATH: &str = "signup";
        let given = from.get(PATH, &keys::OPEN);
        let open = given.unwrap_or(!server.is_public() && !from.machine.lambda);
        from.settle("signup.open", open.show());
        let given = from.get(PATH, &keys::VERIFY_EMAIL);
        let verify_email = given.unwrap_or(server.is_public() || from.machine.lambda);
        from.settle("signup.verify_email", verify_email.show());
        Self {
            open,
            verify_email,
            rate: from.get(PATH, &keys::RATE),
            service: from.get(PATH, &keys::SIGNUP_SERVICE),
        }
    }
}

/// `[names]`: which names tenants may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Names {
    /// How long an ended tenant's name rests.
    pub rest: Duration,
    /// Reserved beside those of `wharf_domain::name::RESERVED`.
    pub reserved: BTreeSet<String>,
}

impl Names {
    /// Whether the operator keeps this name, beside those that are always reserved.
    #[must_use]
    pub fn is_reserved(&self, name: &Subdomain) -> bool {
        self.reserved.contains(name.as_str())
    }

    pub(crate) fn read(from: &Resolved<'_>, server: &Server) -> Self {
        let configured = from.get("names", &keys::RESERVED).into_iter().map(|label| label.0);
        // A tenant of that name would be at the console's address, or at the services'.
        let own = [&server.console_host, &server.services_host].into_iter();
        let own = own
            .filter_map(|host| host.label_below(&server.tenant_domain))
            .map(str::to_owned);
        Self {
            rest: from.get("names", &keys::REST),
            reserved: configured.chain(own).collect(),
        }
    }
}

/// Which ports are leased, and how they are used again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ports {
    /// Leased to instances with a dynamic port (`platform.dynamic_ports`).
    pub dynamic: PortRange,
    /// Never leased, though they may be in a range: those that Wharf itself listens on.
    pub excluded: BTreeSet<u16>,
    pub quarantine: Duration,
    /// Of a port that stood in a direct URL.
    pub direct_quarantine: Duration,
}

/// The range of dynamic ports where the system's own leaves it free.
const DYNAMIC_DEFAULT: PortRange = PortRange {
    first: 20_000,
    last: 29_999,
};
/// No range that is found instead of it is larger.
const DYNAMIC_COUNT_MAX: u16 = 10_000;
/// Nor smaller.
const DYNAMIC_COUNT_MIN: u32 = 100;

impl Ports {
    pub(crate) fn read(from: &mut Resolved<'_>, server: &Server, machine: Machine, statics: &[PortRange]) -> Self {
        let given = from.get("platform", &keys::DYNAMIC_PORTS);
        let dynamic = given.unwrap_or_else(|| dynamic_default(machine, statics));
        from.settle("platform.dynamic_ports", dynamic.show());
        Self {
            dynamic,
            excluded: excluded(from.platform, server),
            quarantine: from.get("ports", &keys::QUARANTINE),
            direct_quarantine: from.get("ports", &keys::DIRECT_QUARANTINE),
        }
    }
}

/// Ports of an ECS container instance that the Docker daemon and the agent have for themselves (developer guide, port mappings).
const ECS_RESERVED: [u16; 6] = [22, 2375, 2376, 51_678, 51_679, 51_680];

fn excluded(platform: PlatformKind, server: &Server) -> BTreeSet<u16> {
    if platform == PlatformKind::Ecs {
        return ECS_RESERVED.into();
    }
    [server.listen.port()].into_iter().filter(|port| *port != 0).collect()
}

/// The usual range, or the largest that is free of the system's own and of the static ones. Where there is none, the usual one, which
/// the rules then refuse.
fn dynamic_default(machine: Machine, statics: &[PortRange]) -> PortRange {
    let mut taken: Vec<PortRange> = statics.iter().copied().chain(machine.ip_local_port_range).collect();
    if !taken.iter().any(|range| range.overlaps(DYNAMIC_DEFAULT)) {
        return DYNAMIC_DEFAULT;
    }
    taken.sort();
    // Ports below 10000 are those that people give to their own programs.
    let mut first = Some(10_000_u16);
    let mut gaps = Vec::new();
    for range in taken {
        let Some(start) = first else { break };
        if range.first > start {
            gaps.push(PortRange {
                first: start,
                last: range.first - 1,
            });
        }
        first = range.last.checked_add(1).map(|next| next.max(start));
    }
    gaps.extend(first.map(|first| PortRange { first, last: u16::MAX }));
    let largest = gaps
        .into_iter()
        .max_by_key(|gap| gap.count())
        .filter(|gap| gap.count() >= DYNAMIC_COUNT_MIN);
    largest.map_or(DYNAMIC_DEFAULT, |gap| PortRange {
        last: gap.last.min(gap.first.saturating_add(DYNAMIC_COUNT_MAX - 1)),
        ..gap
    })
}

/// `[heal]`: what happens when the task of a ready instance dies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Heal {
    /// Crashes within `within` after which there is no new attempt.
    pub limit: u32,
    pub within: Duration,
    pub backoff_first: Duration,
    pub backoff_max: Duration,
}

impl Heal {
    pub(crate) fn read(from: &Resolved<'_>) -> Self {
        const PATH: &str = "heal";
        Self {
            limit: from.get(PATH, &keys::LIMIT),
            within: from.get(PATH, &keys::WITHIN),
            backoff_first: from.get(PATH, &keys::BACKOFF_FIRST),
            backoff_max: from.get(PATH, &keys::BACKOFF_MAX),
        }
    }
}

/// `[repair]`: registry and world, compared now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Repair {
    pub interval: Interval,
    pub apply: RepairApply,
}

impl Repair {
    pub(crate) fn read(from: &Resolved<'_>) -> Self {
        const PATH: &str = "repair";
        Self {
            interval: from.get(PATH, &keys::REPAIR_INTERVAL),
            apply: from.get(PATH, &keys::REPAIR_APPLY),
        }
    }
}

/// `[events]`: what events may ask for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Events {
    pub allow: Allow,
    /// What a start event starts that names no service.
    pub default_service: Option<ServiceName>,
    /// What a start event is laid over that names no service, but says itself what to run: the default service, or one with what the
    /// environment says. Its cluster and its task definition are empty where nothing says them, or where what the variables say is meant for
    /// other services: an event then has to say them. There is none where tasks are not on ECS.
    pub template: Option<Service>,
}

impl Events {
    pub(crate) fn read(from: &Resolved<'_>, default_service: Option<ServiceName>, template: Option<Service>) -> Self {
        const PATH: &str = "events.allow";
        let allow = Allow {
            clusters: from.get(PATH, &keys::ALLOWED_CLUSTERS),
            task_definitions: from.get(PATH, &keys::ALLOWED_TASK_DEFINITIONS),
            target_groups: from.get(PATH, &keys::ALLOWED_TARGET_GROUPS),
            subnets: from.get(PATH, &keys::ALLOWED_SUBNETS),
            security_groups: from.get(PATH, &keys::ALLOWED_SECURITY_GROUPS),
            containers: from.get(PATH, &keys::ALLOWED_CONTAINERS),
        };
        Self {
            allow,
            default_service,
            template,
        }
    }
}

/// `[log]`: what Wharf says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
}

impl Log {
    pub(crate) fn read(from: &Resolved<'_>) -> Self {
        Self {
            level: from.get("log", &keys::LEVEL),
            format: from.get("log", &keys::FORMAT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dynamic(system: Option<(u16, u16)>, statics: &[(u16, u16)]) -> String {
        let range = |(first, last): (u16, u16)| PortRange { first, last };
        let statics: Vec<_> = statics.iter().copied().map(range).collect();
        dynamic_default(
            Machine {
                ip_local_port_range: system.map(range),
                ..Machine::default()
            },
            &statics,
        )
        .to_string()
    }

    #[test]
    fn the_default_of_dynamic_ports_makes_way() {
        assert_eq!(dynamic(None, &[]), "20000-29999");
        assert_eq!(dynamic(Some((32_768, 60_999)), &[(8000, 9000)]), "20000-29999");
        assert_eq!(dynamic(Some((16_384, 65_535)), &[]), "10000-16383");
        assert_eq!(dynamic(Some((10_000, 40_000)), &[]), "40001-50000");
        assert_eq!(dynamic(Some((32_768, 60_999)), &[(20_000, 25_000)]), "10000-19999");
        assert_eq!(
            dynamic(Some((10_000, 65_500)), &[(1024, 9999)]),
            "20000-29999",
            "no range is left: the rules refuse it"
        );
    }
}
