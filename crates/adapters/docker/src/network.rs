//! The deployment's network: one bridge for all tenants, on which no container reaches another. (A network for each tenant would end at about 30.)
//!
//! What must not be here: who gets which address and why; that is its owner's, for as long as the container runs.
//!
//! # Addresses
//!
//! Docker gives an address again as soon as it is free. A request that is on its way to a container that just died would then reach another tenant's.
//! So addresses are given here, one after the other, and come again only when all others had their turn.

use bollard::{
    Docker,
    models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect},
};
use ipnet::Ipv4Net;
use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
};
use wharf_domain::{Code, DeploymentId, Failure};
use wharf_saga::Ids;

use crate::{failure, marks};

/// The bridge driver's option: whether containers on the network reach one another.
const REACH_EACH_OTHER: &str = "com.docker.network.bridge.enable_icc";
/// Another network may be made between asking for a free range and taking it.
const TRIES: usize = 8;

/// The network, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) subnet: Ipv4Net,
    /// The host, as containers see it.
    pub(crate) gateway: Ipv4Addr,
}

impl Network {
    fn read(found: NetworkInspect, deployment: &DeploymentId) -> Result<Self, Failure> {
        let name = found.name.unwrap_or_default();
        if !marks::is_marked(&found.labels.unwrap_or_default(), deployment) {
            return Err(Failure::new(
                Code::ResourceForeign,
                format!("the network {name} is not this deployment's"),
            )
            .hint(format!("remove it if nobody needs it: `docker network rm {name}`")));
        }
        let apart = found.options.unwrap_or_default();
        if apart.get(REACH_EACH_OTHER).map(String::as_str) != Some("false") {
            return Err(Failure::new(
                Code::ResourceForeign,
                format!("on the network {name} containers reach one another"),
            )
            .hint(format!(
                "stop its containers and remove it: `docker network rm {name}`; Wharf makes it anew"
            )));
        }
        let range = found.ipam.and_then(|ipam| ipam.config?.into_iter().next());
        let range = range.unwrap_or_default();
        let subnet: Option<Ipv4Net> = range.subnet.and_then(|subnet| subnet.parse().ok());
        let subnet = subnet.ok_or_else(|| {
            Failure::new(
                Code::DockerRefused,
                format!("the network {name} has no addresses of IPv4"),
            )
            .hint(format!("remove it: `docker network rm {name}`; Wharf makes it anew"))
        })?;
        let gateway = range.gateway.and_then(|gateway| gateway.parse().ok());
        Ok(Self {
            name,
            subnet,
            gateway: gateway.unwrap_or_else(|| gateway_of(subnet)),
        })
    }
}

fn gateway_of(subnet: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.network()).saturating_add(1))
}

async fn look(docker: &Docker, deployment: &DeploymentId) -> Result<Option<Network>, Failure> {
    let name = marks::network(deployment);
    match docker.inspect_network(&name, None).await {
        Ok(found) => Network::read(found, deployment).map(Some),
        Err(error) if failure::is_missing(&error) => Ok(None),
        Err(error) => Err(failure::of(&error, &format!("to look at the network {name}"))),
    }
}

/// The deployment's network, made where it is not there.
pub(crate) async fn ensure(
    docker: &Docker,
    deployment: &DeploymentId,
    subnet: Option<Ipv4Net>,
) -> Result<Network, Failure> {
    for _ in 0..TRIES {
        if let Some(network) = look(docker, deployment).await? {
            if let Some(wanted) = subnet
                && wanted.trunc() != network.subnet.trunc()
            {
                return Err(Failure::new(
                    Code::ConfigInvalid,
                    format!(
                        "docker.subnet says {wanted}, and the network {} has {}",
                        network.name, network.subnet
                    ),
                )
                .hint(format!(
                    "keep {}; or stop all instances, then `docker network rm {}`: Wharf makes it anew",
                    network.subnet, network.name
                )));
            }
            return Ok(network);
        }
        let range = match subnet {
            Some(subnet) => subnet.trunc(),
            None => free_range(docker, deployment).await?,
        };
        match create(docker, deployment, Some(range)).await {
            Ok(()) => {}
            // Somebody else took it a moment ago.
            Err(error) if subnet.is_none() && failure::says(&error, "overlaps") => {}
            Err(error) if failure::is_conflict(&error) => {}
            Err(error) if failure::says(&error, "overlaps") => {
                return Err(Failure::new(
                    Code::ConfigInvalid,
                    format!("the addresses {range} of docker.subnet are another network's"),
                )
                .hint("name a range that no network of Docker and no route of this machine has (`docker network ls`, `ip route`)"));
            }
            Err(error) => return Err(failure::of(&error, "to make the deployment's network")),
        }
    }
    Err(Failure::new(
        Code::DockerUnavailable,
        "the deployment's network cannot be made: others take its addresses again and again",
    )
    .hint("name a range for it: docker.subnet = \"10.90.0.0/16\""))
}

async fn create(
    docker: &Docker,
    deployment: &DeploymentId,
    range: Option<Ipv4Net>,
) -> Result<(), bollard::errors::Error> {
    let addresses = range.map(|range| {
        vec![IpamConfig {
            subnet: Some(range.to_string()),
            gateway: Some(gateway_of(range).to_string()),
            ..IpamConfig::default()
        }]
    });
    let request = NetworkCreateRequest {
        name: marks::network(deployment),
        driver: Some("bridge".to_owned()),
        ipam: addresses.map(|config| Ipam {
            config: Some(config),
            ..Ipam::default()
        }),
        options: Some(HashMap::from([(REACH_EACH_OTHER.to_owned(), "false".to_owned())])),
        labels: Some(marks::deployment_label(deployment)),
        ..NetworkCreateRequest::default()
    };
    docker.create_network(request).await.map(drop)
}

/// A range that Docker would take: it knows its own networks, the routes of the machine, and what it was told to use. Only on a network with a range that was
/// asked for can a container be given an address, so the network is made once to see, and then with just that.
async fn free_range(docker: &Docker, deployment: &DeploymentId) -> Result<Ipv4Net, Failure> {
    let said = |error: &bollard::errors::Error| failure::of(error, "to make the deployment's network");
    create(docker, deployment, None).await.map_err(|error| said(&error))?;
    let found = look(docker, deployment).await?;
    docker
        .remove_network(&marks::network(deployment))
        .await
        .map_err(|error| said(&error))?;
    found.map(|network| network.subnet.trunc()).ok_or_else(|| {
        Failure::new(
            Code::DockerUnavailable,
            "the deployment's network went away while it was made",
        )
    })
}

/// Addresses for containers, in turn.
#[derive(Debug)]
pub(crate) struct Addresses {
    first: u32,
    count: u32,
    next: AtomicU32,
}

impl Addresses {
    /// Begins anywhere: a Wharf that was restarted does not begin again with those that were given last.
    pub(crate) fn new(subnet: Ipv4Net, ids: &dyn Ids) -> Self {
        let mut bytes = [0; 4];
        ids.fill(&mut bytes);
        let (network, broadcast) = (u32::from(subnet.network()), u32::from(subnet.broadcast()));
        // Without the network's own address, the gateway's, and the broadcast's.
        let first = network.saturating_add(2);
        let count = broadcast.saturating_sub(first).max(1);
        Self {
            first,
            count,
            next: AtomicU32::new(u32::from_be_bytes(bytes) % count),
        }
    }

    pub(crate) fn next(&self) -> Ipv4Addr {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.count;
        Ipv4Addr::from(self.first + turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    struct Fixed(u8);

    impl Ids for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn an_address_comes_again_only_when_all_others_had_their_turn() {
        let subnet: Ipv4Net = "10.9.8.0/28".parse().expect("a range");
        let addresses = Addresses::new(subnet, &Fixed(200));
        let round: Vec<Ipv4Addr> = (0..13).map(|_| addresses.next()).collect();
        let distinct: BTreeSet<Ipv4Addr> = round.iter().copied().collect();
        assert_eq!(distinct.len(), 13);
        let taken = [subnet.network(), gateway_of(subnet), subnet.broadcast()];
        assert!(
            distinct
                .iter()
                .all(|address| subnet.contains(address) && !taken.contains(address))
        );
        assert_eq!(addresses.next(), round[0]);
    }
}
