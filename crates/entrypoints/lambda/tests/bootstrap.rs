//! The real binary against a stand-in for Lambda's runtime API: it starts, asks for work, answers, and asks again.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{Response, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc},
    time::timeout,
};

/// A debug build on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the function has said.
#[derive(Debug)]
enum Said {
    Answer(String, Value),
    Error(Value),
}

struct Runtime {
    work: Mutex<mpsc::UnboundedReceiver<Value>>,
    said: mpsc::UnboundedSender<Said>,
}

/// A function, and the service that invokes it.
struct Lambda {
    invoke: mpsc::UnboundedSender<Value>,
    said: mpsc::UnboundedReceiver<Said>,
    process: Child,
}

impl Lambda {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let (invoke, work) = mpsc::unbounded_channel();
        let (said, heard) = mpsc::unbounded_channel();
        let runtime = Arc::new(Runtime {
            work: Mutex::new(work),
            said,
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answer))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(runtime);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let process = Command::new(env!("CARGO_BIN_EXE_bootstrap"))
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "start-engines-lambda-test"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                // Nobody is asked for credentials or a region on the way.
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ])
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary");
        Self {
            invoke,
            said: heard,
            process,
        }
    }

    async fn ask(&mut self, payload: Value) -> Said {
        self.invoke.send(payload).expect("it is there");
        let said = timeout(PATIENCE, self.said.recv()).await;
        said.expect("it answers in time").expect("it is there")
    }

    /// The lines of its log, when it is over.
    async fn end(mut self) -> Vec<Value> {
        self.process.start_kill().expect("killed");
        let output = timeout(PATIENCE, self.process.wait_with_output()).await;
        let output = output.expect("it ends").expect("its output");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("each line is one JSON object"))
            .collect()
    }
}

async fn next(State(runtime): State<Arc<Runtime>>) -> Response<Body> {
    let Some(payload) = runtime.work.lock().await.recv().await else {
        return std::future::pending().await;
    };
    Response::builder()
        .header("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        .header(
            "lambda-runtime-deadline-ms",
            (now() + Duration::from_mins(8)).as_millis().to_string(),
        )
        .header(
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-2:123456789012:function:x",
        )
        .body(Body::from(payload.to_string()))
        .expect("a response")
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is Lambda, whose deadlines are the world's"
)]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

async fn answer(State(runtime): State<Arc<Runtime>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    let body = serde_json::from_slice(&body).expect("JSON");
    runtime.said.send(Said::Answer(id, body)).expect("somebody listens");
    StatusCode::ACCEPTED
}

async fn error(State(runtime): State<Arc<Runtime>>, body: Bytes) -> StatusCode {
    let body = serde_json::from_slice(&body).expect("JSON");
    runtime.said.send(Said::Error(body)).expect("somebody listens");
    StatusCode::ACCEPTED
}

#[tokio::test]
async fn it_answers_one_invocation_after_another_and_makes_nothing_that_they_do_not_need() {
    // Without any configuration: what is refused by its form alone needs none.
    let mut lambda = Lambda::start(&[("LOG_LEVEL", "DEBUG")]).await;
    for payload in [json!({"wharf": "dance"}), json!([]), json!({"httpMethod": "GET"})] {
        let Said::Answer(id, answer) = lambda.ask(payload.clone()).await else {
            panic!("{payload} is an error")
        };
        assert_eq!(id, "8476a536-e9f4-11e8-9739-2dfe598c3fcd");
        assert_eq!(
            (&answer["statusCode"], &answer["body"]["code"]),
            (&json!(400), &json!("event.invalid"))
        );
    }
    let lines = lambda.end().await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in lines {
        assert_eq!(
            (&line["level"], &line["code"]),
            (&json!("ERROR"), &json!("event.invalid"))
        );
        assert_eq!(line["requestId"], "8476a536-e9f4-11e8-9739-2dfe598c3fcd");
        assert!(line["timestamp"].is_string() && line["message"].is_string());
    }
}

#[tokio::test]
async fn what_is_not_configured_is_told_to_whoever_can_hear_it() {
    let mut lambda = Lambda::start(&[]).await;
    let Said::Answer(_, answer) = lambda.ask(json!({"service": "auth"})).await else {
        panic!("whoever asks by hand gets an answer")
    };
    assert_eq!(
        (&answer["statusCode"], &answer["body"]["code"]),
        (&json!(500), &json!("config.invalid")),
        "{answer}"
    );
    assert!(answer["body"]["hint"].is_string());
    let get = json!({"version": "2.0", "rawPath": "/", "requestContext": {"http": {"method": "GET"}}});
    let Said::Answer(_, answer) = lambda.ask(get).await else {
        panic!("whoever asks over HTTP gets an answer")
    };
    assert_eq!(answer["statusCode"], 500);
    assert!(
        answer["body"]
            .as_str()
            .is_some_and(|body| body.contains("config.invalid")),
        "{answer}"
    );
    let Said::Error(error) = lambda.ask(json!({"wharf": "sweep"})).await else {
        panic!("a sweep that cannot be made is an error, and raises an alarm")
    };
    assert_eq!(error["errorType"], "config.invalid");
}

#[tokio::test]
async fn off_lambda_it_says_what_it_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_bootstrap"))
        .env_clear()
        .output()
        .await
        .expect("it runs");
    assert!(!output.status.success());
    let line: Value = serde_json::from_slice(&output.stdout).expect("one line");
    assert!(
        line["message"]
            .as_str()
            .is_some_and(|message| message.contains("wharf up")),
        "{line}"
    );
}
