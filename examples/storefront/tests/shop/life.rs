//! Starting, ending, being killed, and starting again.

use std::{net::TcpListener, process::Output};

use rusqlite::Connection;
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    browser::Browser,
    process::{PASSWORD, Shop, command},
};

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[tokio::test]
async fn health_is_ok_at_once_and_every_answer_says_who_gave_it() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let answer = Browser::new(&shop).get("/healthz").await.expect(200);
    assert_eq!(answer.body, "ok\n");
    assert_eq!(answer.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn health_fails_while_the_database_does_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    let other = Connection::open(folder.path().join("shop.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    browser.get("/healthz").await.expect(503);
    assert!(shop.next_line().contains("database is locked"));
    let page = browser.get("/").await.expect(503);
    assert!(
        page.has("The shop cannot reach its data") && !page.has("locked"),
        "causes go to the log, not into the page"
    );
    assert!(page.headers.contains_key("retry-after"));
    other.execute_batch("COMMIT").unwrap();
    browser.get("/healthz").await.expect(200);
}

#[tokio::test]
async fn an_order_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    browser
        .submit("/basket/add", &[("product", "1"), ("quantity", "1")])
        .await;
    let order = browser.check_out("Ada", "").await.location().to_owned();
    shop.signal(Signal::TERM);
    assert_eq!(shop.wait().code(), Some(0));

    let shop = Shop::start(folder.path());
    assert!(browser.moved(&shop).get(&order).await.expect(200).has("Thank you, Ada"));
}

#[tokio::test]
async fn orders_and_baskets_are_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = None;
    let mut orders: Vec<String> = Vec::new();
    for round in 1..=5 {
        let shop = Shop::start(folder.path());
        let mut buyer = browser
            .take()
            .map_or_else(|| Browser::new(&shop), |browser: Browser| browser.moved(&shop));
        for order in &orders {
            assert!(
                buyer.get(order).await.expect(200).has("Thank you, Ada"),
                "round {round}"
            );
        }
        if round > 1 {
            assert!(buyer.get("/basket").await.has("Enamel mug"), "round {round}");
        }
        buyer
            .submit("/basket/add", &[("product", "1"), ("quantity", "1")])
            .await;
        orders.push(buyer.check_out("Ada", "").await.location().to_owned());
        buyer
            .submit("/basket/add", &[("product", "2"), ("quantity", "1")])
            .await;
        shop.kill();
        browser = Some(buyer);
    }
    assert_eq!(orders.len(), 5);
}

#[test]
fn a_start_that_is_killed_at_any_moment_is_mended_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    for killed_after_us in (0..3000).step_by(100) {
        let path = folder.path().join(killed_after_us.to_string());
        std::fs::create_dir(&path).unwrap();
        let mut process = command(&path).spawn().unwrap();
        // Not a wait for something to happen: the moment of the kill is what the test varies.
        std::thread::park_timeout(std::time::Duration::from_micros(killed_after_us));
        process.kill().unwrap();
        process.wait().unwrap();
        let shop = Shop::start(&path);
        shop.signal(Signal::TERM);
        assert_eq!(shop.wait().code(), Some(0), "after {killed_after_us} µs");
    }
}

/// Wharf lets one attempt run at a time. An old one that was given up for lost may still be there, though.
#[tokio::test]
async fn shops_on_one_database_are_one_shop() {
    let folder = tempfile::tempdir().unwrap();
    let shops: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| Shop::start(folder.path()))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let first_writes: Vec<_> = shops
        .iter()
        .map(|shop| {
            let mut browser = Browser::new(shop);
            tokio::spawn(async move {
                browser
                    .submit("/basket/add", &[("product", "6"), ("quantity", "1")])
                    .await;
                let form = browser.get("/checkout").await.expect(200);
                (browser, form)
            })
        })
        .collect();
    let mut ready = Vec::new();
    for write in first_writes {
        ready.push(write.await.unwrap());
    }
    let orders: Vec<_> = ready
        .into_iter()
        .map(|(mut browser, form)| {
            tokio::spawn(async move {
                let fields = [
                    ("key", &form.field("key") as &str),
                    ("total", &form.field("total")),
                    ("name", "Ada"),
                ];
                browser.post("/checkout", &fields).await.location().to_owned()
            })
        })
        .collect();
    let mut places = Vec::new();
    for order in orders {
        places.push(order.await.unwrap());
    }
    places.sort_unstable();
    assert_eq!(places[0], "/basket", "there are three posters, and four who want one");
    for (place, number) in places[1..].iter().zip(1001..) {
        assert!(place.starts_with(&format!("/orders/{number}?")), "{places:?}");
    }
    let mut admin = Browser::new(&shops[0]);
    assert_eq!(admin.log_in(PASSWORD).await.location(), "/admin");
    admin.moved(&shops[3]).get("/admin").await.expect(200);
}

#[tokio::test]
async fn a_request_that_has_begun_is_answered_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut stream = TcpStream::connect(shop.address).await.unwrap();
    let head = "POST /basket/add HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 20\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut going_on = [0; 25];
    stream.read_exact(&mut going_on).await.unwrap();
    assert_eq!(&going_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    shop.signal(Signal::TERM);
    while TcpStream::connect(shop.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(b"product=1&quantity=1").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert_eq!(shop.wait().code(), Some(0));
}

#[tokio::test]
async fn idle_and_half_open_connections_do_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::start(folder.path());
    let mut idle = TcpStream::connect(shop.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let mut half = TcpStream::connect(shop.address).await.unwrap();
    half.write_all(b"POST /basket/add HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 20\r\nexpect: 100-continue\r\n\r\n").await.unwrap();
    half.read_exact(&mut first).await.unwrap();

    shop.signal(Signal::INT);
    assert!(
        shop.next_line().contains("were cut off"),
        "the half request is waited for, and not for ever"
    );
    assert_eq!(shop.wait().code(), Some(0));
}

#[test]
fn a_taken_port_is_said_and_the_database_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let output = command(folder.path()).env("PORT", &port).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        format!("storefront: port {port} of 127.0.0.1 is taken by another program\n")
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_wrong_environment_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, value: Option<&str>| {
        let mut command = command(folder.path());
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={value:?}");
        let said = stderr(&output);
        assert!(
            said.starts_with("storefront: ") && said.contains(name) && said.lines().count() == 1,
            "{said}"
        );
        said
    };
    refused("PORT", None);
    refused("PORT", Some("http"));
    refused("DATABASE_URL", None);
    refused("DATABASE_URL", Some("shop.db"));
    let said = refused("DATABASE_URL", Some("mysql://shop:hunter2@localhost/shop"));
    assert!(said.contains("mysql") && said.contains("SQLite") && !said.contains("hunter2"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_database_that_cannot_be_used_is_said_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    std::fs::write(&file, "Dear diary").unwrap();
    let output = command(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is not a database of this shop"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "Dear diary");

    let output = command(&folder.path().join("missing")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("missing/shop.db"), "{}", stderr(&output));

    let output = command(folder.path()).env("HOST", "203.0.113.1").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("203.0.113.1"), "{}", stderr(&output));
}

#[tokio::test]
async fn only_its_own_address_is_listened_on() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::run(command(folder.path()).env("HOST", "127.0.0.2"));
    assert_eq!(shop.address.ip().to_string(), "127.0.0.2");
    // An address of this machine that no test listens on.
    let elsewhere = TcpStream::connect(("127.0.0.3", shop.address.port())).await;
    assert_eq!(elsewhere.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    Browser::new(&shop).get("/healthz").await.expect(200);
}
