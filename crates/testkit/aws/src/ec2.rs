//! EC2, as far as it is asked for addresses and for what a network allows: instances, interfaces, subnets, security groups.

use crate::ecs::task::Attachment;
use crate::refusal::Refusal;
use crate::wire::query::Query;
use crate::wire::xml::Xml;
use crate::world::World;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

#[derive(Clone, Debug)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    pub(crate) vpc: String,
    pub(crate) zone: String,
    pub(crate) cidr: String,
    /// Whether what starts in it gets a public address by default.
    pub(crate) public: bool,
    /// What the default route of its route table leads to, `igw-…` or `nat-…`; without one nothing of it reaches the rest of the world.
    pub(crate) default_route: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct SecurityGroup {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) vpc: String,
    /// What may come in.
    pub(crate) ingress: Vec<Ingress>,
}

/// One rule of a security group: TCP ports from and to, and where from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ingress {
    pub from_port: u16,
    pub to_port: u16,
    /// A network, or the id of a group whose members may come in.
    pub cidr: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) id: String,
    /// `pending`, `running`, `stopping`, `stopped`, `terminated`.
    pub(crate) state: &'static str,
    pub(crate) private_address: String,
    pub(crate) public_address: Option<String>,
    pub(crate) subnet: String,
    pub(crate) security_groups: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) id: String,
    pub(crate) private_address: String,
    pub(crate) public_address: Option<String>,
    pub(crate) subnet: String,
    pub(crate) security_groups: Vec<String>,
    pub(crate) mac: String,
}

#[derive(Debug, Default)]
pub(crate) struct Ec2 {
    pub(crate) subnets: BTreeMap<String, Subnet>,
    pub(crate) security_groups: BTreeMap<String, SecurityGroup>,
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) interfaces: BTreeMap<String, Interface>,
    /// The middle of the loopback addresses that tasks have that serve: different for each simulator on this machine, so that two
    /// never take the same port of the same address.
    pub(crate) local_network: [u8; 2],
    addresses: u32,
    /// Private and public addresses of interfaces that are gone.
    free: Vec<(Ipv4Addr, Ipv4Addr)>,
}

impl Ec2 {
    /// A private address, a public one, and one of this machine's loopback network; each is given once.
    pub(crate) fn addresses(&mut self) -> (Ipv4Addr, Ipv4Addr, Ipv4Addr) {
        self.addresses += 1;
        // The first hundred stay free, as for the load balancers and routers of a real network; 203.0.113.0/24 is for documentation
        // and has too few, 198.18.0.0/15 is for benchmarks and has enough.
        let [_, _, high, low] = (99 + self.addresses).to_be_bytes();
        let last = (self.addresses % 254) as u8 + 1;
        (
            Ipv4Addr::new(10, 0, high, low),
            Ipv4Addr::new(198, 18, high, low),
            Ipv4Addr::new(127, self.local_network[0], self.local_network[1], last),
        )
    }

    pub(crate) fn zone_of(&self, instance: &str) -> Option<&str> {
        let instance = self.instances.get(instance)?;
        self.subnets.get(&instance.subnet).map(|subnet| subnet.zone.as_str())
    }

    pub(crate) fn default_group(&self, vpc: &str) -> Option<String> {
        let mut groups = self.security_groups.values();
        groups.find(|group| group.vpc == vpc).map(|group| group.id.clone())
    }
}

impl World {
    /// The interface is gone, and its addresses are anybody's.
    pub(crate) fn remove_interface(&mut self, id: &str) {
        let Some(interface) = self.ec2.interfaces.remove(id) else {
            return;
        };
        let parse = |address: &str| address.parse::<Ipv4Addr>().ok();
        let public = interface.public_address.as_deref().and_then(parse);
        if let Some(private) = parse(&interface.private_address).filter(Ipv4Addr::is_private) {
            // One that had no public address leaves none: whoever has this one next is given a new one.
            let public = public.unwrap_or_else(|| self.ec2.addresses().1);
            self.ec2.free.push((private, public));
        }
    }

    /// The interface of a task: its id, MAC address and private address.
    pub(crate) fn make_interface(&mut self, attachment: &Attachment, serves: bool) -> (String, String, String) {
        let (mut private, mut public, local) = self.ec2.addresses();
        let [_, _, high, low] = private.octets();
        if !self.ec2.free.is_empty() && self.fortune.takes_an_address_again() {
            let which = self.fortune.chance.of(self.ec2.free.len());
            (private, public) = self.ec2.free.swap_remove(which);
        }
        let interface = Interface {
            id: self.ids.ec2("eni"),
            private_address: if serves { local } else { private }.to_string(),
            public_address: attachment
                .public
                .then(|| if serves { local } else { public }.to_string()),
            subnet: attachment.subnet.clone(),
            security_groups: attachment.security_groups.clone(),
            mac: format!("0a:58:0a:00:{high:02x}:{low:02x}"),
        };
        let known = (
            interface.id.clone(),
            interface.mac.clone(),
            interface.private_address.clone(),
        );
        self.ec2.interfaces.insert(interface.id.clone(), interface);
        known
    }

    pub(crate) fn ec2(&self, operation: &str, query: &Query) -> Result<Xml, Refusal> {
        match operation {
            "DescribeInstances" => self.describe_instances(query),
            "DescribeNetworkInterfaces" => self.describe_interfaces(query),
            "DescribeSubnets" => self.describe_subnets(query),
            "DescribeSecurityGroups" => self.describe_security_groups(query),
            "DescribeRouteTables" => Ok(self.describe_route_tables(query)),
            _ => Err(Refusal::new(
                "InvalidAction",
                format!("The action {operation} is not valid for this web service."),
            )),
        }
    }

    fn describe_instances(&self, query: &Query) -> Result<Xml, Refusal> {
        let all = &self.ec2.instances;
        let found = select(all, &query.values("InstanceId"), |id| {
            Refusal::new(
                "InvalidInstanceID.NotFound",
                format!("The instance ID '{id}' does not exist"),
            )
        })?;
        let mut xml = Xml::default();
        xml.items("reservationSet", found, |xml, instance| {
            xml.leaf("reservationId", instance.id.replacen("i-", "r-", 1));
            xml.leaf("ownerId", &self.account.id);
            xml.items("instancesSet", [instance], |xml, instance| {
                xml.leaf("instanceId", &instance.id);
                xml.branch("instanceState", |xml| {
                    xml.leaf("code", state_code(instance.state));
                    xml.leaf("name", instance.state);
                });
                if instance.state != "terminated" {
                    xml.leaf("privateIpAddress", &instance.private_address);
                    xml.optional(
                        "ipAddress",
                        instance.public_address.as_ref().filter(|_| instance.state == "running"),
                    );
                    xml.leaf("subnetId", &instance.subnet);
                    xml.optional(
                        "vpcId",
                        self.ec2.subnets.get(&instance.subnet).map(|subnet| &subnet.vpc),
                    );
                }
                xml.branch("placement", |xml| {
                    xml.optional("availabilityZone", self.ec2.zone_of(&instance.id))
                });
                self.group_set(xml, &instance.security_groups);
            });
        });
        Ok(xml)
    }

    fn describe_interfaces(&self, query: &Query) -> Result<Xml, Refusal> {
        let all = &self.ec2.interfaces;
        let found = select(all, &query.values("NetworkInterfaceId"), |id| {
            Refusal::new(
                "InvalidNetworkInterfaceID.NotFound",
                format!("The networkInterface ID '{id}' does not exist"),
            )
        })?;
        let mut xml = Xml::default();
        xml.items("networkInterfaceSet", found, |xml, interface| {
            xml.leaf("networkInterfaceId", &interface.id);
            xml.leaf("subnetId", &interface.subnet);
            xml.optional(
                "vpcId",
                self.ec2.subnets.get(&interface.subnet).map(|subnet| &subnet.vpc),
            );
            xml.leaf("status", "in-use");
            xml.leaf("macAddress", &interface.mac);
            xml.leaf("privateIpAddress", &interface.private_address);
            if let Some(public) = &interface.public_address {
                xml.branch("association", |xml| {
                    xml.leaf("publicIp", public);
                    xml.leaf("ipOwnerId", "amazon");
                });
            }
            self.group_set(xml, &interface.security_groups);
        });
        Ok(xml)
    }

    fn describe_subnets(&self, query: &Query) -> Result<Xml, Refusal> {
        let found = select(&self.ec2.subnets, &query.values("SubnetId"), |id| {
            Refusal::new(
                "InvalidSubnetID.NotFound",
                format!("The subnet ID '{id}' does not exist"),
            )
        })?;
        let mut xml = Xml::default();
        xml.items("subnetSet", found, |xml, subnet| {
            xml.leaf("subnetId", &subnet.id);
            xml.leaf("vpcId", &subnet.vpc);
            xml.leaf("state", "available");
            xml.leaf("cidrBlock", &subnet.cidr);
            xml.leaf("availableIpAddressCount", 4_000);
            xml.leaf("availabilityZone", &subnet.zone);
            xml.leaf("mapPublicIpOnLaunch", subnet.public);
        });
        Ok(xml)
    }

    fn describe_security_groups(&self, query: &Query) -> Result<Xml, Refusal> {
        let found = select(&self.ec2.security_groups, &query.values("GroupId"), |id| {
            Refusal::new(
                "InvalidGroup.NotFound",
                format!("The security group '{id}' does not exist"),
            )
        })?;
        let mut xml = Xml::default();
        xml.items("securityGroupInfo", found, |xml, group| {
            xml.leaf("ownerId", &self.account.id);
            xml.leaf("groupId", &group.id);
            xml.leaf("groupName", &group.name);
            xml.leaf("vpcId", &group.vpc);
            xml.items("ipPermissions", &group.ingress, |xml, rule| {
                xml.leaf("ipProtocol", "tcp");
                xml.leaf("fromPort", rule.from_port);
                xml.leaf("toPort", rule.to_port);
                // A rule names networks, or another group whose members may come in.
                let by_group = rule.cidr.starts_with("sg-");
                let (groups, ranges) = if by_group {
                    (vec![&rule.cidr], vec![])
                } else {
                    (vec![], vec![&rule.cidr])
                };
                xml.items("groups", groups, |xml, group| {
                    xml.leaf("userId", &self.account.id);
                    xml.leaf("groupId", group);
                });
                xml.items("ipRanges", ranges, |xml, cidr| xml.leaf("cidrIp", cidr));
            });
            xml.items("ipPermissionsEgress", [()], |xml, ()| {
                xml.leaf("ipProtocol", "-1");
                xml.items("ipRanges", [()], |xml, ()| xml.leaf("cidrIp", "0.0.0.0/0"));
            });
        });
        Ok(xml)
    }

    /// Each subnet has a route table of its own; the filter `vpc-id` is the only one that is known.
    fn describe_route_tables(&self, query: &Query) -> Xml {
        let filters = query.structures("Filter");
        let by_vpc = filters.iter().find(|filter| filter.get("Name") == Some("vpc-id"));
        let vpcs = by_vpc.map(|filter| filter.values("Value"));
        let subnets = self.ec2.subnets.values();
        let found = subnets.filter(|subnet| vpcs.as_ref().is_none_or(|vpcs| vpcs.contains(&subnet.vpc)));
        let mut xml = Xml::default();
        xml.items("routeTableSet", found, |xml, subnet| {
            let id = subnet.id.replacen("subnet-", "rtb-", 1);
            xml.leaf("routeTableId", &id);
            xml.leaf("vpcId", &subnet.vpc);
            let local = ("10.0.0.0/8", "gatewayId", "local");
            let world = subnet.default_route.as_deref().map(|target| {
                let kind = if target.starts_with("nat-") {
                    "natGatewayId"
                } else {
                    "gatewayId"
                };
                ("0.0.0.0/0", kind, target)
            });
            let routes = [Some(local), world].into_iter().flatten();
            xml.items("routeSet", routes, |xml, (cidr, kind, target)| {
                xml.leaf("destinationCidrBlock", cidr);
                xml.leaf(kind, target);
                xml.leaf("state", "active");
            });
            xml.items("associationSet", [()], |xml, ()| {
                xml.leaf("routeTableId", &id);
                xml.leaf("subnetId", &subnet.id);
                xml.leaf("main", false);
            });
        });
        xml
    }

    fn group_set(&self, xml: &mut Xml, groups: &[String]) {
        xml.items("groupSet", groups, |xml, id| {
            xml.leaf("groupId", id);
            xml.optional("groupName", self.ec2.security_groups.get(id).map(|group| &group.name));
        });
    }
}

/// Those with these ids, or all where none is named; a name that is nothing's fails the call.
fn select<'all, T>(
    all: &'all BTreeMap<String, T>,
    ids: &[String],
    missing: impl Fn(&str) -> Refusal,
) -> Result<Vec<&'all T>, Refusal> {
    if ids.is_empty() {
        return Ok(all.values().collect());
    }
    ids.iter().map(|id| all.get(id).ok_or_else(|| missing(id))).collect()
}

fn state_code(state: &str) -> u8 {
    match state {
        "pending" => 0,
        "running" => 16,
        "terminated" => 48,
        "stopping" => 64,
        _ => 80,
    }
}
