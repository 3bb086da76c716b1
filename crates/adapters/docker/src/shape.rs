//! From a specification and its image to what Docker is asked for. The protections are here: a container has what it needs, and what the
//! service's configuration loosens by name. Pure.

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType,
    NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use secrecy::ExposeSecret;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};
use wharf_domain::{
    Code, DeploymentId, Failure,
    service::{DockerTask, Protection},
};
use wharf_platform::TaskSpec;

use crate::{
    image::Image,
    marks::{self, Notes},
    pool::WarmService,
    slots,
};

/// The user that a container has whose image names none: the one that images without a user list call `nonroot`.
const NOBODY: &str = "65532:65532";
/// Docker takes no less.
const CPU_SHARES_LEAST: u32 = 2;
/// Where the machine has no memory left, the kernel takes a tenant's rather than Wharf's or Docker's.
const OOM_SCORE: i64 = 500;
/// Docker's usual one, which can be read and bounded. (`local` can be too, but joins a line of 16 KiB with the next.)
const LOG_DRIVER: &str = "json-file";

/// Where a container is put.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) deployment: &'a DeploymentId,
    pub(crate) network: &'a str,
    pub(crate) address: Ipv4Addr,
    /// The host's address on which static ports are published.
    pub(crate) publish: IpAddr,
}

/// Where the application listens: as configured, or the only port that the image exposes.
pub(crate) fn port(task: &DockerTask, image: &Image) -> Result<u16, Failure> {
    let unclear = |message: String| {
        let hint = "say where the application listens: docker = { container_port = 8000 }";
        Failure::new(Code::TaskPlacement, message).hint(hint)
    };
    match (task.container_port, image.ports.as_slice()) {
        (Some(port), _) => Ok(port),
        (None, [port]) => Ok(*port),
        (None, []) => Err(unclear(format!("the image {} exposes no port", task.image))),
        (None, ports) => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            Err(unclear(format!(
                "the image {} exposes several ports: {}",
                task.image,
                ports.join(", ")
            )))
        }
    }
}

/// Whether a container of this image would have something to run.
pub(crate) fn check_command(task: &DockerTask, image: &Image) -> Result<(), Failure> {
    let is_said = |words: &Option<Vec<String>>| words.as_ref().is_some_and(|words| !words.is_empty());
    if image.has_program || is_said(&task.command) || is_said(&task.entrypoint) {
        return Ok(());
    }
    Err(Failure::new(
        Code::TaskCommand,
        format!("the image {} has neither an entry point nor a command", task.image),
    )
    .hint("say what to run: docker = { command = [\"/program\"] }"))
}

/// The user that a container is given; `None` where the image's own stands.
fn user(task: &DockerTask, image: &Image) -> Option<String> {
    let is_root = |user: &str| matches!(user.split(':').next(), Some("" | "0" | "root") | None);
    match &task.user {
        Some(user) => Some(user.clone()),
        None if task.loosened.contains(&Protection::NonRootUser) || !is_root(&image.user) => None,
        None => Some(NOBODY.to_owned()),
    }
}

/// The folders that can be written though the root cannot: those of the configuration, and those that the image says are for data. They are in
/// memory, and count as the container's: what a tenant writes there ends with its task.
fn tmpfs(task: &DockerTask, image: &Image) -> HashMap<String, String> {
    let has_volumes = task.loosened.contains(&Protection::ReadOnlyRoot);
    let volumes = image.volumes.iter().filter(|_| !has_volumes);
    let options = format!("rw,noexec,nosuid,nodev,mode=1777,size={}", task.tmpfs_size);
    let folders = task.tmpfs.iter().chain(volumes);
    folders.map(|folder| (folder.clone(), options.clone())).collect()
}

fn environment(spec: &TaskSpec, port: u16) -> Vec<String> {
    let own = spec.environment.iter().filter(|(name, _)| name.as_str() != "PORT");
    let mut environment: Vec<String> = own
        .map(|(name, value)| format!("{name}={}", value.expose_secret()))
        .collect();
    environment.push(format!("PORT={port}"));
    environment
}

/// What Docker is asked to create. It holds secrets, in the container's environment.
pub(crate) fn body(
    spec: &TaskSpec,
    task: &DockerTask,
    image: &Image,
    place: &Place<'_>,
) -> Result<ContainerCreateBody, Failure> {
    let port = port(task, image)?;
    let notes = Notes {
        port: Some(port),
        host_port: spec.port,
        public: spec.public && spec.port.is_some(),
    };
    let published = spec.port.map(|host_port| {
        let binding = PortBinding {
            host_ip: Some(place.publish.to_string()),
            host_port: Some(host_port.to_string()),
        };
        HashMap::from([(key_of(port), Some(vec![binding]))])
    });
    let mut body = made(task, image, place, port);
    body.env = Some(environment(spec, port));
    body.labels = Some(marks::labels(&spec.owner, &spec.service, &notes));
    if let Some(host) = &mut body.host_config {
        host.port_bindings = published;
    }
    Ok(body)
}

/// The same for a container that is nobody's yet: it has what is the same for all of its service, and waits for the rest.
pub(crate) fn warm_body(
    service: &WarmService,
    image: &Image,
    place: &Place<'_>,
    mark: &str,
    slot: &str,
    folder: &Path,
) -> Result<ContainerCreateBody, Failure> {
    let port = port(&service.task, image)?;
    let own = [
        ("PORT".to_owned(), port.to_string()),
        (slots::VARIABLE.to_owned(), slots::awaited()),
    ];
    let given = service
        .environment
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let environment = given.filter(|(name, _)| own.iter().all(|(ours, _)| ours != name));
    let environment = environment
        .chain(own.clone())
        .map(|(name, value)| format!("{name}={value}"));
    let mut body = made(&service.task, image, place, port);
    body.env = Some(environment.collect());
    body.labels = Some(marks::warm_labels(place.deployment, &service.service, mark, slot, port));
    if let Some(host) = &mut body.host_config {
        // One that Docker does not find is an error, and not made by it.
        host.mounts = Some(vec![Mount {
            typ: Some(MountType::BIND),
            source: Some(folder.display().to_string()),
            target: Some(slots::INSIDE.to_owned()),
            read_only: Some(true),
            ..Mount::default()
        }]);
    }
    Ok(body)
}

fn key_of(port: u16) -> String {
    format!("{port}/tcp")
}

/// What every container of this service is, whoever's it is.
fn made(task: &DockerTask, image: &Image, place: &Place<'_>, port: u16) -> ContainerCreateBody {
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(place.address.to_string()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    };
    ContainerCreateBody {
        image: Some(task.image.clone()),
        entrypoint: task.entrypoint.clone(),
        cmd: task.command.clone(),
        user: user(task, image),
        exposed_ports: Some(vec![key_of(port)]),
        host_config: Some(HostConfig {
            network_mode: Some(place.network.to_owned()),
            ..host(task, image)
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(place.network.to_owned(), endpoint)])),
        }),
        ..ContainerCreateBody::default()
    }
}

/// What the container may do on its host.
fn host(task: &DockerTask, image: &Image) -> HostConfig {
    let keeps = |protection| !task.loosened.contains(&protection);
    let memory = task.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let log = HashMap::from([
        ("max-size".to_owned(), task.log_size.to_string()),
        ("max-file".to_owned(), task.log_files.max(1).to_string()),
    ]);
    HostConfig {
        memory,
        // The same with swap: a limit is the limit.
        memory_swap: memory,
        cpu_shares: task.cpu_units.map(|units| units.max(CPU_SHARES_LEAST).into()),
        pids_limit: keeps(Protection::Pids).then(|| task.pids.into()),
        cap_drop: keeps(Protection::Capabilities).then(|| vec!["ALL".to_owned()]),
        cap_add: (!task.capabilities.is_empty()).then(|| task.capabilities.iter().cloned().collect()),
        security_opt: keeps(Protection::NewPrivileges).then(|| vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(keeps(Protection::ReadOnlyRoot)),
        tmpfs: Some(tmpfs(task, image)),
        oom_score_adj: Some(OOM_SCORE),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some(LOG_DRIVER.to_owned()),
            config: Some(log),
        }),
        ..HostConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;
    use std::collections::{BTreeMap, BTreeSet};
    use wharf_domain::{
        Attempt, DeploymentId, InstanceId, Timestamp,
        service::{Pull, RunSpec},
    };
    use wharf_platform::Owner;

    fn task() -> DockerTask {
        DockerTask {
            image: "shop:1".into(),
            pull: Pull::Never,
            platform: None,
            entrypoint: None,
            command: None,
            container_port: Some(8000),
            memory: Some(256 << 20),
            cpu_units: Some(256),
            pids: 100,
            user: None,
            tmpfs: BTreeSet::from(["/tmp".to_owned()]),
            tmpfs_size: 1 << 20,
            loosened: BTreeSet::new(),
            capabilities: BTreeSet::new(),
            log_size: 1 << 20,
            log_files: 2,
        }
    }

    fn made(task: &DockerTask, image: &Image, port: Option<u16>) -> ContainerCreateBody {
        let spec = TaskSpec {
            owner: Owner {
                deployment: DeploymentId::new([1; 10]),
                instance: InstanceId::new(Timestamp(1), [2; 10]),
                attempt: Attempt(1),
            },
            service: "shop".parse().expect("a name"),
            run: RunSpec::Docker(task.clone()),
            port,
            environment: BTreeMap::from([("PORT".to_owned(), SecretString::from("8001"))]),
            public: false,
            intended_at: Timestamp(0),
        };
        let place = Place {
            deployment: &spec.owner.deployment,
            network: "wharf-test",
            address: Ipv4Addr::new(10, 0, 0, 2),
            publish: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        body(&spec, task, image, &place).expect("sound")
    }

    #[test]
    fn a_container_has_no_rights_that_it_was_not_given() {
        let image = Image {
            volumes: vec!["/data".into()],
            ..Image::default()
        };
        let body = made(&task(), &image, None);
        assert_eq!(body.user.as_deref(), Some("65532:65532"));
        let host = body.host_config.expect("a host's part");
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.cap_add, None);
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));
        assert_eq!(host.pids_limit, Some(100));
        assert_eq!(host.readonly_rootfs, Some(true));
        let tmpfs: BTreeSet<String> = host.tmpfs.expect("folders in memory").into_keys().collect();
        assert_eq!(tmpfs, BTreeSet::from(["/data".to_owned(), "/tmp".to_owned()]));
        assert_eq!(host.port_bindings, None, "nothing is published");
        assert_eq!(
            host.restart_policy.and_then(|policy| policy.name),
            Some(RestartPolicyNameEnum::NO)
        );
    }

    #[test]
    fn each_protection_is_loosened_by_its_name_alone() {
        let loosened = |protection| {
            let task = DockerTask {
                loosened: BTreeSet::from([protection]),
                ..task()
            };
            let body = made(&task, &Image::default(), None);
            let host = body.host_config.expect("a host's part");
            [
                (Protection::Capabilities, host.cap_drop.is_none()),
                (Protection::NewPrivileges, host.security_opt.is_none()),
                (Protection::Pids, host.pids_limit.is_none()),
                (Protection::ReadOnlyRoot, host.readonly_rootfs == Some(false)),
                (Protection::NonRootUser, body.user.is_none()),
            ]
            .into_iter()
            .filter_map(|(protection, is_loose)| is_loose.then_some(protection))
            .collect::<Vec<_>>()
        };
        for protection in [
            Protection::Capabilities,
            Protection::NewPrivileges,
            Protection::Pids,
            Protection::ReadOnlyRoot,
            Protection::NonRootUser,
        ] {
            assert_eq!(loosened(protection), [protection]);
        }
    }

    /// `memory: 256, cpu: 256` of a task definition: a hard limit in MiB, and a share of 1024 for each processor.
    #[test]
    fn memory_and_cpu_mean_what_they_mean_on_ecs() {
        let host = made(&task(), &Image::default(), None)
            .host_config
            .expect("a host's part");
        assert_eq!((host.memory, host.memory_swap), (Some(256 << 20), Some(256 << 20)));
        assert_eq!((host.cpu_shares, host.nano_cpus), (Some(256), None));
    }

    #[test]
    fn an_image_keeps_the_user_that_is_not_root() {
        let user_of = |user: &str| {
            let image = Image {
                user: user.to_owned(),
                ..Image::default()
            };
            made(&task(), &image, None).user
        };
        assert_eq!(user_of("shop"), None);
        assert_eq!(user_of("1000:1000"), None);
        for root in ["", "0", "root", "root:root", "0:1000"] {
            assert_eq!(user_of(root).as_deref(), Some("65532:65532"), "{root:?}");
        }
    }

    #[test]
    fn a_static_port_is_published_and_the_container_hears_its_own() {
        let body = made(&task(), &Image::default(), Some(8001));
        assert_eq!(body.env, Some(vec!["PORT=8000".to_owned()]));
        let bindings = body
            .host_config
            .and_then(|host| host.port_bindings)
            .expect("one is published");
        let binding = bindings["8000/tcp"].as_ref().expect("a binding");
        assert_eq!(binding[0].host_port.as_deref(), Some("8001"));
        assert_eq!(binding[0].host_ip.as_deref(), Some("127.0.0.1"));
    }

    #[test]
    fn where_it_listens_is_said_or_the_only_port_of_the_image() {
        let image = |ports: &[u16]| Image {
            ports: ports.to_vec(),
            ..Image::default()
        };
        let silent = DockerTask {
            container_port: None,
            ..task()
        };
        assert_eq!(port(&task(), &image(&[80, 81])), Ok(8000));
        assert_eq!(port(&silent, &image(&[80])), Ok(80));
        for ports in [&[][..], &[80, 81]] {
            let failure = port(&silent, &image(ports)).expect_err("unclear");
            assert_eq!(failure.code, Code::TaskPlacement);
        }
    }
}
