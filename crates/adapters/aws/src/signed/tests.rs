//! Signed calls against a listener of our own: what is sent, and what each kind of answer is taken for.

use super::*;
use crate::ClientOptions;
use parking_lot::Mutex;
use std::num::NonZeroU32;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use wharf_domain::{Code, Timestamp};
use wharf_saga::Ids;

pub(crate) struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(1_750_000_000_000)
    }
}

impl Ids for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x80);
    }
}

/// Answers every question with the same.
#[derive(Debug)]
pub(crate) struct Canned {
    pub(crate) answer: Result<String, SignedError>,
    pub(crate) asked: Mutex<Vec<Question>>,
}

#[async_trait]
impl Transport for Canned {
    async fn send(&self, question: &Question) -> Result<String, SignedError> {
        self.asked.lock().push(question.clone());
        self.answer.clone()
    }
}

pub(crate) fn canned(answer: Result<&str, SignedError>) -> (Signed, Arc<Canned>) {
    let canned = Arc::new(Canned {
        answer: answer.map(str::to_owned),
        asked: Mutex::default(),
    });
    let signed = Signed {
        sender: canned.clone(),
        governor: Arc::new(Governor::new(NonZeroU32::MIN, Arc::new(Fixed))),
    };
    (signed, canned)
}

/// The request that came, and what was made of the answer.
async fn exchanged(status: u16, answer: &str) -> (String, Result<String, SignedError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let sender = Sender {
        clients: Arc::new(Clients::new(ClientOptions::emulator(url))),
        clock: Arc::new(Fixed),
        connector: OnceLock::new(),
        credentials: CachedCredentials::default(),
    };
    let question = Question::query(
        EC2,
        "DescribeInstances",
        "2016-11-15",
        &[("InstanceId.1".into(), "i-1 &".into())],
    );
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&request).ends_with("%26") {
            let count = stream.read(&mut buffer).await.expect("read");
            request.extend(&buffer[..count]);
        }
        let length = answer.len();
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
        stream.write_all(answer.as_bytes()).await.expect("written");
        String::from_utf8(request).expect("text")
    };
    let (request, answer) = tokio::join!(serve, sender.send(&question));
    (request.to_lowercase(), answer)
}

#[tokio::test]
async fn a_question_is_a_signed_form() {
    let (request, answer) = exchanged(200, "<ok/>").await;
    assert_eq!(answer.as_deref(), Ok("<ok/>"));
    assert!(
        request.contains("action=describeinstances&version=2016-11-15&instanceid.1=i-1%20%26"),
        "{request}"
    );
    assert!(
        request.contains("authorization: aws4-hmac-sha256 credential=emulator/20250615/us-east-1/ec2/aws4_request"),
        "{request}"
    );
    assert!(
        request.contains("signedheaders=content-type;host;x-amz-date"),
        "{request}"
    );
}

#[tokio::test]
async fn refusals_are_read_from_xml_and_from_json() {
    let xml = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>not you</Message></Error></Errors></Response>";
    let json = r#"{"__type": "com.amazonaws.logs#ResourceNotFoundException", "message": "none"}"#;
    for (status, body, expected) in [
        (403, xml, ("UnauthorizedOperation", "not you")),
        (400, json, ("ResourceNotFoundException", "none")),
        (502, "bad gateway", ("", "bad gateway")),
    ] {
        let (_, answer) = exchanged(status, body).await;
        let (code, message) = expected;
        assert_eq!(
            answer,
            Err(SignedError::Answered {
                status,
                code: code.into(),
                message: message.into()
            })
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_call_names_its_action() {
    let (signed, _) = canned(Err(SignedError::Answered {
        status: 403,
        code: "UnauthorizedOperation".into(),
        message: "You are not authorized to perform this operation.".into(),
    }));
    let question = Question::query(EC2, "DescribeInstances", "1", &[]);
    let failure = signed
        .ask(Operation::Ec2DescribeInstances, "*", Governor::deadline(), &question)
        .await
        .expect_err("denied");
    assert_eq!(failure.code, Code::AwsDenied);
    assert!(failure.message.contains("ec2:DescribeInstances"), "{}", failure.message);
}

#[tokio::test(start_paused = true)]
async fn a_broken_call_is_tried_again_and_a_refused_one_is_not() {
    for (error, tries) in [
        (SignedError::Broken("reset".into()), 4),
        (SignedError::NoCredentials("none".into()), 1),
    ] {
        let (signed, canned) = canned(Err(error));
        let question = Question::query(EC2, "DescribeInstances", "1", &[]);
        let asked = signed.ask(Operation::Ec2DescribeInstances, "*", Governor::deadline(), &question);
        assert!(asked.await.is_err());
        assert_eq!(canned.asked.lock().len(), tries);
    }
}

#[tokio::test]
async fn each_service_has_its_own_address() {
    let emulator = Clients::new(ClientOptions::emulator("http://127.0.0.1:4566/"));
    assert_eq!(
        endpoint(emulator.config().await, EC2, "us-east-1"),
        "http://127.0.0.1:4566/"
    );
    let aws = aws_config::SdkConfig::builder().build();
    assert_eq!(
        endpoint(&aws, LOGS, "eu-west-1"),
        "https://logs.eu-west-1.amazonaws.com/"
    );
    assert_eq!(
        endpoint(&aws, STS, "cn-north-1"),
        "https://sts.cn-north-1.amazonaws.com.cn/"
    );
}
