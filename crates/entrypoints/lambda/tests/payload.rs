//! Every documented payload is told for what it is, and what is none of them is refused with what is wrong.

use serde_json::{Value, json};
use wharf_domain::Code;
use wharf_lambda::{Message, Note, Payload};

fn read(name: &str) -> Value {
    let path = format!("{}/tests/payloads/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("a fixture");
    serde_json::from_str(&text).expect("JSON")
}

fn classify(name: &str) -> Payload {
    Payload::classify(read(name)).expect(name)
}

fn message(name: &str) -> Message {
    match classify(name) {
        Payload::Message(message) => message,
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn what_is_asked_by_hand_is_waited_for_and_what_a_bus_delivers_is_not() {
    let by_hand = [
        "start",
        "start_explicit",
        "start_bare",
        "stop",
        "user",
        "sign_up",
        "schedule_morning",
    ];
    for (name, waits) in by_hand
        .map(|name| (name, true))
        .into_iter()
        .chain([("start_delivered", false)])
    {
        match message(name) {
            Message::Event { event, awaited } => assert_eq!((awaited, event), (waits, read(name)), "{name}"),
            other => panic!("{name} is {other:?}"),
        }
    }
    let body = read("start").to_string();
    let queued = Message::parse(&body).expect("an event");
    assert!(
        matches!(queued, Message::Event { awaited: false, .. }),
        "nobody waits behind a queue"
    );
}

#[test]
fn notes_are_wharfs_own() {
    let id = || "inst_01je4q5gkv8a9xw3n2b7c6d5eg".parse().expect("an id");
    assert_eq!(message("sweep"), Message::Note(Note::Sweep));
    assert_eq!(message("repair"), Message::Note(Note::Repair));
    assert_eq!(message("scheduled"), Message::Note(Note::Sweep));
    assert_eq!(message("wake"), Message::Note(Note::Wake { id: id(), seq: 3 }));
    let seen = wharf_saga::Seen { epoch: 2, renewals: 7 };
    assert_eq!(message("lease"), Message::Note(Note::Lease { id: id(), seen }));
    let Message::Note(Note::Start { event, key }) = message("machine_start") else {
        panic!("a start")
    };
    assert_eq!(event, json!({"service": "auth"}));
    assert!(key.is_some_and(|key| key.starts_with("arn:aws:states:")));
    let Message::Note(Note::Status { id: ids }) = message("machine_status") else {
        panic!("a status")
    };
    assert_eq!(ids.as_slice(), [id()]);
    assert_eq!(message("task_change"), Message::TaskChange(read("task_change")));
}

#[test]
fn notes_are_written_as_they_are_read() {
    for name in ["sweep", "wake", "lease", "machine_status"] {
        let Message::Note(note) = message(name) else {
            panic!("a note")
        };
        assert_eq!(serde_json::to_value(note).expect("JSON"), read(name));
    }
}

#[test]
fn a_schedule_may_carry_a_start() {
    let mut event = read("scheduled");
    event["detail"] = read("schedule_morning");
    let Payload::Message(Message::Event { event, .. }) = Payload::classify(event).expect("taken") else {
        panic!("an event")
    };
    assert_eq!(event, read("schedule_morning"));
}

#[test]
fn a_batch_is_records_whatever_is_in_them() {
    let Payload::Queue(records) = classify("queue") else {
        panic!("a batch")
    };
    assert_eq!(records.len(), 2);
    assert_eq!(Message::parse(&records[0].body), Ok(Message::Note(Note::Sweep)));
    assert_eq!(
        Message::parse(&records[1].body).expect_err("no JSON").code,
        Code::EventInvalid
    );
}

#[tokio::test]
async fn an_http_request_is_as_its_caller_sent_it() {
    let Payload::Http(event) = classify("http") else {
        panic!("a request")
    };
    let request = event.into_request().expect("HTTP");
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "/provision?a=1&b=x%20y");
    assert_eq!(request.headers()["cookie"], "a=1; b=2");
    let peer = request
        .extensions()
        .get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
    assert_eq!(peer.expect("a peer").0.ip().to_string(), "203.0.113.9");
    let body = axum::body::to_bytes(request.into_body(), 1000).await.expect("a body");
    assert_eq!(&body[..], b"{\"subdomain\": \"acme\"}");
}

#[test]
fn a_path_keeps_what_only_looks_like_its_stage() {
    for (stage, raw, path) in [
        ("$default", "/dev/provision", "/dev/provision"),
        ("dev", "/dev", "/"),
        ("dev", "/developers", "/developers"),
        ("dev", "/provision", "/provision"),
        ("$default", "", "/"),
        ("$default", "/a b/\u{e9}", "/a%20b/%C3%A9"),
    ] {
        let mut event = read("http");
        event["rawPath"] = raw.into();
        event["requestContext"]["stage"] = stage.into();
        let Payload::Http(event) = Payload::classify(event).expect("a request") else {
            panic!("a request")
        };
        assert_eq!(event.into_request().expect("HTTP").uri().path(), path);
    }
}

#[test]
fn what_is_nothing_of_these_says_what_is_wrong() {
    for (payload, part) in [
        (json!([]), "not a JSON object"),
        (json!("text"), "not a JSON object"),
        (json!(null), "not a JSON object"),
        (json!({"wharf": "dance"}), "dance"),
        (json!({"wharf": "wake", "id": "x", "seq": 1}), "cannot be read"),
        (json!({"wharf": "wake", "seq": "1"}), "cannot be read"),
        (
            json!({"Records": [{"eventSource": "aws:s3"}]}),
            "not messages of an SQS queue",
        ),
        (json!({"Records": 7}), "not messages of an SQS queue"),
        (json!({"httpMethod": "GET", "requestContext": {}}), "payload format 1.0"),
        (json!({"requestContext": {"http": {}}}), "cannot be read"),
    ] {
        let failure = Payload::classify(payload.clone()).expect_err("refused");
        assert_eq!(failure.code, Code::EventInvalid, "{payload}");
        assert!(failure.message.contains(part), "{payload}: {}", failure.message);
    }
}
