//! The edge's own beginning and end.

use super::support::{
    backend::{Server, named, text},
    client::Client,
    *,
};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpStream, runtime::Handle, sync::Notify};
use wharf_domain::Code;
use wharf_edge::{Edge, EdgeConfig};

const GET: &str = "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_second_edge_on_the_address_is_refused_with_the_firsts_pid() {
    let first = edge();
    let failure = Edge::bind(EdgeConfig::new(first.local_addr()), control(), Handle::current()).unwrap_err();
    assert_eq!(failure.code, Code::ListenBusy);
    assert!(failure.message.contains(&std::process::id().to_string()), "{failure}");
    first.shutdown(PATIENCE).await;
    let again = Edge::bind(EdgeConfig::new(first.local_addr()), control(), Handle::current());
    assert!(again.is_ok(), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_before_it_opens_is_served_then() {
    let edge = Edge::reserve(config(), Handle::current()).unwrap();
    let mut client = Client::connect(edge.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    edge.serve(control()).unwrap();
    assert_eq!(client.answer(false).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_what_is_under_way_and_closes_the_rest() {
    let edge = Arc::new(edge());
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arriving, going_on) = (Arc::clone(&arrived), Arc::clone(&go_on));
    let slow = Server::start(move |request| {
        let (arrived, go_on) = (Arc::clone(&arriving), Arc::clone(&going_on));
        Box::pin(async move {
            if request.uri().path() != "/healthz" {
                arrived.notify_one();
                go_on.notified().await;
            }
            text("in the end")
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), slow.address)).await;
    let mut idle = Client::connect(edge.local_addr()).await;
    assert_eq!(idle.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 200);
    let mut busy = Client::connect(edge.local_addr()).await;
    busy.send(GET).await;
    arrived.notified().await;
    let stopping = tokio::spawn({
        let edge = Arc::clone(&edge);
        async move { edge.shutdown(PATIENCE).await }
    });
    assert!(idle.is_closed().await, "an idle connection is closed at once");
    assert!(!stopping.is_finished());
    go_on.notify_one();
    let answer = busy.answer(false).await;
    assert_eq!(
        (answer.body.as_str(), answer.header("connection")),
        ("in the end", "close")
    );
    assert!(busy.is_closed().await);
    stopping.await.unwrap();
    assert!(TcpStream::connect(edge.local_addr()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlasts_the_grace_is_cut_off() {
    let edge = edge();
    let stuck = Server::start(|request| {
        Box::pin(async move {
            if request.uri().path() != "/healthz" {
                std::future::pending::<()>().await;
            }
            text("")
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), stuck.address)).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client.send(GET).await;
    until("it is under way", || edge.metrics().in_flight == 1).await;
    edge.shutdown(Duration::from_millis(20)).await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_edge_gives_its_address_back() {
    let edge = edge();
    let acme = named("acme").await;
    serve(&edge, backend(&owner(1, 1), host("acme"), acme.address)).await;
    let address = edge.local_addr();
    let mut client = Client::connect(address).await;
    assert_eq!(client.ask(GET).await.status, 200);
    drop(edge);
    assert!(client.is_closed().await);
    until("the address is free", || std::net::TcpListener::bind(address).is_ok()).await;
}
