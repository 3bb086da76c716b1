//! Ports: who listens, and whether it is the task.

use crate::site::{Site, run, spec, stopped};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
};
use wharf_domain::{Code, Endpoint, instance::TaskRef};
use wharf_local::ProcessTasks;
use wharf_platform::{Owner, PortSource, TaskSpec, TaskStatus, Tasks};
use wharf_testkit::contracts::harness::eventually;

/// Free a moment ago. Nobody else is given it soon: the system hands out ports in turn.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

async fn start(site: &Site, port: u16, command: &[&str]) -> (Owner, TaskRef) {
    let owner = site.owner();
    let task = site
        .start(TaskSpec {
            port: Some(port),
            ..spec(&owner, run(command))
        })
        .await
        .unwrap();
    (owner, task)
}

#[tokio::test]
async fn ports_are_leased_and_a_running_task_is_at_its_own() {
    let site = Site::new();
    assert_eq!(site.port_source(), PortSource::Leased(crate::site::PORTS));
    assert!(!site.survives_restart());
    let port = free_port();
    let task = start(&site, port, &["wharf", "listen"]).await;
    let endpoint = Endpoint::Address {
        ip: Ipv4Addr::LOCALHOST.into(),
        port,
    };
    let running = TaskStatus::Running {
        endpoint: Some(endpoint),
    };
    assert_eq!(site.status(&task).await, running);
}

#[tokio::test]
async fn a_task_that_listens_owns_its_port_and_no_other() {
    let site = Site::new();
    let port = free_port();
    let (owner, _) = start(&site, port, &["wharf", "listen"]).await;
    eventually("it listens", async || {
        site.owns_port(&owner, port).await.unwrap().then_some(())
    })
    .await;
    let mut answer = String::new();
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    connection.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let other = site.owner();
    assert_eq!(site.owns_port(&other, port).await, Ok(false));
    let next = Owner {
        attempt: owner.attempt.next(),
        ..owner
    };
    assert_eq!(site.owns_port(&next, port).await, Ok(false));
}

#[tokio::test]
async fn a_child_of_the_task_may_be_the_one_that_listens() {
    let site = Site::new();
    let port = free_port();
    let (owner, _) = start(&site, port, &["wharf", "listen-in-a-child"]).await;
    eventually("it listens", async || {
        site.owns_port(&owner, port).await.unwrap().then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_listens_on_another_port_does_not_own_the_leased_one() {
    let site = Site::new();
    let port = free_port();
    let (owner, _) = start(&site, port, &["wharf", "listen-elsewhere"]).await;
    site.until_printed(&owner, "listening on").await;
    assert_eq!(site.owns_port(&owner, port).await, Ok(false));
}

#[tokio::test]
async fn somebody_else_at_the_leased_port_is_not_the_task() {
    let site = Site::new();
    let port = free_port();
    let (owner, _) = start(&site, port, &["wharf", "rest"]).await;
    let _foreign = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    assert_eq!(site.owns_port(&owner, port).await, Ok(false));
}

#[tokio::test]
async fn a_port_in_use_is_known_before_the_start() {
    let site = Site::new();
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        let Ok(other) = TcpListener::bind(address) else {
            assert_eq!(address, "[::]:0", "only IPv6 may be missing");
            continue;
        };
        let port = other.local_addr().unwrap().port();
        assert!(!ProcessTasks::port_is_free(port), "{address}");
        let owner = site.owner();
        let refused = site
            .start(TaskSpec {
                port: Some(port),
                ..spec(&owner, run(&["wharf", "listen"]))
            })
            .await
            .unwrap_err();
        assert_eq!(refused.code, Code::PortBusy);
        assert!(refused.code.is_passing());
        drop(other);
        assert!(ProcessTasks::port_is_free(port), "{address}");
    }
    assert_eq!(site.all(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn connections_that_are_still_closing_do_not_make_a_port_busy() {
    let site = Site::new();
    let port = free_port();
    let task = start(&site, port, &["wharf", "listen"]).await;
    eventually("it listens", async || {
        site.owns_port(&task.0, port).await.unwrap().then_some(())
    })
    .await;
    // The task closes first, so that its side is the one that waits.
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    connection.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    connection.read_to_end(&mut Vec::new()).unwrap();
    drop(connection);
    site.until_stopped(&task, crate::site::GRACE).await;
    stopped(site.until_over(&task).await);
    assert!(ProcessTasks::port_is_free(port));
    start(&site, port, &["wharf", "listen"]).await;
}
