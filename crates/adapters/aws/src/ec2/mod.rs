//! The four calls of EC2 that are needed: addresses of container instances and of tasks' interfaces, and, for `doctor`, what subnets and
//! security groups are. No decision is taken here.

mod xml;

use std::net::IpAddr;
use tokio::time::Instant;
use wharf_domain::{Code, Failure};

use crate::{
    operations::Operation,
    signed::{EC2, Question, Signed},
};

/// The API's version.
const VERSION: &str = "2016-11-15";

/// An EC2 instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    /// `running`, `terminated`, ….
    pub state: String,
    pub private_address: Option<IpAddr>,
    pub public_address: Option<IpAddr>,
    pub vpc: Option<String>,
    pub subnet: Option<String>,
    pub security_groups: Vec<String>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInterface {
    pub id: String,
    pub private_address: Option<IpAddr>,
    pub public_address: Option<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    pub id: String,
    pub vpc: String,
    pub zone: String,
    /// Its addresses, in CIDR notation.
    pub cidr: String,
    /// Addresses that are left.
    pub free_addresses: u32,
    /// Whether what starts in it gets a public address by itself.
    pub gives_public_addresses: bool,
}

/// Where a subnet's packets for the rest of the world go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable {
    pub id: String,
    pub vpc: String,
    /// The one of all subnets of the VPC that are associated with none.
    pub is_main: bool,
    pub subnets: Vec<String>,
    /// What the route of `0.0.0.0/0` leads to: `igw-…`, `nat-…`, `eni-…`, ….
    pub default_route: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    pub id: String,
    pub name: String,
    pub vpc: Option<String>,
    pub ingress: Vec<Ingress>,
}

/// What a security group lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// `tcp`, `udp`, `-1` for everything, …
    pub protocol: String,
    /// Both included; `None` for every port.
    pub ports: Option<(u16, u16)>,
    /// Addresses in CIDR notation.
    pub cidrs: Vec<String>,
    /// Ids of security groups whose members may come in.
    pub groups: Vec<String>,
}

impl Ingress {
    /// Whether something of it is open on this TCP port.
    #[must_use]
    pub fn has_port(&self, port: u16) -> bool {
        (self.protocol == "tcp" || self.protocol == "-1")
            && self.ports.is_none_or(|(first, last)| (first..=last).contains(&port))
    }

    /// The TCP ports of it, both included; `None` where it is about another protocol.
    #[must_use]
    pub fn tcp_ports(&self) -> Option<(u16, u16)> {
        let is_tcp = self.protocol == "tcp" || self.protocol == "-1";
        is_tcp.then(|| self.ports.unwrap_or((0, u16::MAX)))
    }

    /// Protocol and ports, in words.
    #[must_use]
    pub fn show(&self) -> String {
        match (self.protocol.as_str(), self.ports) {
            ("-1", _) => "everything".to_owned(),
            (protocol, Some((first, last))) if first == last => format!("{protocol} {first}"),
            (protocol, Some((first, last))) => format!("{protocol} {first}-{last}"),
            (protocol, None) => protocol.to_owned(),
        }
    }

    /// Whether the whole world may come in.
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        self.cidrs.iter().any(|cidr| cidr == "0.0.0.0/0" || cidr == "::/0")
    }
}

/// Asks EC2.
#[derive(Clone, Debug)]
pub struct Ec2 {
    signed: Signed,
}

impl Ec2 {
    pub(crate) const fn new(signed: Signed) -> Self {
        Self { signed }
    }

    /// By id. Those that do not exist are an `aws.refused` of the whole call.
    pub async fn instances(&self, ids: &[&str], deadline: Instant) -> Result<Vec<Instance>, Failure> {
        self.ask(
            Operation::Ec2DescribeInstances,
            "InstanceId",
            ids,
            deadline,
            xml::instances,
        )
        .await
    }

    pub async fn network_interfaces(&self, ids: &[&str], deadline: Instant) -> Result<Vec<NetworkInterface>, Failure> {
        let operation = Operation::Ec2DescribeNetworkInterfaces;
        self.ask(operation, "NetworkInterfaceId", ids, deadline, xml::network_interfaces)
            .await
    }

    pub async fn subnets(&self, ids: &[&str], deadline: Instant) -> Result<Vec<Subnet>, Failure> {
        self.ask(Operation::Ec2DescribeSubnets, "SubnetId", ids, deadline, xml::subnets)
            .await
    }

    pub async fn security_groups(&self, ids: &[&str], deadline: Instant) -> Result<Vec<SecurityGroup>, Failure> {
        let operation = Operation::Ec2DescribeSecurityGroups;
        self.ask(operation, "GroupId", ids, deadline, xml::security_groups)
            .await
    }

    /// Of these VPCs.
    pub async fn route_tables(&self, vpcs: &[&str], deadline: Instant) -> Result<Vec<RouteTable>, Failure> {
        if vpcs.is_empty() {
            return Ok(Vec::new());
        }
        let mut parameters = vec![("Filter.1.Name".to_owned(), "vpc-id".to_owned())];
        parameters.extend(numbered("Filter.1.Value", vpcs));
        let operation = Operation::Ec2DescribeRouteTables;
        self.read(operation, &vpcs.join(", "), &parameters, deadline, xml::route_tables)
            .await
    }

    async fn ask<T>(
        &self,
        operation: Operation,
        parameter: &str,
        ids: &[&str],
        deadline: Instant,
        read: fn(&roxmltree::Document<'_>) -> Vec<T>,
    ) -> Result<Vec<T>, Failure> {
        // Without ids it would be about everything that the account has.
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let parameters: Vec<_> = numbered(parameter, ids).collect();
        self.read(operation, &ids.join(", "), &parameters, deadline, read).await
    }

    async fn read<T>(
        &self,
        operation: Operation,
        resource: &str,
        parameters: &[(String, String)],
        deadline: Instant,
        read: fn(&roxmltree::Document<'_>) -> Vec<T>,
    ) -> Result<Vec<T>, Failure> {
        let question = Question::query(EC2, operation.name(), VERSION, parameters);
        let answer = self.signed.ask(operation, resource, deadline, &question).await?;
        let document = roxmltree::Document::parse(&answer).map_err(|error| {
            Failure::new(
                Code::AwsUnavailable,
                format!("{}'s answer is not XML: {error}", operation.action()),
            )
        })?;
        Ok(read(&document))
    }
}

fn numbered<'a>(parameter: &'a str, values: &'a [&str]) -> impl Iterator<Item = (String, String)> + 'a {
    let values = values.iter().zip(1_u32..);
    values.map(move |(value, number)| (format!("{parameter}.{number}"), (*value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Governor, signed::tests::canned};

    #[tokio::test]
    async fn ids_are_asked_for_by_number() {
        let (signed, canned) = canned(Ok("<DescribeSubnetsResponse/>"));
        let ec2 = Ec2::new(signed);
        assert_eq!(
            ec2.subnets(&["subnet-1", "subnet-2"], Governor::deadline()).await,
            Ok(vec![])
        );
        assert_eq!(
            canned.asked.lock()[0].body,
            "Action=DescribeSubnets&Version=2016-11-15&SubnetId.1=subnet-1&SubnetId.2=subnet-2"
        );
    }

    #[tokio::test]
    async fn nothing_is_asked_for_no_ids() {
        let (signed, canned) = canned(Ok(""));
        assert_eq!(Ec2::new(signed).instances(&[], Governor::deadline()).await, Ok(vec![]));
        assert!(canned.asked.lock().is_empty());
    }

    #[tokio::test]
    async fn an_answer_that_is_no_xml_is_told() {
        let (signed, _) = canned(Ok("<html>"));
        let failure = Ec2::new(signed)
            .instances(&["i-1"], Governor::deadline())
            .await
            .expect_err("no XML");
        assert_eq!(failure.code, Code::AwsUnavailable);
    }

    #[test]
    fn what_is_open_is_told_from_what_is_not() {
        let ingress = |protocol: &str, ports| Ingress {
            protocol: protocol.into(),
            ports,
            cidrs: vec!["0.0.0.0/0".into()],
            groups: Vec::new(),
        };
        assert!(ingress("tcp", Some((8000, 9000))).has_port(8500));
        assert!(!ingress("tcp", Some((8000, 9000))).has_port(80));
        assert!(!ingress("udp", Some((8000, 9000))).has_port(8500));
        assert!(ingress("-1", None).has_port(1));
        assert!(ingress("tcp", None).is_open_to_all());
    }
}
