//! What an examination found to be there, as data. Nothing is asked and nothing is judged here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    ec2::{Instance, RouteTable, SecurityGroup, Subnet},
    ecs::Definition,
    elb::TargetGroup,
};

/// What a look gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Known<T> {
    Is(T),
    /// There is none.
    Absent,
    /// Nobody answered, or not to us: the reader has why.
    #[default]
    Unknown,
}

impl<T> Known<T> {
    pub(super) const fn is(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Unknown => None,
        }
    }

    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// By name, id or ARN, as it is configured.
pub(super) type Named<T> = BTreeMap<String, Known<T>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    /// `ACTIVE`, `INACTIVE`, ….
    pub(super) status: String,
    pub(super) capacity_providers: Vec<String>,
}

/// A container instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) ec2_instance: String,
    /// `ACTIVE`, `DRAINING`, ….
    pub(super) status: String,
    pub(super) agent_connected: bool,
    /// What is left of it, in CPU units and MiB.
    pub(super) cpu_left: i32,
    pub(super) memory_left: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Balancer {
    pub(super) name: String,
    pub(super) security_groups: Vec<String>,
    pub(super) subnets: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) balancer: String,
    /// Rules beside the default one.
    pub(super) rules: Option<usize>,
}

/// A DynamoDB table's key and indexes, each as `name (S)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) status: String,
    pub(super) key: Vec<String>,
    pub(super) indexes: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    pub(super) visibility: Duration,
    pub(super) has_dead_letters: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Secret {
    pub(super) is_being_deleted: bool,
}

#[derive(Debug, Default)]
pub(super) struct World {
    /// Where all of it is.
    pub(super) region: String,
    pub(super) clusters: Named<Cluster>,
    /// By cluster.
    pub(super) hosts: Named<Vec<Host>>,
    pub(super) definitions: Named<Arc<Definition>>,
    pub(super) target_groups: Named<TargetGroup>,
    pub(super) deregistration_delays: Named<Duration>,
    pub(super) balancers: Named<Balancer>,
    pub(super) listeners: Named<Listener>,
    pub(super) instances: Named<Instance>,
    pub(super) subnets: Named<Subnet>,
    pub(super) security_groups: Named<SecurityGroup>,
    /// Of the VPCs of the tasks' subnets.
    pub(super) route_tables: Known<Vec<RouteTable>>,
    /// By name: whether it is there.
    pub(super) log_groups: Named<()>,
    pub(super) tables: Named<Table>,
    pub(super) queue: Known<Queue>,
    pub(super) secrets: Named<Secret>,
}

/// What is known of one of them.
pub(super) fn of<'a, T>(named: &'a Named<T>, name: &str) -> Option<&'a T> {
    named.get(name).and_then(Known::is)
}

impl World {
    /// Those of these that were found.
    pub(super) fn groups<'a>(
        &'a self,
        ids: impl IntoIterator<Item = &'a String>,
    ) -> impl Iterator<Item = &'a SecurityGroup> {
        ids.into_iter().filter_map(|id| of(&self.security_groups, id))
    }

    /// Where a subnet's packets for the rest of the world go.
    pub(super) fn way_out(&self, subnet: &Subnet) -> Known<&str> {
        let Some(tables) = self.route_tables.is() else {
            return Known::Unknown;
        };
        let of_vpc = || tables.iter().filter(|table| table.vpc == subnet.vpc);
        let table = of_vpc()
            .find(|table| table.subnets.contains(&subnet.id))
            .or_else(|| of_vpc().find(|table| table.is_main));
        match table.map(|table| table.default_route.as_deref()) {
            Some(Some(gateway)) => Known::Is(gateway),
            Some(None) => Known::Absent,
            None => Known::Unknown,
        }
    }
}
