//! Where Docker is, and what containers have of this machine.

use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use super::Server;
use crate::{keys::docker as keys, resolved::Resolved, setting::Setting};

/// `[docker]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Docker {
    pub host: String,
    /// Where it is `None`, Docker finds one.
    pub subnet: Option<Ipv4Net>,
    /// On which static ports are published.
    pub publish: IpAddr,
    /// As it stands in direct URLs.
    pub host_address: IpAddr,
    /// Where it is `None`, Docker's own place for it counts.
    pub credentials_file: Option<PathBuf>,
}

impl Docker {
    pub(crate) fn read(from: &mut Resolved<'_>, server: &Server) -> Self {
        const PATH: &str = "docker";
        let publish = from
            .get(PATH, &keys::PUBLISH)
            .unwrap_or_else(|| server.listen.ip().to_canonical());
        from.settle("docker.publish", publish.show());
        let given = from.get(PATH, &keys::HOST_ADDRESS);
        // What is published everywhere is on loopback too; what others are given instead, the rules ask for.
        let host_address = given.unwrap_or(match publish {
            address if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            address => address,
        });
        from.settle("docker.host_address", host_address.show());
        let subnet = match from.get(PATH, &keys::SUBNET) {
            Some(IpNet::V4(subnet)) => Some(subnet),
            // One of IPv6 is a problem in the rules.
            Some(IpNet::V6(_)) | None => None,
        };
        Self {
            host: from.get(PATH, &keys::HOST),
            subnet,
            publish,
            host_address,
            credentials_file: from.optional_path(PATH, &keys::CREDENTIALS_FILE),
        }
    }
}
