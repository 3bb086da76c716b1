//! Who is used and who is not, and what becomes of those who come just when somebody is taken out of service for being unused.

use super::support::{
    backend::{Server, named},
    *,
};
use futures::{SinkExt, StreamExt};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_tungstenite::{accept_async, client_async, tungstenite::Message, tungstenite::client::IntoClientRequest};
use wharf_platform::{Routes, Standing};

#[tokio::test(flavor = "multi_thread")]
async fn an_open_socket_is_a_use_however_silent() {
    let echo = Server::accept(([127, 0, 0, 1], 0).into(), |stream| {
        Box::pin(async move {
            let Ok(mut socket) = accept_async(stream).await else {
                return;
            };
            while let Some(Ok(message)) = socket.next().await {
                if message.is_close() || socket.send(message).await.is_err() {
                    return;
                }
            }
        })
    })
    .await;
    let (edge, me) = (edge(), owner(1, 1));
    serve(&edge, backend(&me, host("acme"), echo.address)).await;
    let stream = tokio::net::TcpStream::connect(edge.local_addr()).await.unwrap();
    let request = "ws://acme.localhost/live".into_client_request().unwrap();
    let mut socket = client_async(request, stream).await.unwrap().0;
    let unused = async || edge.unused(Duration::ZERO).await.unwrap().unwrap();
    for _ in 0..3 {
        assert_eq!(unused().await, []);
        assert_eq!(
            edge.withdraw_unused(&me, &host("acme"), Duration::ZERO).await,
            Ok(false)
        );
    }
    socket.send(Message::text("here")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("here"));
    socket.close(None).await.unwrap();
    drop(socket);
    until("the tunnel is over", || edge.metrics().connections == 0).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while unused().await.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "its end is not seen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(edge.withdraw_unused(&me, &host("acme"), Duration::ZERO).await, Ok(true));
}

/// Whoever comes is answered, whatever moment it is: nobody is turned away, and nobody's answer is broken off.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_lost_who_comes_while_it_falls_asleep_and_wakes() {
    const VISITORS: usize = 8;
    let edge = Arc::new(edge_with(|config| hold(config, PATIENCE)));
    let acme = named("acme").await;
    let (me, key) = (owner(1, 1), host("acme"));
    serve(&edge, backend(&me, key.clone(), acme.address)).await;
    let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let visitors: Vec<_> = (0..VISITORS)
        .map(|_| {
            let (edge, is_over, answered) = (Arc::clone(&edge), Arc::clone(&is_over), Arc::clone(&answered));
            tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    let answer = get(&edge, "acme.localhost", "/").await;
                    assert_eq!((answer.status, &*answer.body), (200, "acme"));
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let (mut slept, mut stayed) = (0, 0);
    while slept < 200 || answered.load(Ordering::SeqCst) < 400 {
        if edge.withdraw_unused(&me, &key, Duration::ZERO).await.unwrap() {
            slept += 1;
            serve(&edge, backend(&me, key.clone(), acme.address)).await;
        } else {
            stayed += 1;
        }
        tokio::task::yield_now().await;
    }
    is_over.store(true, Ordering::SeqCst);
    for visitor in visitors {
        visitor.await.expect("every answer was whole");
    }
    assert!(stayed > 0, "somebody was there now and then");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_told_again_where_nothing_came_of_it() {
    let edge = edge_with(|config| hold(config, Duration::from_millis(1)));
    let mut wanted = edge.wanted().unwrap();
    let acme = named("acme").await;
    let (me, key) = (owner(1, 1), host("acme"));
    serve(&edge, backend(&me, key.clone(), acme.address)).await;
    edge.announce(&me.instance, &key, Standing::Starting);
    assert_eq!(edge.withdraw_unused(&me, &key, Duration::ZERO).await, Ok(true));
    for _ in 0..3 {
        assert_eq!(get(&edge, "acme.localhost", "/").await.status, 503);
        assert_eq!(wanted.try_recv().ok(), Some(me.instance.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_wait_for_one_that_sleeps_tell_its_owner_once() {
    let edge = Arc::new(edge_with(|config| {
        hold(config, PATIENCE);
        config.limits.connections_per_address = 2000;
    }));
    let mut wanted = edge.wanted().unwrap();
    let (me, key) = (owner(1, 1), host("acme"));
    edge.announce(&me.instance, &key, Standing::Starting);
    let held: Vec<_> = (0..1000)
        .map(|_| {
            let edge = Arc::clone(&edge);
            tokio::spawn(async move { get(&edge, "acme.localhost", "/").await })
        })
        .collect();
    until("all are held", || edge.metrics().held == 1000).await;
    assert_eq!(wanted.try_recv().ok(), Some(me.instance.clone()));
    assert!(wanted.try_recv().is_err(), "once");
    let acme = named("acme").await;
    serve(&edge, backend(&me, key, acme.address)).await;
    for answer in held {
        assert_eq!(answer.await.unwrap().body, "acme");
    }
}
