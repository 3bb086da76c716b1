//! Meeting a Docker that is not what it should be.

use crate::engine::{Answer, Engine};
use serde_json::json;
use wharf_domain::Code;

#[tokio::test]
async fn a_docker_that_is_too_old_is_told_with_both_versions() {
    let engine = Engine::new(|asked| {
        (asked.what == "GET /version").then(|| Answer::json(&json!({"ApiVersion": "1.39", "Version": "18.09.1"})))
    });
    let failure = engine.open().await.unwrap_err();
    assert_eq!(failure.code, Code::DockerOutdated, "{failure}");
    assert!(
        failure.message.contains("1.39") && failure.message.contains("1.41"),
        "{failure}"
    );
    assert!(failure.hint.is_some());
}

#[tokio::test]
async fn a_docker_that_is_too_new_is_told() {
    let engine = Engine::new(|asked| {
        let words = "client version 1.53 is too old. Minimum supported API version is 1.60, please upgrade your client";
        (asked.what == "GET /version").then(|| Answer::error(400, words))
    });
    let failure = engine.open().await.unwrap_err();
    assert_eq!(failure.code, Code::DockerOutdated, "{failure}");
    assert!(failure.hint.unwrap().contains("update Wharf"));
}

#[tokio::test]
async fn what_is_not_docker_is_told() {
    let engine = Engine::new(|asked| (asked.what == "GET /version").then(|| Answer::json(&json!({"name": "x"}))));
    let failure = engine.open().await.unwrap_err();
    assert_eq!(failure.code, Code::DockerRefused, "{failure}");
    assert!(failure.hint.unwrap().contains("DOCKER_HOST"));
}

#[tokio::test]
async fn a_network_on_which_tenants_would_reach_one_another_is_not_used() {
    let engine = Engine::new(|asked| {
        asked.what.starts_with("GET /networks/").then(|| {
            Answer::json(&json!({
                "Name": "wharf-x",
                "Labels": {"wharf.deployment": wharf_domain::DeploymentId::new([5; 10]).as_str()},
                "IPAM": {"Config": [{"Subnet": "10.9.0.0/16", "Gateway": "10.9.0.1"}]},
            }))
        })
    });
    let failure = engine.open().await.unwrap_err();
    assert_eq!(failure.code, Code::ResourceForeign, "{failure}");
}
