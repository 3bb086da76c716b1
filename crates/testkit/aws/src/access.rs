//! What a call needs to be allowed: its own action on its resources, and what AWS asks for besides. For denials, and for tests that
//! hold a policy against the calls that were made.

use crate::names::last_part;
use crate::wire::query::Query;
use crate::wire::request::{Input, Request, Service};
use crate::world::World;
use serde_json::Value;

/// An IAM action on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// `ecs:RunTask`.
    pub action: String,
    /// An ARN, or `*` where AWS knows no resource for the action.
    pub resource: String,
    /// The condition keys that the call has for it, and their values: `ecs:cluster`, `iam:PassedToService`.
    pub context: Vec<(String, String)>,
}

impl World {
    /// The call's own permissions first, one for each resource, then those that it needs besides.
    pub(crate) fn permissions(&self, request: &Request) -> Vec<Permission> {
        let action = request.action();
        let (resources, besides) = match &request.input {
            Input::Json(input) => self.json_permissions(&action, input),
            Input::Query(query) => query_permissions(&action, query),
        };
        let own = if resources.is_empty() {
            vec!["*".to_owned()]
        } else {
            resources
        };
        let context = self.context_of(request);
        own.into_iter()
            .map(|resource| Permission {
                action: action.clone(),
                resource,
                context: context.clone(),
            })
            .chain(besides)
            .collect()
    }

    fn context_of(&self, request: &Request) -> Vec<(String, String)> {
        const IN_CLUSTER: [&str; 6] = [
            "RunTask",
            "StopTask",
            "DescribeTasks",
            "ListTasks",
            "DescribeContainerInstances",
            "ListContainerInstances",
        ];
        match &request.input {
            Input::Json(input)
                if request.service == Service::Ecs && IN_CLUSTER.contains(&request.operation.as_str()) =>
            {
                let cluster = last_part(input["cluster"].as_str().unwrap_or("default"));
                vec![("ecs:cluster".to_owned(), self.account.cluster(cluster))]
            }
            _ => Vec::new(),
        }
    }

    fn json_permissions(&self, action: &str, input: &Value) -> (Vec<String>, Vec<Permission>) {
        let text = |name: &str| input[name].as_str().unwrap_or_default();
        let cluster = last_part(input["cluster"].as_str().unwrap_or("default"));
        let in_cluster = |kind: &str, reference: &str| {
            let id = last_part(reference);
            if reference.starts_with("arn:") {
                reference.to_owned()
            } else {
                self.account.ecs(&format!("{kind}/{cluster}/{id}"))
            }
        };
        let listed = |name: &str, kind: &str| {
            let references = input[name].as_array().into_iter().flatten().filter_map(Value::as_str);
            references
                .map(|reference| in_cluster(kind, reference))
                .collect::<Vec<_>>()
        };
        let group = || text("logGroupName");
        match action {
            "ecs:RunTask" => self.run_task_permissions(input, cluster),
            "ecs:RegisterTaskDefinition" => {
                let resource = self.account.ecs(&format!("task-definition/{}:*", text("family")));
                let roles = [text("taskRoleArn"), text("executionRoleArn")];
                let mut besides: Vec<_> = roles
                    .iter()
                    .filter(|role| !role.is_empty())
                    .map(|role| pass_role(role))
                    .collect();
                besides.extend(tags_on_creation("RegisterTaskDefinition", input, &resource));
                (vec![resource], besides)
            }
            "ecs:StopTask" => (vec![in_cluster("task", text("task"))], vec![]),
            "ecs:DescribeTasks" => (listed("tasks", "task"), vec![]),
            "ecs:ListTasks" => (vec![in_cluster("container-instance", "*")], vec![]),
            "ecs:DescribeContainerInstances" => (listed("containerInstances", "container-instance"), vec![]),
            "ecs:ListContainerInstances" => (vec![self.account.cluster(cluster)], vec![]),
            "ecs:DescribeClusters" => {
                let clusters = input["clusters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str);
                (
                    clusters.map(|name| self.account.cluster(last_part(name))).collect(),
                    vec![],
                )
            }
            "ecs:TagResource" | "ecs:UntagResource" | "ecs:ListTagsForResource" => {
                (vec![text("resourceArn").to_owned()], vec![])
            }
            "logs:DescribeLogStreams" => (vec![format!("{}:*", self.account.logs(group()))], vec![]),
            "logs:GetLogEvents" => (
                vec![format!(
                    "{}:log-stream:{}",
                    self.account.logs(group()),
                    text("logStreamName")
                )],
                vec![],
            ),
            _ => (vec![], vec![]),
        }
    }

    fn run_task_permissions(&self, input: &Value, cluster: &str) -> (Vec<String>, Vec<Permission>) {
        let reference = input["taskDefinition"].as_str().unwrap_or_default();
        let definition = self.find_definition(reference);
        let resource = definition.map_or_else(
            || self.account.ecs(&format!("task-definition/{}", last_part(reference))),
            |definition| self.definition_arn(definition),
        );
        let overridden = |name: &str| input["overrides"][name].as_str().map(str::to_owned);
        let roles = [
            overridden("taskRoleArn").or_else(|| definition?.task_role.clone()),
            overridden("executionRoleArn").or_else(|| definition?.execution_role.clone()),
        ];
        let mut besides: Vec<_> = roles.iter().flatten().map(|role| pass_role(role)).collect();
        besides.extend(tags_on_creation(
            "RunTask",
            input,
            &self.account.ecs(&format!("task/{cluster}/*")),
        ));
        (vec![resource], besides)
    }
}

fn query_permissions(action: &str, query: &Query) -> (Vec<String>, Vec<Permission>) {
    let one = |name: &str| query.get(name).map(str::to_owned).into_iter().collect::<Vec<_>>();
    match action {
        "elasticloadbalancing:RegisterTargets" | "elasticloadbalancing:DeregisterTargets" => {
            (one("TargetGroupArn"), vec![])
        }
        "elasticloadbalancing:CreateRule" => {
            let listener = query.get("ListenerArn").unwrap_or_default();
            let tags = (!query.structure("Tags").is_empty()).then(|| Permission {
                action: "elasticloadbalancing:AddTags".to_owned(),
                resource: format!("{}/*", listener.replacen(":listener/", ":listener-rule/", 1)),
                context: vec![("elasticloadbalancing:CreateAction".to_owned(), "CreateRule".to_owned())],
            });
            (one("ListenerArn"), tags.into_iter().collect())
        }
        "elasticloadbalancing:ModifyRule" | "elasticloadbalancing:DeleteRule" => (one("RuleArn"), vec![]),
        "elasticloadbalancing:AddTags" | "elasticloadbalancing:RemoveTags" => (query.values("ResourceArns"), vec![]),
        "iam:SimulatePrincipalPolicy" => (one("PolicySourceArn"), vec![]),
        _ => (vec![], vec![]),
    }
}

fn pass_role(role: &str) -> Permission {
    Permission {
        action: "iam:PassRole".to_owned(),
        resource: role.to_owned(),
        context: vec![("iam:PassedToService".to_owned(), "ecs-tasks.amazonaws.com".to_owned())],
    }
}

fn tags_on_creation(creation: &str, input: &Value, resource: &str) -> Option<Permission> {
    let tagged = input["tags"].as_array().is_some_and(|tags| !tags.is_empty());
    tagged.then(|| Permission {
        action: "ecs:TagResource".to_owned(),
        resource: resource.to_owned(),
        context: vec![("ecs:CreateAction".to_owned(), creation.to_owned())],
    })
}
