//! Static ports: published on the machine, and told when somebody else has one.

use crate::site::{Site, spec};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use wharf_domain::{Code, service::RunSpec};
use wharf_platform::{TaskSpec, TaskStatus, Tasks};

fn static_spec(site: &Site, port: u16) -> TaskSpec {
    TaskSpec {
        port: Some(port),
        public: true,
        ..spec(&site.owner(), RunSpec::Docker(site.task(&["serve"])))
    }
}

#[tokio::test]
async fn a_static_port_is_the_machines_where_visitors_are_given_it() {
    let site = Site::new().await;
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    assert!(site.can_have_port(port).await);
    let spec = static_spec(&site, port);
    let owner = spec.owner.clone();
    let task = site.start(spec).await.unwrap();
    let TaskStatus::Running {
        endpoint: Some(endpoint),
    } = site.look(&owner, &task).await.unwrap()
    else {
        panic!("it runs")
    };
    assert_eq!(
        (endpoint.ip(), endpoint.port()),
        (Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port)
    );
    let own = site.own_endpoint(&owner, &task).await.unwrap().unwrap();
    assert!(site.has_address(own.ip().unwrap()), "{own:?}");
    assert_eq!(own.port(), 8000, "and it listens on its own");
    assert!(!site.can_have_port(port).await, "it is taken now");
}

#[tokio::test]
async fn a_port_that_another_program_has_is_told_and_nothing_is_left() {
    let site = Site::new().await;
    let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = other.local_addr().unwrap().port();
    assert!(!site.can_have_port(port).await);
    let refused = site.start(static_spec(&site, port)).await.unwrap_err();
    assert_eq!(refused.code, Code::PortBusy, "{refused}");
    assert_eq!(site.all(&[]).await, Ok(Vec::new()));
}
