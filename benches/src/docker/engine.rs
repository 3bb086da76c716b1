//! The Docker Engine that the run was given, the shop as its image, and the shop started bare: by two calls of its API, and nobody between it and its
//! first visitor.

use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    models::{ContainerCreateBody, HostConfig, NetworkCreateRequest},
    query_parameters::{CreateContainerOptions, ListContainersOptions, RemoveContainerOptions},
};
use std::{
    collections::HashMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{Result, http::Client, setup::Setup};

/// By this variable `cargo xtask bench` says where the Docker is that it has started.
const HOST: &str = "WHARF_TEST_DOCKER_HOST";
const IMAGE: &str = "wharf-bench-shop:1";
const NETWORK: &str = "wharf-bench";
/// Where the shop listens in its container.
pub(crate) const PORT: u16 = 8000;
/// What the shop is told in both cases. Its database is in memory, as its folder is.
pub(crate) const DATABASE: &str = "sqlite:///tmp/shop.db";
/// Between two tries to be answered.
const PAUSE: Duration = Duration::from_micros(500);
const GIVE_UP: Duration = Duration::from_secs(30);

pub(crate) struct Engine {
    docker: Docker,
    pub(crate) host: String,
    pub(crate) image: &'static str,
}

impl Engine {
    pub(crate) async fn open(setup: &Setup) -> Result<Self> {
        let host = std::env::var(HOST)
            .map_err(|_| format!("{HOST} names no Docker: run `cargo xtask bench --only docker`, as root"))?;
        let docker = Docker::connect_with_unix(&host, 60, API_DEFAULT_VERSION)?;
        let docker = docker.negotiate_version().await?;
        build(&host, setup.wharf()?, &setup.scratch.folder("image")?)?;
        let network = NetworkCreateRequest {
            name: NETWORK.to_owned(),
            driver: Some("bridge".to_owned()),
            ..NetworkCreateRequest::default()
        };
        // Another benchmark of this run may have made it, and older Engines make a second one of the same name.
        match docker.inspect_network(NETWORK, None).await {
            Ok(_) => {}
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {
                docker.create_network(network).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Self {
            docker,
            host,
            image: IMAGE,
        })
    }

    /// A container with an address of its own, until its first whole 200.
    pub(crate) async fn bare(&self) -> Result<Started> {
        let environment = [
            format!("PORT={PORT}"),
            "HOST=0.0.0.0".to_owned(),
            format!("DATABASE_URL={DATABASE}"),
            "APP_PASSWORD=password".to_owned(),
            "COMPANY_NAME=Acme Inc.".to_owned(),
        ];
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            env: Some(environment.into()),
            host_config: Some(HostConfig {
                network_mode: Some(NETWORK.to_owned()),
                tmpfs: Some(HashMap::from([("/tmp".to_owned(), String::new())])),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let began = Instant::now();
        let made = self
            .docker
            .create_container(None::<CreateContainerOptions>, body)
            .await?;
        self.docker.start_container(&made.id, None).await?;
        let address = self.address(&made.id).await?;
        until_it_answers(address, began).await?;
        Ok(Started {
            took: began.elapsed(),
            id: made.id,
        })
    }

    /// Pauses a container, and then lets it go on until it has answered. Gives the time of the latter.
    pub(crate) async fn wake(&self, id: &str) -> Result<Duration> {
        let address = self.address(id).await?;
        self.docker.pause_container(id).await?;
        let began = Instant::now();
        self.docker.unpause_container(id).await?;
        until_it_answers(address, began).await?;
        Ok(began.elapsed())
    }

    async fn address(&self, id: &str) -> Result<Ipv4Addr> {
        let found = self.docker.inspect_container(id, None).await?;
        let networks = found.network_settings.and_then(|settings| settings.networks);
        let own = networks.and_then(|mut networks| networks.remove(NETWORK)?.ip_address);
        Ok(own.ok_or("a container without an address")?.parse()?)
    }

    pub(crate) async fn remove(&self, id: &str) -> Result<()> {
        let options = RemoveContainerOptions {
            v: true,
            force: true,
            ..RemoveContainerOptions::default()
        };
        Ok(self.docker.remove_container(id, Some(options)).await?)
    }

    /// Until so many containers wait that are nobody's.
    pub(crate) async fn until_waiting(&self, count: usize) -> Result<()> {
        let began = Instant::now();
        while self.ids(&["wharf.warm"], "-warm-").await?.len() < count {
            if began.elapsed() > GIVE_UP * 2 {
                return Err(format!("there are never {count} containers that wait").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Removes what a server has left that has ended.
    pub(crate) async fn clear(&self) -> Result<()> {
        for id in self.ids(&["wharf.deployment"], "").await? {
            self.remove(&id).await?;
        }
        Ok(())
    }

    /// Containers that run, with these labels and this in their names.
    async fn ids(&self, labels: &[&str], name: &str) -> Result<Vec<String>> {
        let all = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let options = ListContainersOptions {
            filters: Some(HashMap::from([
                ("label".to_owned(), all(labels)),
                ("name".to_owned(), all(&[name])),
            ])),
            ..ListContainersOptions::default()
        };
        let found = self.docker.list_containers(Some(options)).await?;
        Ok(found.into_iter().filter_map(|container| container.id).collect())
    }
}

/// A container that was started bare.
pub(crate) struct Started {
    pub(crate) id: String,
    /// From the first call to the first whole answer.
    pub(crate) took: Duration,
}

async fn until_it_answers(address: Ipv4Addr, since: Instant) -> Result<()> {
    let mut visitor = Client::new(SocketAddr::from((address, PORT)), "shop");
    loop {
        if let Ok(answer) = visitor.get("/").await
            && answer.status == http::StatusCode::OK
        {
            return Ok(());
        }
        if since.elapsed() > GIVE_UP {
            return Err("a container that was started bare does not answer".into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The program that is measured, and the libraries that it is loaded with.
fn build(host: &str, wharf: &Path, folder: &Path) -> Result<()> {
    let root = folder.join("root");
    let put = |from: &Path, inside: &Path| {
        let to = root.join(inside.strip_prefix("/").unwrap_or(inside));
        fs::create_dir_all(to.parent().unwrap_or(&root))?;
        fs::copy(from, to)
    };
    put(wharf, Path::new("wharf"))?;
    let listed = Command::new("ldd").arg(wharf).output()?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
    for library in libraries.map(PathBuf::from) {
        put(&library, &library)?;
    }
    fs::write(
        folder.join("Dockerfile"),
        format!("FROM scratch\nCOPY root /\nENTRYPOINT [\"/wharf\", \"storefront\"]\nEXPOSE {PORT}\n"),
    )?;
    let built = Command::new("docker")
        .args(["--host", host, "build", "--quiet", "--tag", IMAGE])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if built.success() {
        Ok(())
    } else {
        Err("the shop's image cannot be built".into())
    }
}
