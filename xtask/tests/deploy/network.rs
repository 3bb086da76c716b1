//! What is open, and to whom: nothing by oversight.

use serde_json::{Value, json};

use crate::{
    description::{Template, all_within, list},
    files::{configuration, text},
};

const TEMPLATES: [&str; 3] = ["template.yaml", "alb.yaml", "ec2-host.yaml"];

#[test]
fn nothing_is_open_to_everybody_unless_a_parameter_says_so() {
    for name in TEMPLATES {
        let template = Template::read(name);
        for value in all_within(&template.body["Resources"]) {
            let text = value.as_str().unwrap_or_default();
            assert!(!text.contains("0.0.0.0/0") && !text.contains("::/0"), "{name}: {text}");
        }
        for group in template.of_kind("AWS::EC2::SecurityGroup") {
            for rule in group.properties["SecurityGroupIngress"].as_array().expect("rules") {
                let from = rule.get("CidrIp").or_else(|| rule.get("SourceSecurityGroupId"));
                assert!(
                    from.is_some_and(|from| from["Ref"].is_string()),
                    "{name}: {}: {rule}",
                    group.name
                );
            }
        }
    }
    let host = Template::read("ec2-host.yaml");
    assert!(
        host.parameters()["ClientCidr"].get("Default").is_none(),
        "who opens a host says to whom"
    );
}

#[test]
fn only_the_load_balancer_reaches_tasks() {
    let template = Template::read("alb.yaml");
    let balancer = json!({"Ref": "LoadBalancerSecurityGroup"});
    let rules = template.properties("TaskSecurityGroup")["SecurityGroupIngress"]
        .as_array()
        .expect("rules");
    let further = template.of_kind("AWS::EC2::SecurityGroupIngress");
    for rule in rules.iter().chain(further.iter().map(|rule| rule.properties)) {
        assert_eq!(rule["SourceSecurityGroupId"], balancer);
    }
    assert_eq!(
        template.properties("LoadBalancer")["Subnets"],
        json!({"Ref": "PublicSubnets"})
    );
}

#[test]
fn http_is_sent_on_to_https() {
    let template = Template::read("alb.yaml");
    let action = &template.properties("HttpListener")["DefaultActions"][0];
    assert_eq!(
        (&action["Type"], &action["RedirectConfig"]["Protocol"]),
        (&json!("redirect"), &json!("HTTPS"))
    );
    let https = template.properties("HttpsListener");
    assert_eq!((&https["Port"], &https["Protocol"]), (&json!(443), &json!("HTTPS")));
    assert_eq!(
        https["Certificates"],
        json!([{"CertificateArn": {"Ref": "CertificateArn"}}])
    );
}

#[test]
fn each_service_of_the_configuration_has_a_target_group_a_path_and_a_port() {
    let template = Template::read("alb.yaml");
    let stack = Template::stack();
    let configuration = configuration();
    let services = configuration["services"].as_table().expect("services");
    let mut priorities = Vec::new();
    let mut seen = 0;
    for (name, service) in services.iter().filter(|(_, service)| service.get("tenant").is_none()) {
        seen += 1;
        let title = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        let port = service["ecs"]["port"].as_integer().expect("a port");
        assert_eq!(
            template.parameters()[&format!("{title}Port")]["Default"],
            port,
            "{name}"
        );
        let group = template.properties(&format!("{title}TargetGroup"));
        assert_eq!(group["TargetType"], "ip", "each Fargate task has an address of its own");
        assert_eq!(group["Port"], json!({"Ref": format!("{title}Port")}));
        let rule = template.properties(&format!("{title}Rule"));
        let paths = json!([format!("/api/{name}"), format!("/api/{name}/*")]);
        assert_eq!(rule["Conditions"][0]["PathPatternConfig"]["Values"], paths);
        assert_eq!(
            rule["Actions"][0]["TargetGroupArn"],
            json!({"Ref": format!("{title}TargetGroup")})
        );
        priorities.push(rule["Priority"].as_u64().expect("a priority"));
        let output = format!("{title}TargetGroupArn");
        assert_eq!(
            template.body["Outputs"][&output]["Value"],
            json!({"Ref": format!("{title}TargetGroup")})
        );
        assert!(
            stack.parameters().contains_key(&output),
            "{output} is what the stack asks for"
        );
    }
    assert_eq!(seen, 5);
    priorities.dedup();
    assert_eq!(priorities.len(), 5, "two rules of one priority are refused");
}

#[test]
fn documented_services_are_those_of_the_configuration() {
    let configuration = configuration();
    let ecs = |service: &str, key: &str| configuration["services"][service]["ecs"][key].clone();
    for (service, cluster, definition, port) in [
        ("auth", "auth-cluster", "auth-api-task", 8080),
        ("pdf", "pdf-cluster", "pdf-creator-task", 9080),
        ("fa", "fa-cluster", "fa-engine-task", 2531),
    ] {
        assert_eq!(ecs(service, "cluster").as_str(), Some(cluster));
        assert_eq!(ecs(service, "task_definition").as_str(), Some(definition));
        assert_eq!(ecs(service, "port").as_integer(), Some(port));
    }
    let url = configuration["services"]["crownmercado"]["ecs"]["route"]["url"].as_str();
    assert_eq!(url, Some("http://{subdomain}.{ip}.sslip.io:{port}"));
}

#[test]
fn whatever_the_configuration_runs_is_within_reach_of_the_function() {
    let stack = Template::stack();
    let configuration = configuration();
    for (name, service) in configuration["services"].as_table().expect("services") {
        let ecs = &service["ecs"];
        let cluster = ecs["cluster"].as_str().expect("a cluster");
        assert!(
            stack.default_list("AllowedClusters").contains(&cluster),
            "{name}: {cluster}"
        );
        let definition = ecs["task_definition"].as_str().expect("a task definition");
        assert!(
            stack.default_list("AllowedTaskDefinitions").contains(&definition),
            "{name}: {definition}"
        );
        let groups = ecs["route"]
            .get("arns")
            .and_then(toml::Value::as_array)
            .cloned()
            .unwrap_or_default();
        for arn in &groups {
            let group = arn.as_str().and_then(|arn| arn.split('/').nth(1)).expect("an ARN");
            let fits = |pattern: &str| {
                pattern
                    .strip_suffix('*')
                    .map_or(pattern == group, |start| group.starts_with(start))
            };
            assert!(
                stack.default_list("AllowedTargetGroups").into_iter().any(fits),
                "{name}: {group}"
            );
        }
    }
}

#[test]
fn tenants_get_neither_at_the_hosts_role_nor_at_its_database_from_outside() {
    let host = Template::read("ec2-host.yaml");
    let metadata = &host.properties("Host")["MetadataOptions"];
    assert_eq!(
        (&metadata["HttpTokens"], &metadata["HttpPutResponseHopLimit"]),
        (&json!("required"), &json!(1))
    );
    let opened = host.properties("HostSecurityGroup")["SecurityGroupIngress"]
        .as_array()
        .expect("rules");
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0]["FromPort"], json!({"Ref": "FirstPort"}));
    assert!(host.parameters()["FirstPort"]["Default"].as_u64() > Some(5432));
    assert_eq!(
        host.parameters()["FirstPort"]["Default"],
        32_768,
        "where Docker's dynamic ports begin"
    );
    assert_eq!(host.parameters()["LastPort"]["Default"], 65_535);
}

#[test]
fn passwords_are_generated_and_stand_nowhere() {
    for name in TEMPLATES {
        let template = Template::read(name);
        for secret in template.of_kind("AWS::SecretsManager::Secret") {
            assert!(
                secret.properties.get("SecretString").is_none(),
                "{name}: {}",
                secret.name
            );
            assert!(
                secret.properties["GenerateSecretString"]["PasswordLength"].as_u64() >= Some(32),
                "{name}: {}",
                secret.name
            );
        }
        assert!(
            !text(name).contains("{{resolve:secretsmanager"),
            "{name}: what is resolved stands in the configuration of what uses it"
        );
    }
    let host = Template::read("ec2-host.yaml");
    let container = &host.properties("PostgresTask")["ContainerDefinitions"][0];
    let names = |key: &str| -> Vec<Value> {
        list(&container[key])
            .iter()
            .map(|variable| variable["Name"].clone())
            .collect()
    };
    assert_eq!(names("Secrets"), [json!("POSTGRES_PASSWORD")]);
    assert!(!names("Environment").contains(&json!("POSTGRES_PASSWORD")));
}
