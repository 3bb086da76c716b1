//! Ports: that security groups let those in who bring requests, what they let in besides, and that no host keeps a port for itself.

use ipnet::IpNet;
use wharf_domain::service::{PortRule, RouteRule};

use super::{
    super::{
        case::{Case, DYNAMIC_PORTS},
        finding::Notes,
        world::{World, of},
    },
    list,
};
use crate::{
    ec2::{Ingress, SecurityGroup},
    ecs::{NetworkMode, is_reserved},
};

/// An inclusive range.
type Range = (u16, u16);

/// Who brings requests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Visitors {
    /// Names of load balancers; none: whoever has the address.
    names: Vec<String>,
    groups: Vec<String>,
    networks: Vec<IpNet>,
}

pub(super) fn check(case: &Case<'_>, world: &World, notes: &mut Notes) {
    host_ports(case, notes);
    let guards: Vec<&SecurityGroup> = world.groups(case.guards()).collect();
    let Some(needed) = case.ports().filter(|_| !guards.is_empty()) else {
        return;
    };
    admission(case, world, &guards, needed, notes);
    exposure(case, &guards, needed, notes);
}

/// Host ports that cannot be had, or not by two.
fn host_ports(case: &Case<'_>, notes: &mut Notes) {
    let Some(shape) = case.clear() else { return };
    if shape.network == NetworkMode::Awsvpc {
        return;
    }
    if let PortRule::Static { first, last } = case.service.port {
        let what = format!("ports {}", show((first, last)));
        let reserved: Vec<u16> = (first..=last).filter(|port| is_reserved(*port)).collect();
        if reserved.is_empty() {
            notes.ok(&what, "none of them is kept by the hosts");
        } else {
            notes.fail(
                &what,
                format!("container instances keep {} for themselves", list(reserved)),
                "choose a range without 22, 2375, 2376 and 51678-51680",
            );
        }
        if first <= DYNAMIC_PORTS.1 && last >= DYNAMIC_PORTS.0 {
            notes.warn(
                format!("{what}: dynamic ports"),
                format!("hosts give ports of {} to others", show(DYNAMIC_PORTS)),
                "choose a range below 32768",
            );
        }
    } else if let Some(port) = shape.host_port {
        if is_reserved(port) {
            notes.fail(
                format!("host port {port}"),
                "container instances keep it for themselves",
                "choose another hostPort in the task definition, or 0",
            );
        } else if case.service.tenant || !case.service.singleton {
            notes.warn(
                format!("host port {port}"),
                "the task definition fixes it: a host takes one such task, and the next one waits for another host",
                "set hostPort to 0 in the task definition, or give the service a static range of ports",
            );
        }
    }
}

fn admission(case: &Case<'_>, world: &World, guards: &[&SecurityGroup], needed: Range, notes: &mut Notes) {
    let visitors = visitors(case, world);
    let rules = || guards.iter().flat_map(|group| &group.ingress);
    let open: Vec<Range> = rules()
        .filter(|rule| visitors.may_come(rule))
        .filter_map(Ingress::tcp_ports)
        .collect();
    let closed = without(needed, open);
    let names = list(guards.iter().map(|group| &group.id));
    let what = format!("security group {names}: port {}", show(needed));
    let who = match &visitors.names[..] {
        [] => "whoever brings requests".to_owned(),
        names => format!("the load balancer {}", list(names)),
    };
    if closed.is_empty() {
        notes.ok(what, format!("{who} may come in"));
        return;
    }
    let source = match &visitors.groups[..] {
        [group, ..] => format!("--source-group {group}"),
        [] => "--cidr …".to_owned(),
    };
    let id = guards.first().map_or("", |group| group.id.as_str());
    notes.fail(
        what,
        format!("{who} cannot reach {}", list(closed.iter().map(|range| show(*range)))),
        format!(
            "aws ec2 authorize-security-group-ingress --group-id {id} --protocol tcp --port {} {source}",
            show(needed)
        ),
    );
}

/// What the whole world may reach. It has to where addresses are given out that lead to the tasks themselves.
fn exposure(case: &Case<'_>, guards: &[&SecurityGroup], needed: Range, notes: &mut Notes) {
    let is_direct = matches!(case.service.route, RouteRule::Direct { .. });
    for group in guards {
        let open: Vec<&Ingress> = group.ingress.iter().filter(|rule| rule.is_open_to_all()).collect();
        let what = format!("security group {}: 0.0.0.0/0", group.id);
        if open.is_empty() {
            notes.ok(what, "opens nothing");
            continue;
        }
        let ports = list(open.iter().map(|rule| rule.show()));
        let is_needed = |rule: &&Ingress| {
            rule.tcp_ports()
                .is_some_and(|(first, last)| rule.protocol != "-1" && needed.0 <= first && last <= needed.1)
        };
        if is_direct && open.iter().all(is_needed) {
            notes.ok(what, format!("opens {ports}, as direct addresses need it"));
        } else {
            let keep = if is_direct {
                format!("open {} only", show(needed))
            } else {
                "let in the load balancer's security group instead".to_owned()
            };
            notes.warn(
                what,
                format!("opens {ports}: whoever knows a task's address reaches it without the load balancer"),
                format!(
                    "aws ec2 revoke-security-group-ingress --group-id {} …, and {keep}",
                    group.id
                ),
            );
        }
    }
}

fn visitors(case: &Case<'_>, world: &World) -> Visitors {
    let of_rule = case.rule.and_then(|rule| of(&world.listeners, &rule.listener));
    let of_rule = of_rule.map(|listener| &listener.balancer);
    let of_groups = case.groups(world).flat_map(|(_, group)| &group.load_balancers);
    let mut arns: Vec<&String> = of_groups.chain(of_rule).collect();
    arns.sort();
    arns.dedup();
    let mut visitors = Visitors::default();
    for balancer in arns.into_iter().filter_map(|arn| of(&world.balancers, arn)) {
        visitors.names.push(balancer.name.clone());
        visitors.groups.extend_from_slice(&balancer.security_groups);
        let subnets = balancer.subnets.iter().filter_map(|id| of(&world.subnets, id));
        visitors
            .networks
            .extend(subnets.filter_map(|subnet| subnet.cidr.parse::<IpNet>().ok()));
    }
    visitors
}

impl Visitors {
    /// Whether a rule is for them. Where nobody knows who they are, any may be.
    fn may_come(&self, rule: &Ingress) -> bool {
        if self.names.is_empty() || rule.is_open_to_all() {
            return true;
        }
        if rule.groups.iter().any(|group| self.groups.contains(group)) {
            return true;
        }
        let admitted: Vec<IpNet> = rule.cidrs.iter().filter_map(|cidr| cidr.parse().ok()).collect();
        let is_admitted = |network: &IpNet| admitted.iter().any(|admitted| admitted.contains(network));
        !self.networks.is_empty() && self.networks.iter().all(is_admitted)
    }
}

/// What is left of a range without these.
fn without(range: Range, mut taken: Vec<Range>) -> Vec<Range> {
    taken.sort_unstable();
    let (mut next, last) = (u32::from(range.0), u32::from(range.1));
    let mut left = Vec::new();
    for (from, to) in taken {
        let (from, to) = (u32::from(from), u32::from(to));
        if to < next || from > last {
            continue;
        }
        if from > next {
            left.push((next, from - 1));
        }
        next = next.max(to + 1);
    }
    if next <= last {
        left.push((next, last));
    }
    let narrow = |port: u32| u16::try_from(port).unwrap_or(u16::MAX);
    left.into_iter().map(|(from, to)| (narrow(from), narrow(to))).collect()
}

fn show((first, last): Range) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_rules_leave_closed_is_found() {
        assert_eq!(without((8000, 9000), vec![(0, 65_535)]), []);
        assert_eq!(without((8000, 9000), vec![(8500, 9000), (8000, 8499)]), []);
        assert_eq!(
            without((8000, 9000), vec![(8100, 8200), (8300, 65_535)]),
            [(8000, 8099), (8201, 8299)]
        );
        assert_eq!(without((8000, 9000), vec![(22, 22)]), [(8000, 9000)]);
        assert_eq!(without((65_535, 65_535), vec![(65_535, 65_535)]), []);
    }

    fn rule(cidr: &str, group: &str) -> Ingress {
        let named = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Ingress {
            protocol: "tcp".to_owned(),
            ports: Some((8080, 8080)),
            cidrs: named(cidr).into_iter().collect(),
            groups: named(group).into_iter().collect(),
        }
    }

    #[test]
    fn a_load_balancer_comes_in_by_its_group_or_by_all_of_its_subnets() {
        let visitors = Visitors {
            names: vec!["main".to_owned()],
            groups: vec!["sg-lb".to_owned()],
            networks: vec![
                "10.0.0.0/20".parse().expect("one"),
                "10.0.16.0/20".parse().expect("one"),
            ],
        };
        for (cidr, group, may) in [
            ("", "sg-lb", true),
            ("", "sg-other", false),
            ("10.0.0.0/16", "", true),
            ("10.0.0.0/20", "", false),
            ("0.0.0.0/0", "", true),
            ("192.168.0.0/16", "", false),
        ] {
            assert_eq!(visitors.may_come(&rule(cidr, group)), may, "{cidr} {group}");
        }
        assert!(Visitors::default().may_come(&rule("192.168.0.0/16", "")));
    }
}
