//! The program: it says where it listens, has the documented account, lets itself be looked at, and hands events on.

use super::client::Client;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use wharf_aws_simulator::{Inventory, Options, SECURITY_GROUP, SUBNETS};

struct Program {
    url: String,
    http: legacy::Client<legacy::connect::HttpConnector, Full<Bytes>>,
    _child: Child,
}

impl Program {
    async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wharf-aws-simulator"))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let url = lines.next_line().await.expect("a readable pipe").expect("its address");
        Self {
            url,
            http: legacy::Client::builder(TokioExecutor::new()).build_http(),
            _child: child,
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Value {
        let response = self.http.request(request).await.expect("an answer");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&body).expect("JSON")
    }

    async fn ecs(&self, operation: &str, input: &Value) -> Value {
        let request = Request::post(&self.url)
            .header(
                "x-amz-target",
                format!("AmazonEC2ContainerServiceV20141113.{operation}"),
            )
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=A/20261102/us-east-2/ecs/aws4_request, Signature=0",
            )
            .body(Full::from(input.to_string()));
        self.send(request.expect("a request")).await
    }

    async fn state(&self) -> Value {
        let request = Request::get(format!("{}/_simulator/state", self.url)).body(Full::default());
        self.send(request.expect("a request")).await
    }

    async fn advance(&self, seconds: u64) -> Value {
        let body = Full::from(json!({ "seconds": seconds }).to_string());
        self.send(
            Request::post(format!("{}/_simulator/advance", self.url))
                .body(body)
                .expect("a request"),
        )
        .await
    }
}

fn start_auth() -> Value {
    json!({
        "cluster": "auth-cluster", "taskDefinition": "auth-api-task", "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": SUBNETS, "securityGroups": [SECURITY_GROUP] } },
    })
}

#[tokio::test]
async fn the_documented_account_is_there_and_time_passes_on_demand() {
    let program = Program::start(&["--speed", "0"]).await;
    let started = program.ecs("RunTask", &start_auth()).await;
    assert_eq!(started["failures"], json!([]), "{started}");
    assert_eq!(program.state().await["tasks"][0]["status"], "PROVISIONING");
    let state = program.advance(24).await;
    assert_eq!(
        (&state["tasks"][0]["status"], &state["calls"]["ecs:RunTask"]),
        (&json!("RUNNING"), &json!(1))
    );
    let refused = program.advance(1_000_000).await;
    assert_eq!(refused["message"], "seconds must be from 0 to 86400");
    let tenant = json!({ "cluster": "my-poc-cluster", "taskDefinition": "crownmercado-poc-task", "launchType": "EC2" });
    assert_eq!(program.ecs("RunTask", &tenant).await["failures"], json!([]));
    let state = program.advance(9).await;
    assert_eq!(state["tasks"][1]["address"][0], "127.0.0.1");
}

/// A bus or a queue: takes what is posted to it, and gives it to the test.
async fn receiver() -> (String, mpsc::UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("its address"));
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            let take = service_fn(move |request: Request<Incoming>| {
                let sender = sender.clone();
                async move {
                    let body = request.into_body().collect().await.expect("a body").to_bytes();
                    let _ = sender.send(serde_json::from_slice(&body).expect("JSON"));
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("{\"FailedEntryCount\":0}")))
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), take));
        }
    });
    (url, receiver)
}

#[tokio::test]
async fn events_are_put_on_a_bus() {
    let (url, mut puts) = receiver().await;
    let to_bus = [
        "--speed",
        "0",
        "--events-url",
        &url,
        "--events-to",
        "event-bridge",
        "--events-source",
        "simulated.ecs",
    ];
    let program = Program::start(&to_bus).await;
    program.ecs("RunTask", &start_auth()).await;
    let put = puts.recv().await.expect("an event");
    let entry = &put["Entries"][0];
    assert_eq!(
        (&entry["Source"], &entry["DetailType"]),
        (&json!("simulated.ecs"), &json!("ECS Task State Change"))
    );
    let detail: Value = serde_json::from_str(entry["Detail"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        (&detail["lastStatus"], &detail["version"]),
        (&json!("PROVISIONING"), &json!(1))
    );
}

#[tokio::test]
async fn events_are_sent_to_a_queue() {
    let (url, mut messages) = receiver().await;
    let program = Program::start(&["--speed", "0", "--events-url", &url]).await;
    program.ecs("RunTask", &start_auth()).await;
    let message = messages.recv().await.expect("a message");
    let event: Value = serde_json::from_str(message["MessageBody"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        (&event["detail-type"], &event["region"]),
        (&json!("ECS Task State Change"), &json!("us-east-2"))
    );
}

#[tokio::test]
async fn a_file_that_lists_what_cannot_be_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("resources.json");
    std::fs::write(&file, r#"{ "task_definitions": [{ "family": "x" }] }"#).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_wharf-aws-simulator"))
        .args(["--listen", "127.0.0.1:0", "--resources"])
        .arg(&file)
        .output()
        .await
        .expect("it runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("task_definitions[0]: Container list cannot be empty."),
        "{said}"
    );
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn the_documented_account_can_be_put_into_a_test_too() {
    let inventory = Inventory::parse(Inventory::DOCUMENTED).expect("it is right");
    let options = Options {
        region: inventory.region.clone().expect("a region"),
        ..Options::default()
    };
    let client = Client::start(options).await;
    client.simulator.put(&inventory).expect("all of it is taken");
    let groups = client.elb("DescribeTargetGroups", &[]).await;
    let arn = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/fa2-tg/0123456789abcdef";
    assert!(groups.contains(arn), "{groups}");
    let clusters = json!({ "clusters": ["auth-cluster", "pdf-cluster", "fa-cluster", "users-cluster", "batch-cluster", "my-poc-cluster"] });
    assert_eq!(client.ecs("DescribeClusters", clusters).await["failures"], json!([]));
}
