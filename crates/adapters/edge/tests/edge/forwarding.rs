//! What a backend sees of a request, and a client of an answer.

use super::support::{
    backend::{Server, mirror, read_head},
    client::Client,
    *,
};

async fn mirrored(change: impl FnOnce(&mut wharf_edge::EdgeConfig)) -> (wharf_edge::Edge, Server) {
    let edge = edge_with(change);
    let mirror = mirror().await;
    serve(&edge, backend(&owner(1, 1), host("acme"), mirror.address)).await;
    (edge, mirror)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_is_told_who_asked_and_not_who_the_client_claims_to_be() {
    let (edge, _mirror) = mirrored(|_| {}).await;
    let mut client = Client::connect(edge.local_addr()).await;
    let answer = client
        .ask(
            "GET /path?query HTTP/1.1\r\nHost: Acme.Localhost:8080\r\nX-Forwarded-For: 10.0.0.1\r\nX_Forwarded_For: 10.0.0.1\r\n\
             X-Forwarded-Proto: https\r\nForwarded: for=10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
             Keep-Alive: 5\r\nProxy-Authorization: Basic x\r\nProxy: evil\r\nAccept: text/plain\r\n\r\n",
        )
        .await;
    assert_eq!(
        answer.body.trim_end(),
        "GET /path?query\naccept: text/plain\nforwarded: for=127.0.0.1;host=\"Acme.Localhost:8080\";proto=http\n\
         host: Acme.Localhost:8080\nx-forwarded-for: 127.0.0.1\nx-forwarded-host: Acme.Localhost:8080\nx-forwarded-proto: http"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_is_believed() {
    let (edge, _mirror) = mirrored(|config| config.trusted_proxies.push("127.0.0.0/8".parse().unwrap())).await;
    let mut client = Client::connect(edge.local_addr()).await;
    let answer = client
        .ask(
            "GET / HTTP/1.1\r\nHost: acme.localhost\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Host: acme.example.com\r\n\r\n",
        )
        .await;
    for line in [
        "x-forwarded-for: 203.0.113.9, 127.0.0.1",
        "x-forwarded-proto: https",
        "x-forwarded-host: acme.example.com",
    ] {
        assert!(answer.body.contains(line), "{line}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wharfs_own_credentials_stop_at_the_edge() {
    let (edge, _mirror) = mirrored(|_| {}).await;
    let mut client = Client::connect(edge.local_addr()).await;
    let answer = client
        .ask(
            "GET / HTTP/1.1\r\nHost: acme.localhost\r\nAuthorization: Bearer wharf_secret\r\n\
             Cookie: theirs=1; wharf_session=secret; __Host-wharf_session=secret\r\n\r\n",
        )
        .await;
    assert!(!answer.body.contains("secret"), "{}", answer.body);
    assert!(answer.body.contains("cookie: theirs=1"), "{}", answer.body);
    let answer = client
        .ask("GET / HTTP/1.1\r\nHost: acme.localhost\r\nAuthorization: Bearer theirs\r\n\r\n")
        .await;
    assert!(answer.body.contains("authorization: Bearer theirs"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_arrive_however_they_are_framed() {
    let (edge, _mirror) = mirrored(|_| {}).await;
    let mut client = Client::connect(edge.local_addr()).await;
    for method in ["POST", "PUT", "DELETE", "GET", "PATCH", "QUERY"] {
        let sized = format!("{method} / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 5\r\n\r\nsized");
        let answer = client.ask(&sized).await;
        assert!(answer.body.ends_with("\n\nsized"), "{method}: {}", answer.body);
        assert!(answer.body.contains("content-length: 5"), "{method}: {}", answer.body);
        let chunked = format!(
            "{method} / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nchunked\r\n0\r\n\r\n"
        );
        let answer = client.ask(&chunked).await;
        assert!(answer.body.ends_with("\n\nchunked"), "{method}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_headers_of_an_answer_stay_behind() {
    let edge = edge();
    let server = Server::script(
        b"HTTP/1.1 200 Fine\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: x\r\n\
          x-own: 1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 2\r\n\r\nhi",
    )
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    let answer = get(&edge, "acme.localhost", "/").await;
    for gone in ["x-hop", "keep-alive", "proxy-connection", "connection"] {
        assert_eq!(answer.header(gone), "", "{gone}");
    }
    assert_eq!((answer.header("x-own"), answer.header("set-cookie")), ("1", "a=1|b=2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_is_served_and_let_go() {
    let (edge, _mirror) = mirrored(|_| {}).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client.send("GET / HTTP/1.0\r\nHost: acme.localhost\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    let mut client = Client::connect(edge.local_addr()).await;
    for _ in 0..2 {
        let kept = client
            .ask("GET / HTTP/1.0\r\nHost: acme.localhost\r\nConnection: keep-alive\r\n\r\n")
            .await;
        assert_eq!(kept.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_until_the_end_of_the_connection_arrives_whole() {
    let edge = edge();
    let server = Server::accept(([127, 0, 0, 1], 0).into(), |mut stream| {
        Box::pin(async move {
            use tokio::io::AsyncWriteExt;
            if read_head(&mut stream).await.is_some() {
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
            }
        })
    })
    .await;
    serve(&edge, backend(&owner(1, 1), host("acme"), server.address)).await;
    assert_eq!(get(&edge, "acme.localhost", "/").await.body, "until the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_expects_a_100_gets_it_when_the_backend_takes_the_body() {
    let (edge, _mirror) = mirrored(|_| {}).await;
    let mut client = Client::connect(edge.local_addr()).await;
    client
        .send("POST / HTTP/1.1\r\nHost: acme.localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await;
    assert_eq!(client.head().await.0, 100);
    client.send("hello").await;
    let answer = client.answer(false).await;
    assert!(
        answer.body.ends_with("hello") && !answer.body.contains("expect"),
        "{}",
        answer.body
    );
    // Where nobody takes it, it is not asked for.
    client
        .send("POST / HTTP/1.1\r\nHost: nobody.localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await;
    assert_eq!(client.head().await.0, 404);
}
