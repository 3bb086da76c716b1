//! What the function may do: as little as it needs. Whether IAM knows the actions, and takes the resources for them, parliament says.

use serde_json::{Value, json};

use crate::description::{Template, all_within, list};

/// The statements of a role's policy, those under a condition too.
fn statements(template: &Template, policy: &str) -> Vec<Value> {
    let policies = template.properties("FunctionRole")["Policies"]
        .as_array()
        .expect("policies");
    let policy = policies
        .iter()
        .find(|its| its["PolicyName"] == policy)
        .expect("the policy");
    let statements = policy["PolicyDocument"]["Statement"].as_array().expect("statements");
    statements
        .iter()
        .map(|statement| statement.get("Fn::If").map_or(statement, |sides| &sides[1]).clone())
        .collect()
}

fn actions(statement: &Value) -> Vec<&str> {
    list(&statement["Action"])
        .into_iter()
        .map(|action| action.as_str().expect("an action"))
        .collect()
}

fn all(template: &Template) -> Vec<Value> {
    [statements(template, "runtime"), statements(template, "operations")].concat()
}

#[test]
fn no_action_is_a_pattern() {
    let template = Template::stack();
    for statement in all(&template) {
        for action in actions(&statement) {
            assert!(action.contains(':') && !action.contains('*'), "{action}");
        }
        assert_eq!(statement["Effect"], "Allow");
        assert!(statement["Sid"].is_string());
    }
}

#[test]
fn only_looks_are_allowed_on_everything() {
    let template = Template::stack();
    for statement in all(&template) {
        if statement["Resource"] == "*" {
            for action in actions(&statement) {
                let (_, name) = action.split_once(':').expect("a service");
                assert!(name.starts_with("Describe") || name.starts_with("List"), "{action}");
            }
        }
    }
}

#[test]
fn what_ecs_is_asked_for_is_held_to_the_clusters() {
    let template = Template::stack();
    for statement in statements(&template, "operations") {
        for action in actions(&statement) {
            let is_of_a_cluster = [
                "ecs:RunTask",
                "ecs:StopTask",
                "ecs:DescribeTasks",
                "ecs:ListTasks",
                "ecs:DescribeContainerInstances",
            ];
            if is_of_a_cluster.contains(&action) {
                let clusters = all_within(&statement["Condition"]["ArnLike"]["ecs:cluster"]);
                assert!(clusters.contains(&&json!({"Ref": "AllowedClusters"})), "{action}");
            }
        }
    }
}

#[test]
fn roles_are_handed_to_tasks_and_to_nothing_else() {
    let template = Template::stack();
    let passing: Vec<_> = all(&template)
        .into_iter()
        .filter(|statement| actions(statement).contains(&"iam:PassRole"))
        .collect();
    assert_eq!(passing.len(), 1);
    assert_eq!(
        passing[0]["Condition"],
        json!({"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}})
    );
    assert!(all_within(&passing[0]["Resource"]).contains(&&json!({"Ref": "AllowedTaskRoles"})));
    assert_eq!(actions(&passing[0]), ["iam:PassRole"]);
}

#[test]
fn secrets_are_kept_for_instances_and_its_own_only_read() {
    let template = Template::stack();
    for statement in all(&template) {
        let actions = actions(&statement);
        if !actions.iter().any(|action| action.starts_with("secretsmanager:")) || statement["Resource"] == "*" {
            continue;
        }
        if actions == ["secretsmanager:GetSecretValue"] {
            for resource in all_within(&statement["Resource"]) {
                if let Some(arn) = resource.get("Fn::Sub").and_then(Value::as_str) {
                    // How many webhooks there are, and what they are called, is the configuration's to say.
                    let is_of_webhooks = arn.ends_with(":secret:wharf/${Stage}/webhook-*");
                    assert!(
                        arn.ends_with("-??????") || is_of_webhooks,
                        "{arn} is one secret, or one of webhooks"
                    );
                }
            }
        } else {
            let resource = statement["Resource"]["Fn::Sub"].as_str().expect("a resource");
            assert!(resource.ends_with(":secret:wharf/${Stage}/inst_*"), "{resource}");
        }
    }
    for secret in template.of_kind("AWS::SecretsManager::Secret") {
        let name = secret.properties["Name"]["Fn::Sub"].as_str().expect("a name");
        assert!(
            name.starts_with("wharf/${Stage}/") && !name.contains("inst_"),
            "{name} is no instance's"
        );
    }
}

#[test]
fn what_a_role_may_it_may_from_its_beginning() {
    // Lambda asks for the right to place interfaces when it makes a function, and a policy beside the role may be made after that.
    for name in ["template.yaml", "ec2-host.yaml", "alb.yaml"] {
        assert!(Template::read(name).of_kind("AWS::IAM::Policy").is_empty(), "{name}");
    }
}

#[test]
fn the_place_of_the_operations_is_marked() {
    let text = crate::files::text("template.yaml");
    assert_eq!(
        (
            text.matches("# >>> operations\n").count(),
            text.matches("# <<< operations\n").count()
        ),
        (1, 1)
    );
}
