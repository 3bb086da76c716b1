//! An endpoint as a target group takes it: an id and a port. One id may be there many times, with different ports.

use std::fmt;
use wharf_domain::{Code, Endpoint, Failure};

use super::groups::{TargetGroup, TargetKind};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Target {
    /// An IP address, or an EC2 instance's id.
    pub(super) id: String,
    pub(super) port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.id, self.port)
    }
}

impl Target {
    /// What the group has to be given for the endpoint; `route.mismatch` where its type wants something else than there is.
    pub(super) fn of(endpoint: &Endpoint, group: &TargetGroup) -> Result<Self, Failure> {
        let id = match (&group.kind, endpoint) {
            (TargetKind::Ip, Endpoint::Address { ip, .. } | Endpoint::Host { ip: Some(ip), .. }) => ip.to_string(),
            (TargetKind::Instance, Endpoint::Host { ec2_instance, .. }) => ec2_instance.clone(),
            (TargetKind::Ip, Endpoint::Host { ec2_instance, .. }) => {
                return Err(mismatch(
                    group,
                    &format!("of type ip, and of the task only {ec2_instance} is known"),
                    "use a target group of type instance for tasks in network mode bridge or host",
                ));
            }
            (TargetKind::Instance, Endpoint::Address { ip, .. }) => {
                return Err(mismatch(
                    group,
                    &format!("of type instance, and the task has an address of its own, {ip}"),
                    "use a target group of type ip for tasks in network mode awsvpc",
                ));
            }
            (TargetKind::Other(kind), _) => {
                return Err(mismatch(
                    group,
                    &format!("of type {kind}"),
                    "use a target group of type ip (network mode awsvpc) or instance (bridge, host)",
                ));
            }
        };
        Ok(Self {
            id,
            port: endpoint.port(),
        })
    }

    /// The endpoint that was registered; nothing where it is no task's.
    pub(super) fn endpoint(&self, kind: &TargetKind) -> Option<Endpoint> {
        match kind {
            TargetKind::Ip => Some(Endpoint::Address {
                ip: self.id.parse().ok()?,
                port: self.port,
            }),
            TargetKind::Instance => Some(Endpoint::Host {
                ec2_instance: self.id.clone(),
                ip: None,
                port: self.port,
            }),
            TargetKind::Other(_) => None,
        }
    }
}

fn mismatch(group: &TargetGroup, what: &str, hint: &str) -> Failure {
    Failure::new(
        Code::RouteMismatch,
        format!("the target group {} is {what}", group.name),
    )
    .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elb::groups::example;
    use std::net::{IpAddr, Ipv4Addr};

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));

    fn address() -> Endpoint {
        Endpoint::Address { ip: IP, port: 8080 }
    }

    fn host(ip: Option<IpAddr>) -> Endpoint {
        Endpoint::Host {
            ec2_instance: "i-0123".to_owned(),
            ip,
            port: 32_768,
        }
    }

    #[test]
    fn a_group_is_given_what_its_type_wants() {
        let target = |endpoint: &Endpoint, kind| Target::of(endpoint, &example(kind)).map(|target| target.to_string());
        assert_eq!(target(&address(), TargetKind::Ip), Ok("10.0.0.5:8080".to_owned()));
        assert_eq!(target(&host(Some(IP)), TargetKind::Ip), Ok("10.0.0.5:32768".to_owned()));
        assert_eq!(target(&host(None), TargetKind::Instance), Ok("i-0123:32768".to_owned()));
    }

    #[test]
    fn a_group_of_the_wrong_type_is_a_mismatch_and_says_which_is_right() {
        for (endpoint, kind, right) in [
            (address(), TargetKind::Instance, "type ip"),
            (host(None), TargetKind::Ip, "type instance"),
            (address(), TargetKind::Other("lambda".to_owned()), "type ip"),
        ] {
            let failure = Target::of(&endpoint, &example(kind)).expect_err("no such target");
            assert_eq!(failure.code, Code::RouteMismatch);
            assert!(failure.hint.is_some_and(|hint| hint.contains(right)), "{right}");
        }
    }

    #[test]
    fn a_target_is_its_endpoint_again() {
        for (endpoint, kind) in [(address(), TargetKind::Ip), (host(None), TargetKind::Instance)] {
            let target = Target::of(&endpoint, &example(kind.clone())).expect("a target");
            assert_eq!(target.endpoint(&kind), Some(endpoint));
        }
        let odd = Target {
            id: "arn:aws:lambda:…".to_owned(),
            port: 1,
        };
        assert_eq!(odd.endpoint(&TargetKind::Ip), None);
    }
}
