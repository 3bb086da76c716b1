//! The prober: a whole answer, in time, of the right size and status, and of the right one.

use super::support::{
    backend::{Server, named, text},
    *,
};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use wharf_domain::{Code, Endpoint, instance::TaskRef};
use wharf_edge::{EdgeProber, Owns};
use wharf_platform::{Probe, Prober, Proof};

fn probe(address: SocketAddr) -> Probe {
    let owner = owner(1, 1);
    Probe {
        task: TaskRef {
            id: "1".to_owned(),
            attempt: owner.attempt,
        },
        owner,
        endpoint: Endpoint::Address {
            ip: address.ip(),
            port: address.port(),
        },
        host: "acme.localhost".to_owned(),
        path: "/healthz".to_owned(),
        timeout: PATIENCE,
        identity_header: None,
    }
}

fn identified(address: SocketAddr) -> Probe {
    Probe {
        identity_header: Some("x-wharf-instance".to_owned()),
        ..probe(address)
    }
}

fn owns(answer: bool) -> Owns {
    Arc::new(move |_| Box::pin(async move { Ok(answer) }))
}

async fn with_identity(identity: String) -> Server {
    Server::start(move |_| {
        let identity = identity.clone();
        Box::pin(async move {
            let mut response = text("x");
            response
                .headers_mut()
                .insert("x-wharf-instance", identity.parse().unwrap());
            response
        })
    })
    .await
}

#[tokio::test]
async fn the_header_is_the_proof_where_there_is_one() {
    let own = with_identity(owner(1, 1).instance.to_string()).await;
    let prober = EdgeProber::new(Some(owns(false)));
    assert_eq!(prober.probe(&identified(own.address)).await, Ok(Proof::Header));
    let other = with_identity(owner(2, 1).instance.to_string()).await;
    let failure = prober.probe(&identified(other.address)).await.unwrap_err();
    assert_eq!(failure.code, Code::RouteIdentity);
    assert!(failure.message.contains(owner(2, 1).instance.as_str()), "{failure}");
    let none = named("x").await;
    let failure = prober.probe(&identified(none.address)).await.unwrap_err();
    assert_eq!(failure.code, Code::RouteIdentity);
}

#[tokio::test]
async fn the_platform_is_the_proof_elsewhere() {
    let server = named("x").await;
    let probe = probe(server.address);
    assert_eq!(EdgeProber::new(None).probe(&probe).await, Ok(Proof::Platform));
    assert_eq!(
        EdgeProber::new(Some(owns(true))).probe(&probe).await,
        Ok(Proof::Platform)
    );
    let failure = EdgeProber::new(Some(owns(false))).probe(&probe).await.unwrap_err();
    assert_eq!(failure.code, Code::RouteIdentity);
}

#[tokio::test]
async fn who_does_not_listen_is_said_to_and_at_once() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let began = Instant::now();
    let failure = EdgeProber::new(None).probe(&probe(free)).await.unwrap_err();
    assert_eq!(failure.code, Code::RouteUnhealthy);
    assert_eq!(failure.message, format!("nothing listens on {free} yet"));
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn only_a_whole_answer_of_a_good_status_counts() {
    for (answer, good) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"[..], true),
        (b"HTTP/1.1 204 No Content\r\n\r\n", true),
        (
            b"HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n",
            true,
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            true,
        ),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
        (b"HTTP/1.1 500 Oh No\r\ncontent-length: 0\r\n\r\n", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhalf", false),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
            false,
        ),
        (b"nonsense\r\n\r\n", false),
        (b"", false),
    ] {
        let server = Server::accept(([127, 0, 0, 1], 0).into(), move |mut stream| {
            Box::pin(async move {
                use tokio::io::AsyncWriteExt;
                backend::read_head(&mut stream).await;
                let _ = stream.write_all(answer).await;
            })
        })
        .await;
        let outcome = EdgeProber::new(None).probe(&probe(server.address)).await;
        let shown = String::from_utf8_lossy(answer);
        assert_eq!(outcome.is_ok(), good, "{shown:?}: {outcome:?}");
        if let Err(failure) = outcome {
            assert_eq!(failure.code, Code::RouteUnhealthy, "{shown:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_waited_for() {
    let large = Server::start(|_| Box::pin(async { text("x".repeat(65 * 1024)) })).await;
    let failure = EdgeProber::new(None).probe(&probe(large.address)).await.unwrap_err();
    assert!(failure.message.contains("64 KiB"), "{failure}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut hasty = probe(silent.local_addr().unwrap());
    hasty.timeout = Duration::from_millis(30);
    let failure = EdgeProber::new(None).probe(&hasty).await.unwrap_err();
    assert_eq!(failure.code, Code::RouteUnhealthy);
    assert!(failure.message.contains("within 30ms"), "{failure}");
}

#[tokio::test]
async fn the_task_sees_the_host_that_a_visitor_would_send() {
    let server = Server::start(|request| {
        Box::pin(async move {
            let host = request.headers()["host"] == "acme.localhost" && request.uri().path() == "/healthz";
            let mut response = text("");
            if !host {
                *response.status_mut() = http::StatusCode::BAD_REQUEST;
            }
            response
        })
    })
    .await;
    assert!(EdgeProber::new(None).probe(&probe(server.address)).await.is_ok());
}

use super::support::backend;
