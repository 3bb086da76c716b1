//! Clusters: found by name or ARN, described with what runs in them.

use super::tags::Tag;
use super::task::Status;
use crate::names::last_part;
use crate::refusal::Refusal;
use crate::world::World;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) active: bool,
    pub(crate) tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DescribeClusters {
    clusters: Vec<String>,
    include: Vec<String>,
}

impl World {
    pub(crate) fn make_cluster(&mut self, name: &str) -> String {
        let cluster = Cluster {
            name: name.to_owned(),
            active: true,
            tags: Vec::new(),
        };
        self.ecs.clusters.entry(name.to_owned()).or_insert(cluster);
        self.account.cluster(name)
    }

    /// The name of the cluster that a call names; without one it is `default`.
    pub(crate) fn cluster_of(&self, name_or_arn: Option<&str>) -> Result<String, Refusal> {
        let name = last_part(name_or_arn.unwrap_or("default"));
        match self.ecs.clusters.get(name) {
            Some(cluster) if cluster.active => Ok(cluster.name.clone()),
            Some(_) => Err(Refusal::new(
                "ClusterNotFoundException",
                "The referenced cluster was inactive.",
            )),
            None => Err(Refusal::new("ClusterNotFoundException", "Cluster not found.")),
        }
    }

    pub(crate) fn describe_clusters(&self, input: &DescribeClusters) -> Result<Value, Refusal> {
        if input.clusters.len() > 100 {
            return Err(Refusal::parameter("Clusters cannot have more than 100 elements."));
        }
        let asked = if input.clusters.is_empty() {
            vec!["default".to_owned()]
        } else {
            input.clusters.clone()
        };
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        for name in asked {
            match self.ecs.clusters.get(last_part(&name)) {
                Some(cluster) => {
                    clusters.push(self.cluster_shape(cluster, input.include.iter().any(|what| what == "TAGS")))
                }
                None => failures.push(json!({
                    "arn": self.account.cluster(last_part(&name)),
                    "reason": "MISSING",
                })),
            }
        }
        Ok(json!({ "clusters": clusters, "failures": failures }))
    }

    pub(crate) fn list_clusters(&self) -> Value {
        let arns: Vec<_> = self
            .ecs
            .clusters
            .keys()
            .map(|name| self.account.cluster(name))
            .collect();
        json!({ "clusterArns": arns })
    }

    fn cluster_shape(&self, cluster: &Cluster, with_tags: bool) -> Value {
        let tasks = || self.ecs.tasks.values().filter(|task| task.cluster == cluster.name);
        let instances = self
            .ecs
            .instances
            .values()
            .filter(|instance| instance.cluster == cluster.name);
        json!({
            "clusterArn": self.account.cluster(&cluster.name),
            "clusterName": cluster.name,
            "status": if cluster.active { "ACTIVE" } else { "INACTIVE" },
            "registeredContainerInstancesCount": instances.count(),
            "runningTasksCount": tasks().filter(|task| task.status == Status::Running).count(),
            "pendingTasksCount": tasks().filter(|task| task.status < Status::Running).count(),
            "activeServicesCount": 0,
            "statistics": [],
            "tags": if with_tags { json!(cluster.tags) } else { json!([]) },
            "settings": [{ "name": "containerInsights", "value": "disabled" }],
            "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "defaultCapacityProviderStrategy": [],
        })
    }
}
