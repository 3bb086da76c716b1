//! Tenants over the HTTP API: 202 at once, and then an address, a record in the documented tables, and a mail.

use http::Method;
use serde_json::{Value, json};
use std::net::TcpListener;

use crate::{
    account::{Account, Setup, shipped},
    wait::eventually,
};

pub(crate) fn acme() -> Value {
    json!({"subdomain": "acme", "admin_email": "admin@acme.example", "company_name": "Acme Inc."})
}

/// What follows the host in a URL.
pub(crate) fn path(url: &Value) -> String {
    let url = url.as_str().expect("a URL");
    let (_, rest) = url.split_once("://").expect("a scheme");
    rest.find('/').map_or("/", |at| &rest[at..]).to_owned()
}

pub(crate) async fn provisioned(account: &Account) -> Value {
    let accepted = account
        .operate(Method::POST, "/provision", Some(&acme()))
        .await
        .is(202)
        .json();
    let path = path(&accepted["status_url"]);
    eventually("a tenant that is ready", async || {
        let answer = account.ask(Method::GET, &path, None).await.is(200).json();
        (answer["status"] == "ready").then_some(answer)
    })
    .await
}

#[tokio::test]
async fn a_tenant_has_an_address_a_record_and_one_mail() {
    let account = Account::new().await;
    let ready = provisioned(&account).await;
    let task = &account.simulator.live_tasks()[0];
    assert_eq!(
        (task.cluster.as_str(), task.family.as_str()),
        ("my-poc-cluster", "crownmercado-poc-task")
    );
    let (address, port) = task.address.clone().expect("an address");
    let url = format!("http://acme.{address}.sslip.io:{port}");
    assert_eq!(ready["url"], url);
    let items = account.items("UserPortRegistry-dev").await;
    let item = items
        .iter()
        .find(|item| item["userId"]["S"] == "acme")
        .expect("a record");
    assert_eq!(item["status"]["S"], "RUNNING");
    assert_eq!(item["accessUrl"]["S"], url);
    assert_eq!(item["taskArn"]["S"], task.arn.as_str());
    assert_eq!(item["email"]["S"], "admin@acme.example");
    eventually("a mail", async || (!account.resend.mails().is_empty()).then_some(())).await;
    account.invoke(&json!({"wharf": "sweep"})).await;
    let mails = account.resend.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!(mails[0].1["to"], json!(["admin@acme.example"]));
    assert!(mails[0].1.to_string().contains(&url), "{}", mails[0].1);
}

#[tokio::test]
async fn a_static_port_is_in_the_table_of_ports_and_in_a_task_definition_of_its_own() {
    // The simulated host is this machine, so the port has to be free here.
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let lease = format!("[services.crownmercado]\nport = {{ kind = \"static\", range = \"{port}-{port}\" }}\n");
    let toml = shipped().replace("[services.crownmercado]\n", &lease);
    let account = Setup::default().configured(toml).deploy().await;
    account.every_task_answers();
    let ready = provisioned(&account).await;
    assert_eq!(ready["port"], port);
    let (items, number) = (account.items("crownmercado-ports-dev").await, port.to_string());
    let item = items
        .iter()
        .find(|item| item["port"]["N"] == number.as_str())
        .expect("a lease");
    assert_eq!(item["userId"]["S"], "acme");
    let task = &account.simulator.live_tasks()[0];
    assert_eq!(task.address.as_ref().map(|(_, port)| *port), Some(port));
    assert!(
        task.family.starts_with("crownmercado-poc-task-wharf-"),
        "{}",
        task.family
    );
    // The range holds one.
    let other = json!({"subdomain": "umbrella", "admin_email": "a@umbrella.example", "company_name": "Umbrella"});
    let refused = account.operate(Method::POST, "/provision", Some(&other)).await.json();
    assert_eq!(refused["code"], "port.exhausted", "{refused}");
}

#[tokio::test]
async fn only_the_operator_starts_and_stops_services() {
    let account = Account::new().await;
    for path in ["/services/auth/start", "/services/auth/stop"] {
        let refused = account.ask(Method::POST, path, Some(&json!({}))).await.is(401).json();
        assert_eq!(refused["code"], "auth.missing", "{refused}");
    }
    let accepted = account
        .operate(Method::POST, "/services/auth/start", Some(&json!({})))
        .await;
    assert!(accepted.status.is_success(), "{} {}", accepted.status, accepted.text());
    account.all_in_state(1, "ready").await;
    let accepted = account
        .operate(Method::POST, "/services/auth/stop", Some(&json!({})))
        .await;
    assert!(accepted.status.is_success(), "{} {}", accepted.status, accepted.text());
    account.nothing_is_left().await;
}

#[tokio::test]
async fn only_the_origins_that_the_stack_names_are_let_in() {
    let account = Setup::default()
        .with("CorsOrigins", "https://www.example.com")
        .deploy()
        .await;
    account.spell_cors_as_the_api_does().await;
    for (origin, allowed) in [
        ("https://www.example.com", Some("https://www.example.com")),
        ("https://evil.example", None),
    ] {
        let request = account
            .over_http(Method::OPTIONS, "/provision")
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        let answer = account.api.send(request, "").await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{answer:?}");
    }
}
