//! What all services share: tables, queue and secrets, as a stand-in for their APIs answers.

use super::support::doctor;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wharf_aws::{
    ClientOptions, Tables,
    doctor::{Deployment, Finding, Grade},
};

/// By operation and name: an answer, or a code and its status.
fn answer(operation: &str, body: &Value) -> (u16, Value) {
    let table = |status: &str, keys: Value, attributes: Value, indexes: Value| {
        json!({"Table": {
            "TableStatus": status, "KeySchema": keys, "AttributeDefinitions": attributes, "GlobalSecondaryIndexes": indexes,
        }})
    };
    let key = |name: &str| json!([{"AttributeName": name, "KeyType": "HASH"}]);
    let typed = |name: &str, kind: &str| json!([{"AttributeName": name, "AttributeType": kind}]);
    let refused = |code: &str| (400, json!({"__type": code, "message": "no"}));
    match (
        operation,
        body["TableName"]
            .as_str()
            .or(body["SecretId"].as_str())
            .unwrap_or_default(),
    ) {
        ("DescribeTable", "UserPortRegistry") => (200, table("ACTIVE", key("userId"), typed("userId", "S"), json!([]))),
        ("DescribeTable", "ports") => (200, table("ACTIVE", key("id"), typed("id", "S"), json!([]))),
        ("DescribeTable", "denied") => refused("AccessDeniedException"),
        ("DescribeTable", _) => refused("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"),
        ("GetQueueAttributes", _) => (200, json!({"Attributes": {"VisibilityTimeout": "60"}})),
        ("GetSecretValue", "wharf/admin") => (200, json!({"Name": "wharf/admin", "SecretString": "hidden"})),
        ("GetSecretValue", "wharf/going") => refused("InvalidRequestException"),
        ("GetSecretValue", _) => refused("ResourceNotFoundException"),
        _ => refused("AccessDeniedException"),
    }
}

/// One request of a connection, answered by its `X-Amz-Target`.
async fn serve(mut stream: TcpStream) {
    let mut request = Vec::new();
    let (operation, body) = loop {
        if stream.read_buf(&mut request).await.unwrap_or_default() == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let field = |name: &str| {
            let mut fields = head.lines().filter_map(|line| line.split_once(':'));
            let field = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
            field.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let length: usize = field("content-length").parse().unwrap_or_default();
        if body.len() >= length {
            let target = field("x-amz-target");
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            break (operation, serde_json::from_str(body).unwrap_or_default());
        }
    };
    let (status, answer) = answer(&operation, &body);
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status} \r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    let _ = stream.write_all((head + &answer).as_bytes()).await;
}

async fn shared(tables: Tables, secrets: Vec<(&str, &str)>) -> Vec<Finding> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    let deployment = Deployment {
        tables: Some(tables),
        queue_url: Some("https://sqs.us-east-1.amazonaws.com/123456789012/wharf-wakes"),
        secrets,
        ..Deployment::default()
    };
    let examination = doctor(ClientOptions::emulator(url)).examine(&deployment).await;
    server.abort();
    examination.findings
}

fn of<'a>(findings: &'a [Finding], what: &str) -> &'a Finding {
    let mut found = findings.iter().filter(|finding| finding.what == what);
    found.next().unwrap_or_else(|| panic!("{what} in {findings:#?}"))
}

fn tables(wharf: &str, ports: &str) -> Tables {
    Tables {
        wharf: wharf.to_owned(),
        ports: ports.to_owned(),
        registry: "UserPortRegistry".to_owned(),
    }
}

#[tokio::test]
async fn tables_have_the_keys_that_are_documented_or_it_is_said() {
    let findings = shared(tables("none", "ports"), vec![]).await;
    assert_eq!(of(&findings, "table UserPortRegistry").grade, Grade::Ok);
    let missing = of(&findings, "table none");
    assert_eq!(missing.grade, Grade::Failed);
    assert!(
        missing
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("wharf deploy"))
    );
    let other = of(&findings, "table ports");
    assert_eq!(
        other.found.as_deref(),
        Some("its key is id (S), and has to be port (N)")
    );
}

#[tokio::test]
async fn a_table_that_may_not_be_looked_at_is_a_warning_with_the_action() {
    let findings = shared(tables("denied", "ports"), vec![]).await;
    let denied = of(&findings, "permission dynamodb:DescribeTable");
    assert_eq!(denied.grade, Grade::Warning);
    assert!(
        denied
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("dynamodb:DescribeTable"))
    );
}

#[tokio::test]
async fn a_queue_without_dead_letters_is_told() {
    let findings = shared(tables("none", "ports"), vec![]).await;
    let queue = of(&findings, "queue wharf-wakes");
    assert_eq!(queue.grade, Grade::Warning);
    assert!(queue.hint.as_deref().is_some_and(|hint| hint.contains("RedrivePolicy")));
}

#[tokio::test]
async fn secrets_are_readable_missing_or_on_their_way_out_and_never_shown() {
    let secrets = vec![
        ("admin token", "wharf/admin"),
        ("token key", "wharf/going"),
        ("key of Resend", "wharf/none"),
    ];
    let findings = shared(tables("none", "ports"), secrets).await;
    assert_eq!(of(&findings, "secret wharf/admin: admin token").grade, Grade::Ok);
    let going = of(&findings, "secret wharf/going: token key");
    assert!(
        going
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("restore-secret")),
        "{going:#?}"
    );
    let none = of(&findings, "secret wharf/none: key of Resend");
    assert!(
        none.hint.as_deref().is_some_and(|hint| hint.contains("create-secret")),
        "{none:#?}"
    );
    assert!(!format!("{findings:?}").contains("hidden"));
}
