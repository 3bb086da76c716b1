//! A deployment whose tenants' shops are containers; nothing of it is left when it goes.

use serde_json::Value;
use std::ops::{Deref, DerefMut};

use crate::{
    engine::Docker,
    harness::{Deployment, Setup, text},
};

/// What `doctor` ends with where something is bad: docs/cli.md.
pub(crate) const DIFFERENCES: i32 = 5;

pub(crate) struct Site {
    /// Gone only while this is dropped.
    deployment: Option<Deployment>,
    pub(crate) docker: Docker,
}

impl Deref for Site {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        self.deployment.as_ref().expect("a deployment")
    }
}

impl DerefMut for Site {
    fn deref_mut(&mut self) -> &mut Deployment {
        self.deployment.as_mut().expect("a deployment")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let marked = self.marked();
        // A server that runs would start again what is removed.
        drop(self.deployment.take());
        for id in marked {
            self.docker.clear(&id);
        }
    }
}

/// The shop, in a container that may write nowhere but into memory.
pub(crate) fn shop(image: &str, more: &str) -> String {
    format!(
        r#"
[platform]
kind = "docker"

[services.storefront]
tenant = true
health = {{ path = "/healthz", interval = "200ms" }}
stop_timeout = "5s"
drain_timeout = "1s"
start_timeout = "60s"
identity_header = "x-wharf-instance"
environment = {{ DATABASE_URL = "sqlite:///tmp/shop.db", HOST = "0.0.0.0" }}

[services.storefront.docker]
image = "{image}"
pull = "never"
container_port = 8000
memory = "128MiB"
cpu_units = 256
{more}
"#
    )
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::on(Docker::of_the_suite()).await
    }

    pub(crate) async fn on(docker: Docker) -> Self {
        let image = docker.shop();
        Self::configured(docker, &shop(&image, "")).await
    }

    pub(crate) async fn configured(docker: Docker, toml: &str) -> Self {
        let setup = Setup::new().configured(toml).with("DOCKER_HOST", &docker.host);
        Self {
            deployment: Some(setup.up().await),
            docker,
        }
    }

    /// The deployments that the containers and the network of this test belong to: its own.
    fn marked(&self) -> Vec<String> {
        let network = self.docker.try_run(&["network", "ls", "--format", "{{.Name}}"]);
        let deployment = self.deployment_id();
        network
            .unwrap_or_default()
            .lines()
            .filter_map(|name| name.strip_prefix("wharf-"))
            .filter(|id| Some(*id) == deployment.as_deref())
            .map(str::to_owned)
            .collect()
    }

    /// As the server's log, the network's name and every container have it.
    pub(crate) fn deployment_id(&self) -> Option<String> {
        let registry = std::fs::read(self.data().join("registry.db")).ok()?;
        let wal = std::fs::read(self.data().join("registry.db-wal")).unwrap_or_default();
        let bytes = [registry, wal].concat();
        let at = bytes.windows(4).position(|window| window == b"dep_")?;
        let id = bytes.get(at..at + 20)?;
        Some(String::from_utf8_lossy(id).into_owned())
    }

    /// A tenant, ready; and its container.
    pub(crate) async fn tenant_in_a_container(&self, name: &str) -> (Value, String) {
        let instance = self.ready(name).await;
        let container = self.docker.container(text(&instance["id"]));
        (instance, container)
    }

    /// What a visitor of the tenant gets.
    pub(crate) async fn is_open(&self, name: &str) {
        let page = self.tenant(name).page("/").await.is(200);
        assert!(page.text().contains(&format!("The {name} Company")), "{}", page.text());
    }
}
