//! Tenants' databases: the function that makes them, the way from it to PostgreSQL, and that nothing of it is there where nobody wants databases.

use serde_json::{Value, json};

use crate::description::{Template, all_within, list};

const OURS: [&str; 3] = ["DatabasesFunction", "DatabasesLogGroup", "DatabasesRole"];

/// Whether something refers to this resource by a value that is always there.
fn refers(value: &Value, resource: &str) -> bool {
    let by_ref = |value: &Value| value["Ref"] == resource || value["Fn::GetAtt"][0] == resource;
    all_within(value).into_iter().any(by_ref)
}

#[test]
fn without_a_database_server_there_is_nothing_of_it() {
    let template = Template::stack();
    assert_eq!(template.parameters()["PostgresSecret"]["Default"], "");
    for name in OURS {
        assert_eq!(template.resource(name).whole["Condition"], "HasDatabases", "{name}");
    }
    // What is there in every case speaks of it under a condition only.
    for resource in template.resources().filter(|its| !OURS.contains(&its.name)) {
        let unconditional = without_choices(resource.properties);
        for name in OURS {
            assert!(!refers(&unconditional, name), "{} needs {name}", resource.name);
        }
    }
}

/// A value without what a condition chooses.
fn without_choices(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_choices).collect(),
        Value::Object(fields) if fields.contains_key("Fn::If") => Value::Null,
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), without_choices(value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

#[test]
fn the_function_in_the_databases_network_has_no_secret_and_may_call_nobody() {
    let template = Template::stack();
    let function = template.properties("DatabasesFunction");
    assert_eq!(
        function["Environment"]["Variables"],
        json!({"LOG_LEVEL": {"Ref": "LogLevel"}})
    );
    assert_eq!(
        function["CodeUri"], "../target/lambda/databases/",
        "where cargo-lambda leaves the binary of this name"
    );
    assert_eq!(
        function["VpcConfig"]["Fn::If"][1],
        json!({
            "SubnetIds": {"Fn::Split": [",", {"Ref": "DatabaseSubnets"}]},
            "SecurityGroupIds": {"Fn::Split": [",", {"Ref": "DatabaseSecurityGroups"}]},
        })
    );
    let policies = template.properties("DatabasesRole")["Policies"]
        .as_array()
        .expect("policies");
    let statements = policies
        .iter()
        .map(|policy| policy.get("Fn::If").map_or(policy, |sides| &sides[1]))
        .flat_map(|policy| list(&policy["PolicyDocument"]["Statement"]));
    let mut seen = Vec::new();
    for statement in statements {
        seen.push(statement["Sid"].as_str().expect("a name"));
        if statement["Resource"] == "*" {
            for action in list(&statement["Action"]) {
                let action = action.as_str().expect("an action");
                let is_of_interfaces = ["NetworkInterface", "PrivateIpAddresses", "DescribeSubnets"];
                assert!(
                    action.starts_with("ec2:") && is_of_interfaces.iter().any(|what| action.contains(what)),
                    "{action}: Lambda places interfaces, and nothing else"
                );
            }
        } else {
            let resource = statement["Resource"]["Fn::Sub"].as_str().expect("a resource");
            assert!(
                resource.ends_with(":/aws/lambda/start-engines-databases-${Stage}:*"),
                "{resource}"
            );
        }
    }
    assert_eq!(seen, ["WriteLogs", "PlaceInterfaces"]);
}

#[test]
fn only_the_group_of_its_clients_reaches_postgresql_and_reaches_nothing_else() {
    let host = Template::read("ec2-host.yaml");
    let ingress = host.properties("PostgresIngress");
    assert_eq!((&ingress["FromPort"], &ingress["ToPort"]), (&json!(5432), &json!(5432)));
    assert_eq!(
        ingress["SourceSecurityGroupId"],
        json!({"Ref": "PostgresClientSecurityGroup"})
    );
    assert_eq!(ingress["GroupId"], json!({"Ref": "HostSecurityGroup"}));
    assert_eq!(host.of_kind("AWS::EC2::SecurityGroupIngress").len(), 1);
    let clients = host.properties("PostgresClientSecurityGroup");
    assert_eq!(clients["SecurityGroupIngress"], json!([]));
    let out = clients["SecurityGroupEgress"].as_array().expect("rules");
    assert_eq!(out.len(), 1);
    assert_eq!((&out[0]["FromPort"], &out[0]["ToPort"]), (&json!(5432), &json!(5432)));
    assert_eq!(
        out[0]["DestinationSecurityGroupId"],
        json!({"Ref": "HostSecurityGroup"})
    );
    let container = &host.properties("PostgresTask")["ContainerDefinitions"][0];
    assert_eq!(container["PortMappings"][0]["HostPort"], 5432, "where both rules lead");
}

#[test]
fn the_host_gives_out_what_the_stack_asks_for() {
    let (host, stack) = (Template::read("ec2-host.yaml"), Template::stack());
    for name in [
        "PostgresSecret",
        "PostgresAddress",
        "DatabaseSubnets",
        "DatabaseSecurityGroups",
    ] {
        assert!(stack.parameters().contains_key(name), "{name}");
        assert!(host.body["Outputs"][name]["Value"].is_object(), "{name}");
    }
    assert_eq!(
        host.body["Outputs"]["PostgresSecret"]["Value"],
        host.properties("PostgresSecret")["Name"],
        "by its name, which the policy is made from"
    );
    let variables = &stack.properties("Function")["Environment"]["Variables"];
    assert_eq!(variables["WHARF_AWS_POSTGRES_SECRET"], json!({"Ref": "PostgresSecret"}));
    assert_eq!(
        variables["WHARF_AWS_POSTGRES_ADDRESS"],
        json!({"Ref": "PostgresAddress"})
    );
    assert_eq!(
        variables["WHARF_AWS_DATABASES_FUNCTION"],
        json!({"Fn::If": ["HasDatabases", {"Ref": "DatabasesFunction"}, ""]})
    );
}
