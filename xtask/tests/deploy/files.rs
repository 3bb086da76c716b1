//! The files of `deploy/`, and what holds of all of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

pub(crate) fn text(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn json(name: &str) -> serde_json::Value {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `wharf.toml`, as it is written.
pub(crate) fn configuration() -> toml::Table {
    text("wharf.toml")
        .parse()
        .unwrap_or_else(|error| panic!("wharf.toml: {error}"))
}

/// Every file, with its path from `deploy/`.
fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).expect("text");
                found.push((path.display().to_string(), text));
            }
        }
    }
    assert!(found.len() >= 7, "{}", found.len());
    found
}

/// AWS's own account for examples.
const EXAMPLE_ACCOUNT: &str = "123456789012";

#[test]
fn no_file_names_an_account() {
    for (path, text) in all() {
        let numbers = text.split(|c: char| !c.is_ascii_alphanumeric());
        for number in numbers.filter(|word| word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_digit())) {
            assert_eq!(number, EXAMPLE_ACCOUNT, "{path}");
        }
    }
}

#[test]
fn no_file_holds_a_key() {
    for (path, text) in all() {
        for mark in ["AKIA", "ASIA", "re_", "-----BEGIN", "aws_secret_access_key"] {
            assert!(
                !text
                    .split_whitespace()
                    .any(|word| word.trim_matches(['"', '\'']).starts_with(mark)),
                "{path} has something that begins with {mark}"
            );
        }
    }
}

#[test]
fn task_definitions_are_as_documented() {
    let bridge = json("taskdef/crownmercado-poc-task.json");
    assert_eq!(bridge["networkMode"], "bridge");
    assert_eq!(bridge["requiresCompatibilities"], serde_json::json!(["EC2"]));
    let container = &bridge["containerDefinitions"][0];
    assert_eq!((&container["cpu"], &container["memory"]), (&256.into(), &256.into()));
    let mapping = serde_json::json!([{ "containerPort": 8000, "hostPort": 0, "protocol": "tcp" }]);
    assert_eq!(container["portMappings"], mapping);

    let fargate = json("taskdef/crownmercado-poc-task-fargate.json");
    assert_eq!(fargate["networkMode"], "awsvpc");
    // With a quarter of a processor Fargate has these, and no less.
    assert_eq!(fargate["cpu"], "256");
    assert!(["512", "1024", "2048"].contains(&fargate["memory"].as_str().expect("memory")));
    assert!(
        fargate["executionRoleArn"].is_string(),
        "without it no image is pulled and no log is written"
    );

    let host = crate::description::Template::read("ec2-host.yaml");
    for definition in [&bridge, &fargate] {
        let container = &definition["containerDefinitions"][0];
        assert_eq!(container["name"], "crownmercado-poc-container");
        assert_eq!(container["image"], "${IMAGE}");
        let log = &container["logConfiguration"];
        assert_eq!(log["logDriver"], "awslogs");
        assert_eq!(
            log["options"]["awslogs-group"],
            host.parameters()["TaskLogGroup"]["Default"],
            "the group that is made is the one that is named"
        );
    }
}

#[test]
fn the_image_runs_as_nobody_in_particular_and_listens_on_the_port_of_the_task_definition() {
    let path = folder().join("../examples/storefront/Dockerfile");
    let text = fs::read_to_string(path).expect("Dockerfile");
    let (_, last_stage) = text.rsplit_once("\nFROM ").expect("several stages");
    let user = last_stage
        .lines()
        .find_map(|line| line.strip_prefix("USER "))
        .expect("a user");
    let id = user
        .split(':')
        .next()
        .and_then(|id| id.parse::<u32>().ok())
        .expect("a number");
    assert_ne!(id, 0);
    let port =
        &json("taskdef/crownmercado-poc-task.json")["containerDefinitions"][0]["portMappings"][0]["containerPort"];
    assert!(last_stage.contains(&format!("PORT={port}")) && last_stage.contains(&format!("EXPOSE {port}")));
}
