//! `wharf cost`: its figures as people and scripts read them. That they are right, the arithmetic's own tests say.

use serde_json::json;

use crate::{cli::seen, harness::Setup};

const FIVE: &str = r#"
[services.auth]
route = { kind = "path", prefix = "/api/auth" }
process = { command = ["./auth"] }
[services.pdf]
route = { kind = "path", prefix = "/api/pdf" }
process = { command = ["./pdf"] }
[services.fa]
route = { kind = "path", prefix = "/api/fa" }
process = { command = ["./fa"] }
[services.users]
route = { kind = "path", prefix = "/api/users" }
process = { command = ["./users"] }
[services.batch]
route = { kind = "path", prefix = "/api/batch" }
process = { command = ["./batch"] }
[services.direct]
route = { kind = "direct" }
process = { command = ["./direct"] }
"#;

#[tokio::test]
async fn one_load_balancer_is_held_against_one_for_each_service() {
    let deployment = Setup::new().configured(FIVE).not_running();
    seen("cost", &deployment, &deployment.wharf(&["cost"]).await.exits(0));
    seen(
        "cost-json",
        &deployment,
        &deployment.wharf(&["cost", "--json"]).await.exits(0),
    );
}

#[tokio::test]
async fn the_services_on_aws_are_those_of_the_requirements() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../deploy/wharf.toml");
    let deployment = Setup::new().not_running();
    let cost = deployment
        .wharf(&["cost", "--config", file, "--json"])
        .await
        .exits(0)
        .json();
    assert_eq!(cost["services"], json!(["auth", "batch", "fa", "pdf", "users"]));
    assert_eq!(cost["load_balancers"][0]["one_each"]["count"], 5.0);
}

#[tokio::test]
async fn prices_and_quantities_of_ones_own_are_taken() {
    let deployment = Setup::new().configured(FIVE).not_running();
    let words = [
        "cost",
        "--price",
        "load_balancer_hour=1",
        "--price",
        "public_ipv4_hour=0",
        "--hours",
        "100",
        "--lcus",
        "0",
        "--json",
    ];
    let cost = deployment.wharf(&words).await.exits(0).json();
    assert_eq!(
        (&cost["one_each"], &cost["one_for_all"], &cost["saving"]),
        (&json!(500.0), &json!(100.0), &json!(400.0))
    );
    assert_eq!(cost["prices"]["load_balancer_hour"]["source"], json!(null));
    assert_eq!(
        cost["services"],
        json!(["auth", "batch", "fa", "pdf", "users"]),
        "what is reached directly needs no load balancer"
    );
}

#[tokio::test]
async fn without_such_a_service_there_is_nothing_to_save() {
    let deployment = Setup::new().not_running();
    seen("cost-none", &deployment, &deployment.wharf(&["cost"]).await.exits(0));
}

#[tokio::test]
async fn what_is_no_price_and_no_quantity_is_refused() {
    let deployment = Setup::new().configured(FIVE).not_running();
    let refused = |arguments: &'static [&'static str]| deployment.wharf(arguments);
    seen(
        "error-cost-price",
        &deployment,
        &refused(&["cost", "--price", "alb=1"]).await.exits(4),
    );
    for arguments in [
        ["cost", "--lcus=-1"],
        ["cost", "--hours=NaN"],
        ["cost", "--zones=0"],
        ["cost", "--memory=inf"],
    ] {
        assert_eq!(deployment.wharf(&arguments).await.exits(2).stdout, "");
    }
}
