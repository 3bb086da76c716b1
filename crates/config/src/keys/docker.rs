//! The keys of a service's `docker` section, and of where Docker is.

use ipnet::IpNet;
use std::{net::IpAddr, path::PathBuf};

use super::service::{OWN_HEALTH, OWN_PORT, OWN_ROUTE};
use crate::{
    table::{
        Key,
        Node::{Leaf, Section as Sub},
        Presence::{Always, Optional},
        Section, Variable,
    },
    values::{ByteSize, ImagePlatform, KIB, Loosened, MIB, Mebibytes, PullPolicy},
};

/// Docker gives no less.
const MEMORY_MIN: Mebibytes = Mebibytes(6);
const MEMORY_MAX: Mebibytes = Mebibytes(32 * 1024 * 1024);

pub(crate) static IMAGE: Key<Option<String>> = Key::new("image", || None, "The image of the container.");
pub(crate) static PULL: Key<PullPolicy> = Key::new(
    "pull",
    || PullPolicy::Missing,
    "When the image is pulled. `missing`: where Docker does not have it. `always`: before every start. `never`: it has to be there. A pull is a \
     part of the start, and has to end within `start_timeout`.",
);
pub(crate) static IMAGE_PLATFORM: Key<Option<ImagePlatform>> = Key::new(
    "platform",
    || None,
    "Which of an image's platforms is pulled and run, where the machine emulates another than its own.",
)
.default_note("the machine's own");
pub(crate) static ENTRYPOINT: Key<Option<Vec<String>>> = Key::new(
    "entrypoint",
    || None,
    "What the container runs, in place of the image's entry point.",
)
.file_only();
pub(crate) static COMMAND: Key<Option<Vec<String>>> = Key::new(
    "command",
    || None,
    "The container's command, in place of the image's; with an entry point, its arguments. `{port}` (which needs `container_port`), `{instance_id}` and, for \
     tenants, `{subdomain}` are filled in. No secret belongs here: everybody who may use Docker can read it.",
)
.file_only();
pub(crate) static CONTAINER_PORT: Key<Option<u16>> = Key::new(
    "container_port",
    || None,
    "The port that the application listens on within the container, which finds it in `PORT`. It has an address of its own, so that all containers may have the \
     same; a port of the machine is published only where `port` is static.",
)
.between(&[Some(1), Some(u16::MAX)])
.default_note("the only one that the image exposes");
pub(crate) static MEMORY: Key<Option<Mebibytes>> = Key::new(
    "memory",
    || None,
    "The container's hard limit of memory, with no swap beside it. A bare number counts MiB. Over it, the kernel ends the container, which is told as such.",
)
.between(&[Some(MEMORY_MIN), Some(MEMORY_MAX)])
.default_note("no limit");
pub(crate) static CPU_UNITS: Key<Option<u32>> = Key::new(
    "cpu_units",
    || None,
    "Its share of the processors where they are short, 1024 for each; what others leave it may use. As `cpu` of a task definition on EC2.",
)
.between(&[Some(2), Some(196_608)])
.default_note("1024");
pub(crate) static PIDS: Key<u32> =
    Key::new("pids", || 512, "How many processes and threads the container may have.").between(&[8, 4_194_304]);
pub(crate) static USER: Key<Option<String>> = Key::new(
    "user",
    || None,
    "Who the application is within the container: `user` or `user:group`, as names that the image has or as numbers.",
)
.default_note("the image's own; where that is root, `65532:65532`, which is nobody");
pub(crate) static TMPFS: Key<Vec<String>> = Key::new(
    "tmpfs",
    || vec!["/tmp".to_owned(), "/run".to_owned()],
    "Folders that the application may write to, in memory, which count as the container's; what is there ends with the container. The folders that an image says \
     are for data (`VOLUME`) are like these, unless the root may be written.",
);
pub(crate) static TMPFS_SIZE: Key<ByteSize> = Key::new(
    "tmpfs_size",
    || ByteSize(64 * MIB),
    "How much each of these folders holds at the most.",
)
.between(&[ByteSize(4 * KIB), ByteSize(1024 * 1024 * MIB)]);
pub(crate) static LOOSEN: Key<Vec<Loosened>> = Key::new(
    "loosen",
    Vec::new,
    "Protections that the application cannot live with. `capabilities`: it has none of root's powers; loosened, those that Docker gives by itself. \
     `new-privileges`: programs that are set-user-ID give none. `pids`: it has no more processes than `pids`. `read-only-root`: the image's own files cannot be \
     written. `non-root-user`: it is nobody where the image would make it root.",
);
pub(crate) static CAPABILITIES: Key<Vec<String>> = Key::new(
    "capabilities",
    Vec::new,
    "Capabilities of the kernel that it has all the same, by their names: `CHOWN`, `SETUID`. For ports below 1024 it needs none.",
);
pub(crate) static LOG_SIZE: Key<ByteSize> = Key::new(
    "log_size",
    || ByteSize(MIB),
    "How large a file of a container's output becomes before the next one is begun.",
)
.between(&[ByteSize(16 * KIB), ByteSize(1024 * MIB)]);
pub(crate) static LOG_FILES: Key<u32> =
    Key::new("log_files", || 2, "How many such files are kept of each container.").between(&[1, 100]);

pub(crate) static DOCKER: Section = Section {
    name: "docker",
    doc: "The service as a Docker container. What it says of `port`, `route` and `health` stands, each as a whole, in place of what the service \
          says. A container has no rights but those that it is given here, and reaches no other tenant's.",
    presence: Optional,
    children: &[
        Leaf(&IMAGE),
        Leaf(&PULL),
        Leaf(&IMAGE_PLATFORM),
        Leaf(&ENTRYPOINT),
        Leaf(&COMMAND),
        Leaf(&CONTAINER_PORT),
        Leaf(&MEMORY),
        Leaf(&CPU_UNITS),
        Leaf(&PIDS),
        Leaf(&USER),
        Leaf(&TMPFS),
        Leaf(&TMPFS_SIZE),
        Leaf(&LOOSEN),
        Leaf(&CAPABILITIES),
        Leaf(&LOG_SIZE),
        Leaf(&LOG_FILES),
        Sub(&OWN_PORT),
        Sub(&OWN_ROUTE),
        Sub(&OWN_HEALTH),
    ],
};

pub(crate) static HOST: Key<String> = Key::new(
    "host",
    || "unix:///var/run/docker.sock".to_owned(),
    "Where Docker is: its socket, `unix:///var/run/docker.sock`, or an address without TLS, `tcp://127.0.0.1:2375`. It has to be this machine's: tenants are reached \
     at their containers' own addresses.",
)
.variables(&[Variable::above("DOCKER_HOST")]);
pub(crate) static SUBNET: Key<Option<IpNet>> = Key::new(
    "subnet",
    || None,
    "The addresses of the containers, of IPv4. Their network is the deployment's own, and stays when Wharf ends.",
)
.default_note("a range that Docker has free");
pub(crate) static PUBLISH: Key<Option<IpAddr>> = Key::new(
    "publish",
    || None,
    "The address of this machine on which static ports are published. Docker lets everybody in who reaches it, whatever the machine's firewall says.",
)
.default_note("that of `server.listen`");
pub(crate) static HOST_ADDRESS: Key<Option<IpAddr>> = Key::new(
    "host_address",
    || None,
    "The address of this machine as it stands in direct URLs, for `{ip}`.",
)
.default_note("that of `publish`");
pub(crate) static CREDENTIALS_FILE: Key<Option<PathBuf>> = Key::new(
    "credentials_file",
    || None,
    "The file with the credentials of registries, in the form of Docker's `config.json`, as `docker login` writes it. It is read at each pull. Helpers that keep \
     credentials elsewhere (`credsStore`) are not asked.",
)
.default_note("`config.json` in `DOCKER_CONFIG`, or in `~/.docker`");

pub(crate) static SYSTEM: Section = Section {
    name: "docker",
    doc: "Where Docker is, and what containers have of this machine.",
    presence: Always,
    children: &[
        Leaf(&HOST),
        Leaf(&SUBNET),
        Leaf(&PUBLISH),
        Leaf(&HOST_ADDRESS),
        Leaf(&CREDENTIALS_FILE),
    ],
};
