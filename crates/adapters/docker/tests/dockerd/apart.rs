//! Tenants cannot reach one another; the machine reaches each, at an address that nobody else gets soon.

use crate::site::{Site, containers};
use bollard::{
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{CreateContainerOptions, RemoveContainerOptions},
};
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use wharf_domain::Endpoint;
use wharf_testkit::contracts::harness::eventually;

fn address(endpoint: &Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.ip().unwrap(), endpoint.port())
}

/// What a visitor of the machine is answered there.
async fn answer(address: SocketAddr) -> Option<String> {
    let asked = timeout(Duration::from_secs(2), async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        Some(text)
    });
    asked.await.ok().flatten()
}

#[tokio::test]
async fn a_tenant_does_not_reach_its_neighbour_and_the_machine_does() {
    let site = Site::new().await;
    let shop = site.run(&["serve"]).await;
    let door = address(&site.endpoint(&shop).await);
    let said = eventually("the machine is answered", async || answer(door).await).await;
    assert!(
        said.ends_with(shop.0.instance.as_str()) || said.contains("200 OK"),
        "{said}"
    );

    let neighbour = site.run(&["knock", &door.to_string()]).await;
    let printed = site.until_printed(&neighbour, "\n").await;
    assert!(
        printed.starts_with("closed"),
        "a tenant reaches its neighbour at {door}"
    );

    // Were the door shut to everybody, this would have shown nothing: on the network of a container that shares it, it is open.
    let inside = ContainerCreateBody {
        image: Some(site.image.clone()),
        cmd: Some(vec!["knock".to_owned(), format!("127.0.0.1:{}", door.port())]),
        labels: Some([("wharf.deployment".to_owned(), site.deployment.to_string())].into()),
        host_config: Some(HostConfig {
            network_mode: Some(format!("container:{}", shop.1.id)),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let name = format!("knock-{}", site.deployment);
    let options = CreateContainerOptions {
        name: Some(name.clone()),
        ..CreateContainerOptions::default()
    };
    site.docker.create_container(Some(options), inside).await.unwrap();
    site.docker.start_container(&name, None).await.unwrap();
    let knocked = (
        shop.0.clone(),
        wharf_domain::instance::TaskRef {
            id: name,
            attempt: shop.1.attempt,
        },
    );
    let printed = site.until_printed(&knocked, "\n").await;
    assert!(printed.starts_with("open"), "{printed}");
}

#[tokio::test]
async fn nothing_is_published_on_the_machine_unless_a_static_port_is_wanted() {
    let site = Site::new().await;
    let (_, task) = site.run(&["serve"]).await;
    let found = site.docker.inspect_container(&task.id, None).await.unwrap();
    let published = found
        .network_settings
        .and_then(|settings| settings.ports)
        .unwrap_or_default();
    assert!(published.values().all(Option::is_none), "{published:?}");
}

#[tokio::test]
async fn an_address_that_was_given_back_is_not_the_next_tenants() {
    let site = Site::new().await;
    let mut given = BTreeSet::new();
    for _ in 0..4 {
        let running = site.run(&["rest"]).await;
        assert!(given.insert(site.endpoint(&running).await), "given twice");
        let options = RemoveContainerOptions {
            force: true,
            ..RemoveContainerOptions::default()
        };
        site.docker
            .remove_container(&running.1.id, Some(options))
            .await
            .unwrap();
    }
    assert!(containers(&site.docker, &site.deployment).await.is_empty());
}
