//! The network: that subnets, security groups, hosts and target groups are of one VPC, and that tasks can reach what they need to start.

use std::collections::BTreeMap;

use super::{
    super::{
        case::{Case, short},
        finding::Notes,
        world::{Known, World, of},
    },
    list,
};
use crate::ec2::Subnet;

/// Fewer free addresses than this in a subnet, and somebody should know: each task takes one.
const ADDRESSES_FEW: u32 = 16;

pub(super) fn check(case: &Case<'_>, world: &World, notes: &mut Notes) {
    if case.is_awsvpc() {
        for id in &case.task.subnets {
            if world.subnets.get(id).is_some_and(Known::is_absent) {
                notes.fail(
                    format!("subnet {id}"),
                    format!("there is none in {}", world.region),
                    "correct the service's `subnets` (SUBNETS), or the region",
                );
            }
        }
        for id in &case.task.security_groups {
            if world.security_groups.get(id).is_some_and(Known::is_absent) {
                notes.fail(
                    format!("security group {id}"),
                    format!("there is none in {}", world.region),
                    "correct the service's `security_groups` (SECURITY_GROUPS), or the region",
                );
            }
        }
        let subnets: Vec<&Subnet> = case
            .task
            .subnets
            .iter()
            .filter_map(|id| of(&world.subnets, id))
            .collect();
        addresses(&subnets, notes);
        way_out(case, world, &subnets, notes);
    }
    one_vpc(case, world, notes);
}

/// What is in a VPC, and in which.
fn one_vpc(case: &Case<'_>, world: &World, notes: &mut Notes) {
    let mut members: Vec<(&str, String)> = Vec::new();
    if case.is_awsvpc() {
        let subnets = case.task.subnets.iter().filter_map(|id| of(&world.subnets, id));
        members.extend(subnets.map(|subnet| (subnet.vpc.as_str(), format!("subnet {}", subnet.id))));
        for group in world.groups(&case.task.security_groups) {
            let vpc = group.vpc.as_deref();
            members.extend(vpc.map(|vpc| (vpc, format!("security group {}", group.id))));
        }
    } else {
        for instance in &case.instances {
            let vpc = instance.vpc.as_deref();
            members.extend(vpc.map(|vpc| (vpc, format!("container instance {}", instance.id))));
        }
    }
    for (_, group) in case.groups(world) {
        let vpc = group.vpc.as_deref();
        members.extend(vpc.map(|vpc| (vpc, format!("target group {}", group.name))));
    }
    let mut by_vpc: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (vpc, what) in members {
        by_vpc.entry(vpc).or_default().push(what);
    }
    if by_vpc.len() > 1 {
        let all = by_vpc.iter().map(|(vpc, all)| format!("{vpc} has {}", list(all)));
        notes.fail(
            "VPC",
            format!("not all is of one VPC: {}", all.collect::<Vec<_>>().join("; ")),
            "tasks, their security groups and their target groups have to be of one VPC: name subnets and security groups of the \
             target groups' VPC, or other target groups",
        );
        return;
    }
    for (vpc, all) in by_vpc {
        notes.ok(format!("VPC {vpc}"), format!("of {}", list(all)));
    }
}

fn addresses(subnets: &[&Subnet], notes: &mut Notes) {
    for subnet in subnets.iter().filter(|subnet| subnet.free_addresses < ADDRESSES_FEW) {
        notes.warn(
            format!("subnet {}: addresses", subnet.id),
            format!("{} are left, and each task takes one", subnet.free_addresses),
            "name more subnets, or larger ones",
        );
    }
}

/// Whether tasks reach ECR, Docker Hub, CloudWatch Logs and the like: by a public address through an internet gateway, or by NAT.
fn way_out(case: &Case<'_>, world: &World, subnets: &[&Subnet], notes: &mut Notes) {
    let Some(shape) = case.clear() else { return };
    let is_public = shape.placement.is_fargate() && case.task.assign_public_ip;
    for subnet in subnets {
        let what = format!("subnet {}: way out", subnet.id);
        match world.way_out(subnet) {
            Known::Is(gateway) if gateway.starts_with("igw-") => {
                if is_public {
                    notes.ok(what, format!("{gateway}, with a public address for each task"));
                } else if shape.placement.is_fargate() {
                    notes.warn(
                        what,
                        format!(
                            "it leads to {gateway}, which takes nothing from tasks without a public address: they cannot pull their image \
                             unless the VPC has endpoints for ECR, S3 and CloudWatch Logs"
                        ),
                        "set assign_public_ip = true (ASSIGN_PUBLIC_IP=ENABLED), or name private subnets with a NAT gateway",
                    );
                } else {
                    notes.warn(
                        what,
                        format!("it leads to {gateway}, and tasks on EC2 never have a public address for it: what they call outside does not answer"),
                        "name private subnets with a NAT gateway, or give the VPC endpoints for what the tasks call",
                    );
                }
            }
            Known::Is(gateway) if is_public => notes.warn(
                what,
                format!("it leads to {gateway}: the public addresses that tasks are given are never reached"),
                "set assign_public_ip = false (ASSIGN_PUBLIC_IP=DISABLED) for these subnets, or name public ones",
            ),
            Known::Is(gateway) => notes.ok(what, gateway),
            Known::Unknown => {}
            Known::Absent => notes.warn(
                what,
                format!(
                    "it has none (no route for 0.0.0.0/0){}: tasks cannot pull their image unless the VPC has endpoints for ECR, S3 and \
                     CloudWatch Logs",
                    if is_public { ", so that a public address is of no use" } else { "" }
                ),
                "add a NAT gateway and a route to it, or the VPC endpoints, or name public subnets with assign_public_ip = true",
            ),
        }
    }
    if subnets.is_empty() && !case.task.subnets.is_empty() {
        return;
    }
    if case.task.security_groups.is_empty() {
        let vpc = subnets.first().map_or("", |subnet| short(&subnet.vpc));
        notes.warn(
            "security groups",
            format!("none is named: tasks are in the default one of {vpc}, which admits its own members and nobody else"),
            "name the service's `security_groups` (SECURITY_GROUPS): one that admits the load balancer on the container's port",
        );
    }
}
