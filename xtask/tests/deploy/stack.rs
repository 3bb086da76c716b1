//! The stack as a whole: its names, its function's environment, its tables.

use serde_json::{Value, json};

use crate::description::{Template, all_within};

/// The variables that the requirements document, and those that stand beside them.
const DOCUMENTED: &[&str] = &[
    "ECS_CLUSTER",
    "CLUSTER_NAME",
    "TASK_DEFINITION",
    "TARGET_GROUP_ARN",
    "SUBNETS",
    "SECURITY_GROUPS",
    "CONTAINER_PORT",
    "TASK_WAIT_TIMEOUT",
    "LOG_LEVEL",
    "TABLE_NAME",
    "EC2_IP",
    "EC2_PUBLIC_IP",
    "REGISTRY_TABLE_NAME",
    "TASK_POLL_INTERVAL",
    "LAUNCH_TYPE",
    "ASSIGN_PUBLIC_IP",
];
/// And of each service that is no tenants'.
const OF_A_SERVICE: &[&str] = &["CLUSTER", "TASK_DEF", "TARGET_GROUP_ARN", "SUBNETS", "SECURITY_GROUPS"];

fn environment(template: &Template) -> &serde_json::Map<String, Value> {
    template.properties("Function")["Environment"]["Variables"]
        .as_object()
        .expect("variables")
}

#[test]
fn every_documented_variable_comes_from_a_parameter_or_a_table() {
    let template = Template::stack();
    let configuration = crate::files::configuration();
    let services = configuration["services"].as_table().expect("services");
    let of_services = services
        .iter()
        .filter(|(_, service)| service.get("tenant").is_none())
        .flat_map(|(name, _)| {
            OF_A_SERVICE
                .iter()
                .map(move |end| format!("{}_{end}", name.to_uppercase()))
        });
    let names: Vec<String> = DOCUMENTED.iter().map(ToString::to_string).chain(of_services).collect();
    assert_eq!(names.len(), DOCUMENTED.len() + 25);
    for name in names {
        let value = environment(&template)
            .get(&name)
            .unwrap_or_else(|| panic!("{name} is not wired"));
        let comes_from = all_within(value).into_iter().filter_map(|value| value["Ref"].as_str());
        let known = |name: &str| {
            template.parameters().contains_key(name) || template.resources().any(|resource| resource.name == name)
        };
        assert!(comes_from.into_iter().any(known), "{name} is {value}");
    }
    for (variable, default) in [
        ("TaskWaitTimeout", json!(300)),
        ("TaskPollInterval", json!(5)),
        ("LogLevel", json!("INFO")),
    ] {
        assert_eq!(template.parameters()[variable]["Default"], default);
    }
    assert_eq!(template.parameters()["AssignPublicIp"]["Default"], "ENABLED");
}

#[test]
fn the_key_of_the_mail_provider_goes_by_the_name_of_its_secret() {
    let template = Template::stack();
    assert!(!environment(&template).contains_key("RESEND_API_KEY"));
    assert_eq!(
        environment(&template)["WHARF_AWS_RESEND_SECRET"],
        json!({"Ref": "ResendSecret"})
    );
}

#[test]
fn the_environment_fits_into_what_lambda_takes() {
    const MAX: usize = 4096;
    let template = Template::stack();
    let names: usize = environment(&template).keys().map(|name| name.len() + 2).sum();
    // Four ARNs of a hundred characters, six other settings of thirty, and subnets and groups once.
    assert!(names + 4 * 100 + 6 * 30 + 200 < MAX / 2, "{names}");
}

#[test]
fn the_stage_names_everything() {
    let template = Template::stack();
    let names = [
        "FunctionName",
        "RoleName",
        "LogGroupName",
        "QueueName",
        "TableName",
        "TopicName",
        "AlarmName",
        "Name",
    ];
    let mut named = 0;
    for resource in template.resources() {
        for key in names {
            let Some(name) = resource
                .properties
                .get(key)
                .filter(|_| resource.kind != "AWS::Lambda::EventInvokeConfig")
            else {
                continue;
            };
            if key == "FunctionName" && resource.name != "Function" {
                continue;
            }
            let text = name["Fn::Sub"]
                .as_str()
                .unwrap_or_else(|| panic!("{}: {key} is {name}", resource.name));
            assert!(text.contains("${Stage}"), "{}: {text}", resource.name);
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
    for (resource, key, name) in [
        ("Function", "FunctionName", "start-engines-lambda-${Stage}"),
        ("FunctionRole", "RoleName", "start-engines-lambda-role-${Stage}"),
        ("LogGroup", "LogGroupName", "/aws/lambda/start-engines-lambda-${Stage}"),
    ] {
        assert_eq!(template.properties(resource)[key]["Fn::Sub"], name, "as documented");
    }
    assert_eq!(template.parameters()["Stage"]["Default"], "dev");
}

#[test]
fn tables_are_kept_and_can_be_brought_back() {
    let template = Template::stack();
    let tables = template.of_kind("AWS::DynamoDB::Table");
    assert_eq!(tables.len(), 3);
    for table in tables {
        assert_eq!(
            table.properties["PointInTimeRecoverySpecification"],
            json!({"PointInTimeRecoveryEnabled": true}),
            "{}",
            table.name
        );
        assert_eq!(table.properties["BillingMode"], "PAY_PER_REQUEST", "{}", table.name);
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            assert_eq!(table.whole[policy], "Retain", "{}", table.name);
        }
        let condition = table.whole["Condition"]
            .as_str()
            .expect("one that is there already is not made");
        assert!(template.body["Conditions"][condition]["Fn::Equals"].is_array());
    }
    let keys = |table: &str| template.properties(table)["KeySchema"][0]["AttributeName"].clone();
    assert_eq!(
        (keys("RegistryTable"), keys("PortsTable")),
        (json!("userId"), json!("port")),
        "as documented"
    );
}

#[test]
fn the_function_is_what_is_built() {
    let template = Template::stack();
    let function = template.properties("Function");
    assert_eq!(
        (&function["Runtime"], &function["Handler"]),
        (&json!("provided.al2023"), &json!("bootstrap"))
    );
    assert_eq!(
        function["CodeUri"], "../target/lambda/bootstrap/",
        "where cargo-lambda leaves the binary of this name"
    );
    assert_eq!(function["Architectures"], json!([{"Ref": "Architecture"}]));
    assert_eq!(
        template.parameters()["Architecture"]["AllowedValues"],
        json!(["arm64", "x86_64"])
    );
    assert!(
        template.properties("LogGroup")["RetentionInDays"].is_object(),
        "logs do not stay for ever"
    );
}

#[test]
fn every_condition_and_mapping_is_used_and_every_parameter_counts() {
    let template = Template::stack();
    let text = crate::files::text("template.yaml");
    for (section, least) in [("Conditions", 2), ("Mappings", 2), ("Parameters", 2)] {
        for name in template.body[section].as_object().expect(section).keys() {
            let words = text
                .split(|c: char| !c.is_ascii_alphanumeric())
                .filter(|word| word == name)
                .count();
            assert!(words >= least, "{section}: {name} is used nowhere");
        }
    }
}
