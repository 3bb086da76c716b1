//! EC2's answers, read leniently: a member that is missing is missing, and what is new is passed over. Pure.

use roxmltree::{Document, Node};
use std::net::IpAddr;

use super::{Ingress, Instance, NetworkInterface, RouteTable, SecurityGroup, Subnet};

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.tag_name().name() == name)
}

fn text(node: Node<'_, '_>, name: &str) -> Option<String> {
    Some(child(node, name)?.text()?.trim().to_owned()).filter(|text| !text.is_empty())
}

fn address(node: Node<'_, '_>, name: &str) -> Option<IpAddr> {
    text(node, name)?.parse().ok()
}

/// The `item`s of a list.
fn items<'a, 'i>(node: Node<'a, 'i>, list: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    let list = child(node, list);
    list.into_iter()
        .flat_map(|list| list.children())
        .filter(|child| child.tag_name().name() == "item")
}

fn texts(node: Node<'_, '_>, list: &str, name: &str) -> Vec<String> {
    items(node, list).filter_map(|item| text(item, name)).collect()
}

pub(super) fn instances(document: &Document<'_>) -> Vec<Instance> {
    items(document.root_element(), "reservationSet")
        .flat_map(|reservation| items(reservation, "instancesSet"))
        .filter_map(|instance| {
            Some(Instance {
                id: text(instance, "instanceId")?,
                state: child(instance, "instanceState")
                    .and_then(|state| text(state, "name"))
                    .unwrap_or_default(),
                private_address: address(instance, "privateIpAddress"),
                public_address: address(instance, "ipAddress"),
                vpc: text(instance, "vpcId"),
                subnet: text(instance, "subnetId"),
                security_groups: texts(instance, "groupSet", "groupId"),
            })
        })
        .collect()
}

pub(super) fn network_interfaces(document: &Document<'_>) -> Vec<NetworkInterface> {
    items(document.root_element(), "networkInterfaceSet")
        .filter_map(|interface| {
            Some(NetworkInterface {
                id: text(interface, "networkInterfaceId")?,
                private_address: address(interface, "privateIpAddress"),
                public_address: child(interface, "association")
                    .and_then(|association| address(association, "publicIp")),
            })
        })
        .collect()
}

pub(super) fn subnets(document: &Document<'_>) -> Vec<Subnet> {
    items(document.root_element(), "subnetSet")
        .filter_map(|subnet| {
            let free = text(subnet, "availableIpAddressCount");
            Some(Subnet {
                id: text(subnet, "subnetId")?,
                vpc: text(subnet, "vpcId")?,
                zone: text(subnet, "availabilityZone").unwrap_or_default(),
                cidr: text(subnet, "cidrBlock").unwrap_or_default(),
                free_addresses: free.and_then(|count| count.parse().ok()).unwrap_or_default(),
                gives_public_addresses: text(subnet, "mapPublicIpOnLaunch").as_deref() == Some("true"),
            })
        })
        .collect()
}

pub(super) fn route_tables(document: &Document<'_>) -> Vec<RouteTable> {
    const TARGETS: &[&str] = &[
        "gatewayId",
        "natGatewayId",
        "transitGatewayId",
        "networkInterfaceId",
        "vpcPeeringConnectionId",
    ];
    items(document.root_element(), "routeTableSet")
        .filter_map(|table| {
            let is_main = |association| text(association, "main").as_deref() == Some("true");
            let default_route = items(table, "routeSet")
                .filter(|route| text(*route, "destinationCidrBlock").as_deref() == Some("0.0.0.0/0"))
                // A route into what was deleted leads nowhere.
                .filter(|route| text(*route, "state").as_deref() != Some("blackhole"))
                .find_map(|route| TARGETS.iter().find_map(|target| text(route, target)));
            Some(RouteTable {
                id: text(table, "routeTableId")?,
                vpc: text(table, "vpcId")?,
                is_main: items(table, "associationSet").any(is_main),
                subnets: texts(table, "associationSet", "subnetId"),
                default_route,
            })
        })
        .collect()
}

pub(super) fn security_groups(document: &Document<'_>) -> Vec<SecurityGroup> {
    items(document.root_element(), "securityGroupInfo")
        .filter_map(|group| {
            Some(SecurityGroup {
                id: text(group, "groupId")?,
                name: text(group, "groupName").unwrap_or_default(),
                vpc: text(group, "vpcId"),
                ingress: items(group, "ipPermissions").map(ingress).collect(),
            })
        })
        .collect()
}

fn ingress(permission: Node<'_, '_>) -> Ingress {
    let port = |name: &str| text(permission, name)?.parse().ok();
    let mut cidrs = texts(permission, "ipRanges", "cidrIp");
    cidrs.extend(texts(permission, "ipv6Ranges", "cidrIpv6"));
    Ingress {
        protocol: text(permission, "ipProtocol").unwrap_or_default(),
        ports: port("fromPort").zip(port("toPort")),
        cidrs,
        groups: texts(permission, "groups", "groupId"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_s_addresses_are_read() {
        let xml = r#"<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
            <requestId>r</requestId>
            <reservationSet><item><instancesSet><item>
                <instanceId>i-0abc</instanceId>
                <instanceState><code>16</code><name>running</name></instanceState>
                <privateIpAddress>10.0.1.5</privateIpAddress>
                <ipAddress>198.51.100.7</ipAddress>
                <vpcId>vpc-1</vpcId><subnetId>subnet-1</subnetId>
                <groupSet><item><groupId>sg-1</groupId><groupName>web</groupName></item></groupSet>
                <networkInterfaceSet><item><privateIpAddress>10.0.1.99</privateIpAddress></item></networkInterfaceSet>
                <somethingNew/>
            </item></instancesSet></item></reservationSet>
        </DescribeInstancesResponse>"#;
        let document = Document::parse(xml).expect("XML");
        assert_eq!(
            instances(&document),
            [Instance {
                id: "i-0abc".into(),
                state: "running".into(),
                private_address: "10.0.1.5".parse().ok(),
                public_address: "198.51.100.7".parse().ok(),
                vpc: Some("vpc-1".into()),
                subnet: Some("subnet-1".into()),
                security_groups: vec!["sg-1".into()],
            }]
        );
    }

    #[test]
    fn an_interface_has_a_public_address_only_where_one_is_associated() {
        let xml = "<R><networkInterfaceSet>
            <item><networkInterfaceId>eni-1</networkInterfaceId><privateIpAddress>10.0.0.1</privateIpAddress>
                <association><publicIp>198.51.100.8</publicIp></association></item>
            <item><networkInterfaceId>eni-2</networkInterfaceId><privateIpAddress>10.0.0.2</privateIpAddress></item>
        </networkInterfaceSet></R>";
        let document = Document::parse(xml).expect("XML");
        let found = network_interfaces(&document);
        assert_eq!(found[0].public_address, "198.51.100.8".parse().ok());
        assert_eq!((found[1].id.as_str(), found[1].public_address), ("eni-2", None));
    }

    #[test]
    fn what_a_security_group_lets_in_is_read() {
        let xml = "<R><securityGroupInfo><item><groupId>sg-1</groupId><groupName>web</groupName><vpcId>vpc-1</vpcId>
            <ipPermissions>
                <item><ipProtocol>tcp</ipProtocol><fromPort>8000</fromPort><toPort>9000</toPort>
                    <ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges>
                    <ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6></item></ipv6Ranges></item>
                <item><ipProtocol>-1</ipProtocol><groups><item><groupId>sg-2</groupId></item></groups></item>
            </ipPermissions></item></securityGroupInfo></R>";
        let document = Document::parse(xml).expect("XML");
        let groups = security_groups(&document);
        assert_eq!(groups[0].ingress[0].ports, Some((8000, 9000)));
        assert_eq!(groups[0].ingress[0].cidrs, ["0.0.0.0/0", "::/0"]);
        assert_eq!(
            (groups[0].ingress[1].ports, groups[0].ingress[1].groups[0].as_str()),
            (None, "sg-2")
        );
    }

    #[test]
    fn subnets_are_read() {
        let xml = "<R><subnetSet><item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId><availabilityZone>us-east-1a</availabilityZone>
            <cidrBlock>10.0.1.0/24</cidrBlock><availableIpAddressCount>251</availableIpAddressCount><mapPublicIpOnLaunch>true</mapPublicIpOnLaunch></item></subnetSet></R>";
        let document = Document::parse(xml).expect("XML");
        let subnets = subnets(&document);
        assert_eq!((subnets[0].vpc.as_str(), subnets[0].free_addresses), ("vpc-1", 251));
        assert!(subnets[0].gives_public_addresses && subnets[0].cidr == "10.0.1.0/24");
    }

    #[test]
    fn where_a_subnet_s_packets_go_is_read() {
        let xml = "<R><routeTableSet>
            <item><routeTableId>rtb-1</routeTableId><vpcId>vpc-1</vpcId>
                <routeSet><item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId></item>
                    <item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><natGatewayId>nat-1</natGatewayId><state>active</state></item></routeSet>
                <associationSet><item><main>false</main><subnetId>subnet-1</subnetId></item></associationSet></item>
            <item><routeTableId>rtb-2</routeTableId><vpcId>vpc-1</vpcId>
                <routeSet><item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><gatewayId>igw-1</gatewayId><state>blackhole</state></item></routeSet>
                <associationSet><item><main>true</main></item></associationSet></item>
        </routeTableSet></R>";
        let document = Document::parse(xml).expect("XML");
        let tables = route_tables(&document);
        assert_eq!(
            (tables[0].default_route.as_deref(), tables[0].is_main),
            (Some("nat-1"), false)
        );
        assert_eq!(tables[0].subnets, ["subnet-1"]);
        assert_eq!((tables[1].default_route.as_deref(), tables[1].is_main), (None, true));
    }
}
