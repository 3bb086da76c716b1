//! The policy of the function's role against the calls that are made. That nothing is called which it does not allow shows in every test here: the
//! simulator goes by the policy. Whether there is something in it that is never called is for this file.

use http::Method;
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::TcpListener};

use crate::{
    account::{Setup, shipped},
    wait::eventually,
};

/// Services that the simulator stands for, so that it has seen each of their calls.
const SIMULATED: &[&str] = &["ec2", "ecs", "elasticloadbalancing", "iam", "logs"];

/// What nobody calls in the life that this test leads, and what calls it.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "ec2:DescribeNetworkInterfaces",
        "a direct URL of a task with an interface of its own",
    ),
    (
        "ecs:ListTasks",
        "the look for tasks of which nobody has told, each five minutes",
    ),
    ("elasticloadbalancing:DescribeRules", "routes by rule of a listener"),
    ("elasticloadbalancing:DescribeTags", "routes by rule of a listener"),
];

fn actions(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().expect("statements");
    let of = |statement: &Value| match &statement["Action"] {
        Value::Array(actions) => actions.clone(),
        action => vec![action.clone()],
    };
    statements
        .iter()
        .flat_map(of)
        .map(|action| action.as_str().expect("an action").to_owned())
        .filter(|action| SIMULATED.contains(&action.split(':').next().unwrap_or_default()))
        .collect()
}

#[tokio::test]
async fn what_the_role_may_is_what_is_called() {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let lease = format!("[services.crownmercado]\nport = {{ kind = \"static\", range = \"{port}-{port}\" }}\n");
    let toml = shipped().replace("[services.crownmercado]\n", &lease);
    let account = Setup::default().configured(toml).deploy().await;
    account.every_task_answers();
    let acme = json!({"subdomain": "acme", "admin_email": "admin@acme.example", "company_name": "Acme Inc."});
    account.operate(Method::POST, "/provision", Some(&acme)).await.is(202);
    account
        .put_event("custom.app", "Start ECS Task", &json!({"service": "auth"}))
        .await;
    let instances = account.all_in_state(2, "ready").await;
    let id = instances[0]["id"].as_str().expect("an id");
    account
        .operate(Method::GET, &format!("/instances/{id}/logs"), None)
        .await
        .is(200);
    account
        .put_event("custom.app", "Stop ECS Tasks", &json!({"services": []}))
        .await;
    account.operate(Method::DELETE, "/tenants/acme", None).await;
    account.nothing_is_left().await;
    account.queue_is_empty().await;
    eventually("ends", async || {
        let instances = account.instances().await;
        instances.iter().all(|its| its["moving"] == false).then_some(())
    })
    .await;

    let calls = account.simulator.calls();
    let denied: Vec<_> = calls
        .iter()
        .filter(|call| call.status == 403 || call.error.as_deref() == Some("AccessDeniedException"))
        .collect();
    assert!(denied.is_empty(), "{denied:?}");
    let called: BTreeSet<String> = calls
        .iter()
        .flat_map(|call| {
            call.permissions
                .iter()
                .map(|permission| permission.action.clone())
                .chain([call.action.clone()])
        })
        .collect();
    let elsewhere: BTreeSet<String> = ELSEWHERE.iter().map(|(action, _)| (*action).to_owned()).collect();
    let allowed = actions(&account.policy("operations").await);
    let never: Vec<_> = allowed
        .difference(&called)
        .filter(|action| !elsewhere.contains(*action))
        .collect();
    assert!(never.is_empty(), "allowed, and never called: {never:?}");
    let free: Vec<_> = called.difference(&allowed).collect();
    assert!(free.is_empty(), "called, and not allowed: {free:?}");
    let strange: Vec<_> = elsewhere.difference(&allowed).collect();
    assert!(strange.is_empty(), "listed here, and not in the policy: {strange:?}");
}
