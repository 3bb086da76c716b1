//! Connections to backends are kept, and one that was closed in the meantime costs nobody an answer.

use super::support::{
    backend::{Server, named, read_head, text},
    client::Client,
    *,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, sync::Notify};
use wharf_platform::Routes;

const GET: &str = "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_again() {
    let edge = edge();
    let acme = named("acme").await;
    serve(&edge, backend(&owner(1, 1), host("acme"), acme.address)).await;
    let before = acme.connections();
    let mut client = Client::connect(edge.local_addr()).await;
    for _ in 0..20 {
        assert_eq!(client.ask(GET).await.body, "acme");
        assert_eq!(
            client
                .ask("GET / HTTP/1.1\r\nHost: acme.localhost\r\nX: y\r\n\r\n")
                .await
                .body,
            "acme"
        );
    }
    assert_eq!(acme.connections() - before, 1);
    assert_eq!(edge.metrics().backend_connections, 1);
}

/// A backend that answers so many requests on a connection and then closes it without a word.
async fn closing_after(answers: usize) -> Server {
    Server::accept(([127, 0, 0, 1], 0).into(), move |mut stream| {
        Box::pin(async move {
            for _ in 0..answers {
                if read_head(&mut stream).await.is_none() {
                    return;
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_to_connections_that_the_backend_closes() {
    let edge = Arc::new(edge());
    let server = closing_after(2).await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    let clients = (0..8).map(|_| {
        let address = edge.local_addr();
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            for _ in 0..50 {
                assert_eq!(client.ask(GET).await.status, 200);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

/// A backend that reads a second request on each connection, and closes instead of an answer.
async fn silent_at_the_second(requests: Arc<AtomicUsize>) -> Server {
    Server::accept(([127, 0, 0, 1], 0).into(), move |mut stream| {
        let requests = Arc::clone(&requests);
        Box::pin(async move {
            for number in 0..2 {
                let Some(head) = read_head(&mut stream).await else {
                    return;
                };
                if !head.starts_with("GET /healthz ") {
                    requests.fetch_add(1, Ordering::SeqCst);
                }
                if number == 0 {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    stream.write_all(answer).await.unwrap();
                }
            }
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeatable_request_goes_out_once_more_and_another_does_not() {
    let edge = edge();
    let requests = Arc::new(AtomicUsize::new(0));
    let server = silent_at_the_second(Arc::clone(&requests)).await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    assert_eq!(client.ask(GET).await.status, 200);
    assert_eq!(client.ask(GET).await.status, 200, "answered on a fresh connection");
    assert_eq!((requests.load(Ordering::SeqCst), edge.metrics().replays), (3, 1));
    let answer = client.ask(POST).await;
    assert_eq!(answer.status, 502, "it may have been carried out: it is not sent twice");
    assert_eq!(requests.load(Ordering::SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_restarts_on_its_address_is_found_again() {
    let edge = edge();
    let first = named("first").await;
    let address = first.address;
    serve(&edge, backend(&owner(1, 1), host("acme"), address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    assert_eq!(client.ask(GET).await.body, "first");
    drop(first);
    let second = loop {
        // The address is free as soon as the first one's task is gone.
        if let Ok(listener) = std::net::TcpListener::bind(address) {
            drop(listener);
            break Server::start_on(address, |_| Box::pin(async { text("second") })).await;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(client.ask(GET).await.body, "second");
    assert_eq!(client.ask(POST).await.body, "second");
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_attempt_never_gets_an_earlier_ones_connection() {
    let edge = edge();
    let closed = Arc::new(Notify::new());
    let telling = Arc::clone(&closed);
    let first = Server::accept(([127, 0, 0, 1], 0).into(), move |mut stream| {
        let closed = Arc::clone(&telling);
        Box::pin(async move {
            let mut visited = false;
            while let Some(head) = read_head(&mut stream).await {
                visited |= !head.starts_with("GET /healthz ");
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst";
                stream.write_all(answer).await.unwrap();
            }
            if visited {
                closed.notify_one();
            }
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), first.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    assert_eq!(client.ask(GET).await.body, "first");
    let second = named("second").await;
    serve(&edge, backend(&owner(1, 2), host("acme"), second.address)).await;
    assert_eq!(client.ask(GET).await.body, "second");
    tokio::time::timeout(PATIENCE, closed.notified())
        .await
        .expect("the old connection is closed");
    assert!(
        edge.withdraw(&owner(1, 1), &host("acme"), None, PATIENCE)
            .await
            .unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_breaks_off_is_a_502_with_a_reference() {
    let edge = edge_with(|config| hold(config, Duration::from_millis(10)));
    let server = closing_after(0).await;
    let address = server.address;
    let well = named("well").await;
    // Proven as one, gone as the other.
    serve(&edge, backend(&owner(1, 1), host("acme"), well.address)).await;
    edge.register(backend(&owner(1, 2), host("acme"), address))
        .await
        .unwrap();
    let answer = get(&edge, "acme.localhost", "/").await;
    assert_eq!(answer.status, 503, "never proven");
    drop(server);
    let broken = Server::script(b"nonsense\r\n\r\n").await;
    let edge = edge_with(|_| {});
    serve(&edge, backend(&owner(1, 1), host("acme"), broken.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    let answer = client
        .ask("GET / HTTP/1.1\r\nHost: acme.localhost\r\nAccept: application/json\r\n\r\n")
        .await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (502, &"route.unhealthy".into())
    );
    assert!(
        answer.json()["reference"]
            .as_str()
            .is_some_and(|reference| reference.contains('-'))
    );
    let page = get(&edge, "acme.localhost", "/").await;
    assert_eq!(page.status, 502);
    assert!(page.body.contains("Reference"), "{}", page.body);
    assert_eq!(edge.metrics().backend_errors, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_somebody_else_is_not_passed_on() {
    let edge = edge();
    let me = owner(1, 1);
    let identified = |identity: String| {
        Server::start(move |request| {
            let own = request.uri().path() == "/healthz";
            let identity = if own {
                owner(1, 1).instance.to_string()
            } else {
                identity.clone()
            };
            Box::pin(async move {
                let mut response = text("a secret of somebody's");
                response
                    .headers_mut()
                    .insert("x-wharf-instance", identity.parse().unwrap());
                response
            })
        })
    };
    let stranger = identified(owner(2, 1).instance.to_string()).await;
    let mut registered = backend(&me, host("acme"), stranger.address);
    registered.identity_header = Some("x-wharf-instance".to_owned());
    serve(&edge, registered).await;
    let before = stranger.connections();
    for _ in 0..2 {
        let mut client = Client::connect(edge.local_addr()).await;
        let answer = client
            .ask("GET / HTTP/1.1\r\nHost: acme.localhost\r\nAccept: application/json\r\n\r\n")
            .await;
        assert_eq!((answer.status, &answer.json()["code"]), (502, &"route.identity".into()));
        assert!(!answer.body.contains("secret"));
    }
    assert_eq!(stranger.connections() - before, 2, "its connection is not kept");
    let own = identified(me.instance.to_string()).await;
    let mut registered = backend(&owner(1, 2), host("acme"), own.address);
    registered.identity_header = Some("X-Wharf-Instance".to_owned());
    serve(&edge, registered).await;
    assert_eq!(get(&edge, "acme.localhost", "/").await.status, 200);
}
