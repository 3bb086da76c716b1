//! What no page of the shop ever sends. The answer is a page in plain words, nothing is changed, and the shop goes on.

use hyper::{Method, header};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    browser::{Browser, encode},
    process::Shop,
};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn unknown_addresses_and_wrong_methods_have_pages() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    for path in [
        "/nowhere",
        "/orders/x?key=1",
        "/orders/-1?key=1",
        "/orders/99999999999999999999?key=1",
        "/orders/%ff?key=1",
        "/%00",
        "/..%2f..%2fetc",
        "/admin/",
        "//",
    ] {
        assert!(
            browser.get(path).await.expect(404).has("There is nothing here"),
            "{path}"
        );
    }
    for (method, path) in [
        (Method::POST, "/"),
        (Method::GET, "/basket/add"),
        (Method::PUT, "/basket"),
        (Method::DELETE, "/orders/1"),
        (Method::OPTIONS, "/"),
    ] {
        let answer = browser.send(method.clone(), path, &[], "").await.expect(405);
        assert!(answer.has("That cannot be done here"), "{method} {path}");
        assert!(answer.headers.contains_key(header::ALLOW), "{method} {path}");
    }
}

#[tokio::test]
async fn a_head_request_has_the_head_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    for (path, status) in [("/", 200), ("/healthz", 200), ("/nowhere", 404)] {
        let answer = browser.send(Method::HEAD, path, &[], "").await.expect(status);
        assert!(answer.body.is_empty());
        assert_ne!(answer.headers[header::CONTENT_LENGTH], "0", "{path}");
    }
}

#[tokio::test]
async fn forms_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    let mut send = async |headers: &[(&str, &str)], body: &str| {
        browser
            .send(Method::POST, "/basket/add", headers, body)
            .await
            .status
            .as_u16()
    };

    assert_eq!(
        send(&[("content-type", "application/json")], r#"{"product":1}"#).await,
        415
    );
    assert_eq!(send(&[], "product=1&quantity=1").await, 415);
    for body in [
        "",
        "quantity=1",
        "product=1&product=2&quantity=1",
        "product",
        "&&&===",
        "product=x&quantity=1",
        "product=-1&quantity=1",
        "product=99999999999999999999&quantity=1",
    ] {
        assert_eq!(send(&[FORM], body).await, 400, "{body:?}");
    }
    for quantity in [
        "",
        "0",
        "-1",
        "100",
        "1.5",
        "1e9",
        "9223372036854775807",
        "99999999999999999999",
        "one",
        "%ff",
        "%00",
    ] {
        assert_eq!(
            send(&[FORM], &format!("product=1&quantity={quantity}")).await,
            422,
            "{quantity:?}"
        );
    }
    assert_eq!(send(&[FORM], "product=999&quantity=1").await, 409);
    assert_eq!(
        send(&[FORM], &format!("product=1&quantity=1&more={}", "x".repeat(64 * 1024))).await,
        413
    );
    assert!(browser.get("/basket").await.has("There is nothing in it yet"));
}

#[tokio::test]
async fn an_order_that_cannot_be_is_refused_and_nothing_typed_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    browser
        .submit("/basket/add", &[("product", "1"), ("quantity", "1")])
        .await;
    let (long_name, long_note) = ("n".repeat(101), "n".repeat(501));
    for (name, note, error) in [
        ("", "Hello", "name-error"),
        (" \t ", "Hello", "name-error"),
        (long_name.as_str(), "Hello", "name-error"),
        ("a\u{202e}b", "Hello", "name-error"),
        ("a\r\nb", "Hello", "name-error"),
        ("Ada", long_note.as_str(), "note-error"),
        ("Ada", "a\u{1b}[2J", "note-error"),
    ] {
        let refused = browser.check_out(name, note).await.expect(422);
        assert!(
            refused.has(&format!("id=\"{error}\""))
                && refused.has("aria-invalid=\"true\"")
                && refused.has("role=\"alert\"")
        );
        assert!(refused.has("Hello") || refused.has("value=\"Ada\""));
    }
    for fields in [
        &[("name", "Ada")][..],
        &[("name", "Ada"), ("key", "short"), ("total", "1450")],
        &[("name", "Ada"), ("key", &"0".repeat(32)), ("total", "x")],
    ] {
        browser.post("/checkout", fields).await.expect(400);
    }
    assert!(browser.get("/basket").await.has("Harbour coffee"));
}

#[tokio::test]
async fn a_basket_that_is_not_there_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    for cookie in [
        "",
        "x",
        "0",
        "../../etc/passwd",
        "' OR 1=1 --",
        &"0".repeat(32),
        &"f".repeat(5000),
    ] {
        let mut browser = Browser::new(&shop);
        browser.set_cookie("basket", "/", cookie);
        assert!(
            browser
                .get("/basket")
                .await
                .expect(200)
                .has("There is nothing in it yet")
        );
        assert_eq!(
            browser
                .post("/basket/change", &[("product", "1"), ("quantity", "2")])
                .await
                .location(),
            "/basket"
        );
        let fields = [("key", &"0".repeat(32) as &str), ("total", "0"), ("name", "Ada")];
        assert_eq!(browser.post("/checkout", &fields).await.location(), "/basket");
        let basket = browser
            .submit("/basket/add", &[("product", "1"), ("quantity", "1")])
            .await;
        assert!(basket.has("Harbour coffee"), "and a new one takes its place");
    }
}

/// A small generator of its own, so that every run sends the same bytes.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(step).collect()
}

#[tokio::test]
async fn bytes_that_are_not_http_end_their_connection_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut requests: Vec<Vec<u8>> = (0..60).map(|seed| noise(seed, 200)).collect();
    for seed in 0..60 {
        let mut request = format!(
            "POST /checkout HTTP/1.1\r\nhost: x\r\ncontent-length: 300\r\n{}: {}\r\ncookie: basket=",
            FORM.0, FORM.1
        )
        .into_bytes();
        request.extend(noise(seed, 20).into_iter().filter(|byte| !b"\r\n".contains(byte)));
        request.extend_from_slice(b"\r\n\r\n");
        request.extend(noise(seed + 1000, 300));
        requests.push(request);
    }
    requests.push(b"GET / HTTP/1.1\r\n\r\n".to_vec());
    requests.push(b"GET /\r\n\r\n".to_vec());
    requests.push(b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n".to_vec());
    requests.push(b"GET * HTTP/1.1\r\nhost: x\r\n\r\n".to_vec());
    requests.push(b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec());
    requests.push(b"GET http://elsewhere/ HTTP/1.1\r\nhost: x\r\n\r\n".to_vec());
    requests.push(b"POST / HTTP/1.0\r\norigin: http://x\r\n\r\n".to_vec());
    requests.push([b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'x'; 100_000]].concat());
    requests.push(
        b"POST /basket/add HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_vec(),
    );
    requests.push(b"POST /basket/add HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_vec());
    requests.push(b"POST /basket/add HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n".to_vec());
    for request in requests {
        let mut stream = TcpStream::connect(shop.address).await.unwrap();
        // The shop may hang up before all of it was sent.
        let _ = stream.write_all(&request).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(
            !answer.starts_with(b"HTTP/1.1 500"),
            "{:?}",
            String::from_utf8_lossy(&request)
        );
    }
    Browser::new(&shop).get("/healthz").await.expect(200);
}

#[tokio::test]
async fn noise_in_every_field_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    browser
        .submit("/basket/add", &[("product", "1"), ("quantity", "1")])
        .await;
    assert_eq!(browser.log_in(crate::process::PASSWORD).await.status, 303);
    let names = [
        "product",
        "quantity",
        "name",
        "note",
        "key",
        "total",
        "password",
        "description",
        "price",
        "stock",
        "stock_seen",
        "before",
    ];
    for (seed, path) in [
        "/basket/add",
        "/basket/change",
        "/basket/remove",
        "/checkout",
        "/admin/products",
        "/admin/products/1",
        "/admin/orders/1/shipped",
    ]
    .into_iter()
    .cycle()
    .take(140)
    .enumerate()
    {
        let values: Vec<String> = (0..names.len())
            .map(|field| String::from_utf8_lossy(&noise((seed * 100 + field) as u64, seed % 40)).into_owned())
            .collect();
        let fields: Vec<_> = names.into_iter().zip(values.iter().map(String::as_str)).collect();
        let answer = browser.send(Method::POST, path, &[FORM], &encode(&fields)).await;
        assert!(!answer.status.is_server_error(), "{path}: {}", answer.content());
    }
}
