//! Hands events on to somebody outside of this process: an EventBridge endpoint, or a queue behind one.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Tries of one event, and the pause after the first that failed; each further one is twice as long.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who is told of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscriber {
    /// An EventBridge: each event is put on its default bus. No account, and not every emulator, takes events from a source that begins
    /// with `aws.`; then they come from another one, and a rule has to name that.
    EventBridge { endpoint: String, source: String },
    /// A queue's URL: each event is a message, in the form in which a rule of EventBridge hands it on.
    Queue(String),
}

type Http = Client<HttpConnector, Full<Bytes>>;

pub(crate) async fn publish(to: Subscriber, mut events: Receiver<Value>) {
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    loop {
        match events.recv().await {
            Ok(event) => deliver(&http, &to, &event).await,
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "events came faster than they could be handed on"),
            Err(RecvError::Closed) => return,
        }
    }
}

async fn deliver(http: &Http, to: &Subscriber, event: &Value) {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=TRIES {
        match tokio::time::timeout(TIMEOUT, send(http, to, event)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => tracing::warn!(attempt, error, "an event was not taken"),
            Err(_) => tracing::warn!(attempt, "an event was not taken in time"),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

async fn send(http: &Http, to: &Subscriber, event: &Value) -> Result<(), String> {
    let request = request(to, event).map_err(|error| error.to_string())?;
    let response = http.request(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| error.to_string())?
        .to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status.is_success() && answer["FailedEntryCount"].as_u64().unwrap_or(0) == 0 {
        Ok(())
    } else {
        Err(format!("{status}: {}", String::from_utf8_lossy(&body)))
    }
}

fn request(to: &Subscriber, event: &Value) -> http::Result<Request<Full<Bytes>>> {
    let region = event["region"].as_str().unwrap_or_default();
    let (url, service, target, content_type, body) = match to {
        Subscriber::EventBridge { endpoint, source } => {
            let entry = json!({
                "Source": source, "DetailType": event["detail-type"], "Detail": event["detail"].to_string(),
                "Resources": event["resources"],
            });
            let body = json!({ "Entries": [entry] });
            (
                endpoint,
                "events",
                "AWSEvents.PutEvents",
                "application/x-amz-json-1.1",
                body,
            )
        }
        Subscriber::Queue(url) => {
            let body = json!({ "QueueUrl": url, "MessageBody": event.to_string() });
            (url, "sqs", "AmazonSQS.SendMessage", "application/x-amz-json-1.0", body)
        }
    };
    Request::post(url)
        .header("content-type", content_type)
        .header("x-amz-target", target)
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential=simulator/20261102/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"),
        )
        .body(Full::from(body.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Value {
        json!({
            "id": "e-1", "source": "aws.ecs", "detail-type": "ECS Task State Change", "region": "us-east-2",
            "resources": ["task"], "detail": { "version": 3 },
        })
    }

    async fn body(to: &Subscriber) -> (String, Value) {
        let request = request(to, &event()).expect("a request");
        let target = request.headers()["x-amz-target"].to_str().expect("text").to_owned();
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        (target, serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn a_bus_gets_the_detail_as_text_from_the_source_that_it_takes() {
        let bus = Subscriber::EventBridge {
            endpoint: "http://127.0.0.1:1/".to_owned(),
            source: "simulated.ecs".to_owned(),
        };
        let (target, body) = body(&bus).await;
        assert_eq!(target, "AWSEvents.PutEvents");
        assert_eq!(body["Entries"][0]["Source"], "simulated.ecs");
        assert_eq!(body["Entries"][0]["Detail"], r#"{"version":3}"#);
    }

    #[tokio::test]
    async fn a_queue_gets_the_whole_envelope() {
        let url = "http://127.0.0.1:1/000000000000/wake";
        let (target, body) = body(&Subscriber::Queue(url.to_owned())).await;
        assert_eq!(
            (target.as_str(), &body["QueueUrl"]),
            ("AmazonSQS.SendMessage", &json!(url))
        );
        let message: Value = serde_json::from_str(body["MessageBody"].as_str().expect("text")).expect("JSON");
        assert_eq!(message, event());
    }
}
