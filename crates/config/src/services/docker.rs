//! A service's `docker` section, typed.

use wharf_domain::service::{DockerTask, RunSpec};

use crate::{
    keys::docker as keys,
    resolved::Resolved,
    values::{ByteSize, MIB, Mebibytes},
};

/// An absent section, or an absent image, is an empty text here and a problem in the rules.
pub(super) fn read(from: &Resolved<'_>, path: &str) -> RunSpec {
    if !from.sections.contains(path) {
        return RunSpec::Docker(DockerTask {
            image: String::new(),
            pull: wharf_domain::service::Pull::default(),
            platform: None,
            entrypoint: None,
            command: None,
            container_port: None,
            memory: None,
            cpu_units: None,
            pids: 1,
            user: None,
            tmpfs: std::collections::BTreeSet::default(),
            tmpfs_size: MIB,
            loosened: std::collections::BTreeSet::default(),
            capabilities: std::collections::BTreeSet::default(),
            log_size: MIB,
            log_files: 1,
        });
    }
    let ByteSize(tmpfs_size) = from.get(path, &keys::TMPFS_SIZE);
    let ByteSize(log_size) = from.get(path, &keys::LOG_SIZE);
    let memory = from.get(path, &keys::MEMORY);
    RunSpec::Docker(DockerTask {
        image: from.get(path, &keys::IMAGE).unwrap_or_default().trim().to_owned(),
        pull: from.get(path, &keys::PULL).into(),
        platform: from.get(path, &keys::IMAGE_PLATFORM).map(|platform| platform.0),
        entrypoint: from.get(path, &keys::ENTRYPOINT),
        command: from.get(path, &keys::COMMAND),
        container_port: from.get(path, &keys::CONTAINER_PORT),
        memory: memory.map(|Mebibytes(mebibytes)| u64::from(mebibytes) * MIB),
        cpu_units: from.get(path, &keys::CPU_UNITS),
        pids: from.get(path, &keys::PIDS),
        user: from.get(path, &keys::USER),
        tmpfs: from.get(path, &keys::TMPFS).into_iter().collect(),
        tmpfs_size,
        loosened: from.get(path, &keys::LOOSEN).into_iter().map(|name| name.0).collect(),
        capabilities: from.get(path, &keys::CAPABILITIES).into_iter().collect(),
        log_size,
        log_files: from.get(path, &keys::LOG_FILES),
    })
}
