//! A container as Docker describes it, reduced to what is decided by.
//!
//! What must not be here: what it means.

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use std::net::{IpAddr, Ipv4Addr};
use wharf_domain::{Endpoint, Timestamp};
use wharf_platform::Owner;

use crate::marks::{self, Notes};

/// Where in its life a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Made, and never started.
    Created,
    Running,
    Paused,
    /// On its way to an end that Docker sees to.
    Ending,
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: String,
    /// `None` where Wharf did not make it.
    pub(crate) owner: Option<Owner>,
    /// Where it is told whose it is, if it was started ahead.
    pub(crate) slot: Option<String>,
    pub(crate) notes: Notes,
    pub(crate) phase: Phase,
    pub(crate) exit_code: Option<i32>,
    /// The kernel ended a process of it for its memory.
    pub(crate) out_of_memory: bool,
    /// Docker's own words about a start that failed.
    pub(crate) error: String,
    pub(crate) ended_at: Option<Timestamp>,
    /// On the deployment's network, while it runs.
    pub(crate) address: Option<Ipv4Addr>,
    /// Its limit in bytes.
    pub(crate) memory: Option<u64>,
}

impl Seen {
    pub(crate) fn read(found: ContainerInspectResponse, network: &str) -> Self {
        let state = found.state.unwrap_or_default();
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let networks = found.network_settings.and_then(|settings| settings.networks);
        let address = networks.and_then(|mut networks| networks.remove(network)?.ip_address?.parse().ok());
        let memory = found.host_config.and_then(|host| host.memory);
        Self {
            id: found.id.unwrap_or_default(),
            owner: marks::owner(&labels, found.name.as_deref().unwrap_or_default()),
            slot: marks::warm(&labels).map(|(_, slot)| slot),
            notes: marks::notes(&labels),
            phase: phase(state.status),
            exit_code: state.exit_code.and_then(|code| i32::try_from(code).ok()),
            out_of_memory: state.oom_killed.unwrap_or_default(),
            error: state.error.unwrap_or_default(),
            ended_at: state.finished_at.as_deref().and_then(time),
            address,
            memory: memory
                .and_then(|bytes| u64::try_from(bytes).ok())
                .filter(|bytes| *bytes > 0),
        }
    }

    /// Where the application is reached on the machine itself, past every published port: nobody else can have this address while it runs.
    pub(crate) fn own_endpoint(&self) -> Option<Endpoint> {
        Some(Endpoint::Address {
            ip: IpAddr::V4(self.address?),
            port: self.notes.port?,
        })
    }

    /// Where it is told to listen: on its own address, or on the host's where visitors are given that.
    pub(crate) fn endpoint(&self, host: IpAddr) -> Option<Endpoint> {
        match self.notes.host_port.filter(|_| self.notes.public) {
            Some(port) => Some(Endpoint::Address { ip: host, port }),
            None => self.own_endpoint(),
        }
    }
}

fn phase(status: Option<ContainerStateStatusEnum>) -> Phase {
    use ContainerStateStatusEnum as Status;
    match status {
        Some(Status::CREATED) => Phase::Created,
        Some(Status::PAUSED) => Phase::Paused,
        Some(Status::RUNNING | Status::RESTARTING) => Phase::Running,
        Some(Status::REMOVING | Status::STOPPING) => Phase::Ending,
        Some(Status::EXITED | Status::DEAD | Status::EMPTY) | None => Phase::Ended,
    }
}

/// Docker's time of what never happened is year 1.
fn time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ended_has_no_time_of_its_end() {
        assert_eq!(time("0001-01-01T00:00:00Z"), None);
        assert_eq!(time("1970-01-01T00:00:01.5Z"), Some(Timestamp(1_500)));
    }

    #[test]
    fn visitors_are_given_the_hosts_address_only_of_a_static_port_that_is_public() {
        let seen = |host_port, public| Seen {
            id: String::new(),
            owner: None,
            slot: None,
            notes: Notes {
                port: Some(8000),
                host_port,
                public,
            },
            phase: Phase::Running,
            exit_code: None,
            out_of_memory: false,
            error: String::new(),
            ended_at: None,
            address: Some(Ipv4Addr::new(10, 0, 0, 2)),
            memory: None,
        };
        let host = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let key = |seen: Seen| seen.endpoint(host).map(|endpoint| endpoint.key());
        assert_eq!(key(seen(Some(8001), true)).as_deref(), Some("192.0.2.1:8001"));
        assert_eq!(key(seen(Some(8001), false)).as_deref(), Some("10.0.0.2:8000"));
        assert_eq!(key(seen(None, true)).as_deref(), Some("10.0.0.2:8000"));
    }
}
