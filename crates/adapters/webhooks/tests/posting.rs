//! Posting, against a receiver that answers as it is told.

use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use wharf_platform::{MailError, Post, Poster};
use wharf_webhooks::WebhookPoster;

/// Answers each request with the next of its answers; the last one stays.
struct Receiver {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    async fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hooks?x=1", listener.local_addr().expect("an address"));
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = requests.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let request = serve(stream, answer).await;
                seen.lock().push(request);
            }
        });
        Self { url, requests, serving }
    }

    fn post(&self) -> Post {
        Post {
            url: self.url.clone(),
            headers: vec![
                ("webhook-id", "event-1".to_owned()),
                ("webhook-signature", "v1,abc=".to_owned()),
            ],
            body: "{\"type\":\"instance.ready\"}".to_owned(),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: &str) -> String {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    // Up to the end of the body, which these tests know.
    while !request.ends_with(b"instance.ready\"}") {
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => break,
            Ok(count) => request.extend_from_slice(&part[..count]),
        }
    }
    if answer.is_empty() {
        std::future::pending::<()>().await;
    }
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    String::from_utf8_lossy(&request).into_owned()
}

fn poster() -> WebhookPoster {
    WebhookPoster::new(Duration::from_secs(5), None)
}

#[tokio::test]
async fn a_message_arrives_with_its_headers_and_its_body() {
    let receiver = Receiver::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(poster().post(&receiver.post()).await, Ok(()));
    let requests = receiver.requests.lock().clone();
    let [request] = requests.as_slice() else {
        panic!("{requests:?}")
    };
    for part in [
        "POST /hooks?x=1 HTTP/1.1\r\n",
        "content-type: application/json\r\n",
        "webhook-id: event-1\r\n",
        "webhook-signature: v1,abc=\r\n",
        "\r\n\r\n{\"type\":\"instance.ready\"}",
    ] {
        assert!(request.contains(part), "{part:?} in {request}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let inside = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let location: &'static str = Box::leak(
        format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
            inside.url
        )
        .into_boxed_str(),
    );
    let receiver = Receiver::answering(location).await;
    let error = poster().post(&receiver.post()).await.expect_err("it leads elsewhere");
    assert!(
        matches!(&error, MailError::Passing(why) if why.contains("307")),
        "{error}"
    );
    assert!(inside.requests.lock().is_empty(), "nobody else was called");
}

#[tokio::test]
async fn what_an_answer_means_is_told_apart() {
    let cases = [
        ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", "permanent"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "passing"),
        ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", "passing"),
        (
            "HTTP/1.1 503 Later\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
            "later",
        ),
        (
            "HTTP/1.1 429 Later\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n",
            "passing",
        ),
        ("not HTTP at all\r\n\r\n", "passing"),
    ];
    for (answer, expected) in cases {
        let receiver = Receiver::answering(answer).await;
        let error = poster().post(&receiver.post()).await.expect_err("it is not taken");
        let found = match &error {
            MailError::Permanent(_) => "permanent",
            MailError::Passing(_) => "passing",
            MailError::Later { after, .. } => {
                assert_eq!(*after, Duration::from_secs(7));
                "later"
            }
        };
        assert_eq!(found, expected, "{answer}: {error}");
    }
}

#[tokio::test]
async fn a_receiver_that_says_nothing_is_given_up_in_time() {
    let receiver = Receiver::answering("").await;
    let poster = WebhookPoster::new(Duration::from_millis(200), None);
    let error = poster.post(&receiver.post()).await.expect_err("it says nothing");
    assert!(
        matches!(&error, MailError::Passing(why) if why.contains("200ms")),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_leaves_this_machine_readable() {
    for url in [
        "http://example.com/",
        "http://127.0.0.1.example/",
        "ftp://127.0.0.1/",
        "",
        "/hooks",
    ] {
        let post = Post {
            url: url.to_owned(),
            headers: Vec::new(),
            body: "{}".to_owned(),
        };
        let error = poster().post(&post).await.expect_err(url);
        assert!(matches!(error, MailError::Permanent(_)), "{url}: {error}");
    }
}
