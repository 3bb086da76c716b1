//! What a service on Docker says must be enough to run it.

use ipnet::IpNet;
use wharf_domain::{
    Code,
    service::{DockerTask, PortRule, RouteRule, RunSpec},
};

use super::placeholders::{self, Place};
use crate::{
    Config,
    keys::{
        docker as keys,
        service::{ENVIRONMENT, PORT, PORT_KIND, TENANT, WARM},
    },
    resolved::Resolved,
    services::Read,
    setting::shown,
    table::join,
    values::PlatformKind,
};

/// A network has its own address, the gateway's and the broadcast's; fewer than this leave nothing.
const LONGEST_PREFIX: u8 = 29;

pub(super) fn check(resolved: &mut Resolved<'_>, read: &Read, task: &DockerTask) {
    if !resolved.sections.contains(&read.run) {
        resolved.report(
            &[&read.path, &read.run, "platform.kind"],
            Code::ConfigInvalid,
            format!(
                "there is no section for the platform in force, {}",
                PlatformKind::Docker.name()
            ),
            "add docker = { image = \"shop:1\", container_port = 8000 }",
        );
        return;
    }
    let path = |key: &str| join(&read.run, key);
    if task.image.is_empty() {
        let hint = "name the image: docker = { image = \"shop:1\" }";
        resolved.report(
            &[&path(keys::IMAGE.name)],
            Code::ConfigInvalid,
            "no image is named",
            hint,
        );
    }
    check_words(resolved, read, task);
    for folder in task
        .tmpfs
        .iter()
        .filter(|folder| !folder.starts_with('/') || folder.as_str() == "/")
    {
        resolved.report(
            &[&path(keys::TMPFS.name)],
            Code::ConfigInvalid,
            format!("{} is not the absolute path of a folder", shown(folder)),
            "write it as in [\"/tmp\", \"/var/cache\"]",
        );
    }
    for name in &task.capabilities {
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        if !is_name || name == "ALL" {
            resolved.report(
                &[&path(keys::CAPABILITIES.name)],
                Code::ConfigInvalid,
                format!("{} is not the name of one capability", shown(name)),
                "write it as in [\"CHOWN\", \"SETUID\"]; all that Docker gives by itself are loosen = [\"capabilities\"]",
            );
        }
    }
}

/// What is started ahead must be the same for all instances.
pub(super) fn check_warm(resolved: &mut Resolved<'_>, read: &Read) {
    let warm = join(&read.path, WARM.name);
    let RunSpec::Docker(task) = &read.service.run else {
        let platform = resolved.platform.name();
        resolved.report(
            &[&warm, "platform.kind"],
            Code::ConfigInvalid,
            format!("only containers on Docker are started ahead, and the platform in force is {platform}"),
            "take warm out, or set [platform] kind = \"docker\"",
        );
        return;
    };
    if matches!(read.service.port, PortRule::Static { .. }) {
        resolved.report(
            &[&warm, &join(&join(&read.path, PORT.name), PORT_KIND.name)],
            Code::ConfigInvalid,
            "a static port is published when its instance is known, and a container that was started ahead cannot have it any more",
            "take warm out, or let the port be dynamic",
        );
    }
    let command = join(&read.run, keys::COMMAND.name);
    for (i, argument) in task.command.iter().flatten().enumerate() {
        let says_whose = placeholders::words(argument).find(|(word, _)| OF_INSTANCE.contains(word));
        if let Some((word, _)) = says_whose {
            resolved.report(
                &[&warm, &join(&command, &i.to_string())],
                Code::ConfigInvalid,
                format!("{{{word}}} is not known when a container is started ahead"),
                "take warm out; or take it out of the command, and let the application read its environment",
            );
        }
    }
}

/// Placeholders that say whose a command is.
const OF_INSTANCE: &[&str] = &["subdomain", "instance_id"];

/// Placeholders in commands; and `{port}`, which only what is configured can fill in.
fn check_words(resolved: &mut Resolved<'_>, read: &Read, task: &DockerTask) {
    let command = join(&read.run, keys::COMMAND.name);
    let mut wants_port = Vec::new();
    for (i, argument) in task.command.iter().flatten().enumerate() {
        let path = join(&command, &i.to_string());
        for (why, hint) in placeholders::faults(argument, Place::Command, read.service.tenant) {
            resolved.report(&[&path, &join(&read.path, TENANT.name)], Code::ConfigInvalid, why, hint);
        }
        if argument.contains("{port}") {
            wants_port.push(path);
        }
    }
    let environment = read.service.environment.iter();
    wants_port.extend(
        environment
            .filter(|(_, value)| value.contains("{port}"))
            .map(|(name, _)| join(&join(&read.path, ENVIRONMENT.name), name)),
    );
    if task.container_port.is_some() {
        return;
    }
    for path in wants_port {
        resolved.report(
            &[&path, &join(&read.run, keys::CONTAINER_PORT.name)],
            Code::ConfigInvalid,
            "{port} is known only where container_port is said",
            "say where the application listens: docker = { container_port = 8000 }",
        );
    }
}

/// What the machine gives to all of them.
pub(super) fn check_machine(resolved: &mut Resolved<'_>, config: &Config, services: &[Read]) {
    if config.platform.kind != PlatformKind::Docker {
        return;
    }
    match resolved.get("docker", &keys::SUBNET) {
        Some(IpNet::V6(_)) => resolved.report(
            &["docker.subnet"],
            Code::ConfigInvalid,
            "containers have addresses of IPv4",
            "write it as in \"10.90.0.0/16\"",
        ),
        Some(IpNet::V4(subnet)) if subnet.prefix_len() > LONGEST_PREFIX => resolved.report(
            &["docker.subnet"],
            Code::ConfigInvalid,
            format!("{subnet} has room for hardly any container"),
            "write it as in \"10.90.0.0/16\"",
        ),
        _ => {}
    }
    let is_unknown = resolved.get("docker", &keys::HOST_ADDRESS).is_none() && config.docker.publish.is_unspecified();
    let direct = services.iter().find(|read| {
        let wants_ip = matches!(&read.service.route, RouteRule::Direct { url } if url.contains("{ip}"));
        wants_ip && matches!(read.service.port, PortRule::Static { .. })
    });
    if let Some(read) = direct.filter(|_| is_unknown) {
        resolved.report(
            &["docker.host_address", "docker.publish", &read.route],
            Code::ConfigInvalid,
            format!(
                "{} gives visitors the address of this machine, which nothing says",
                read.path
            ),
            "say it: [docker] host_address = \"203.0.113.7\"",
        );
    }
}
