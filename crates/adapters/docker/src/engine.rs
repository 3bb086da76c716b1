//! The connection to Docker: where it is, and in which version of its API it is spoken to.
//!
//! What must not be here: containers.

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};
use wharf_domain::{Code, Failure};

use crate::failure;

/// How long Docker may take until an answer begins, in seconds: a start on a busy machine takes a few. What streams goes on longer.
const TIMEOUT: u64 = 60;
/// The oldest version that has what we ask for (Docker 20.10): a platform at a container's creation, low ports for users that are not root.
const OLDEST: (usize, usize) = (1, 41);
const UNIX: &str = "unix://";
const TCP: &str = "tcp://";

/// Docker, as it answered once.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) docker: Docker,
    /// As images name it: `amd64`.
    pub(crate) architecture: String,
    /// As people name it: `28.1.1`.
    pub(crate) version: String,
}

/// A client, which has not asked anything yet.
pub(crate) fn client(host: &str) -> Result<Docker, Failure> {
    let made = if let Some(path) = host.strip_prefix(UNIX) {
        Docker::connect_with_unix(path, TIMEOUT, API_DEFAULT_VERSION)
    } else if host.starts_with(TCP) {
        Docker::connect_with_http(host, TIMEOUT, API_DEFAULT_VERSION)
    } else {
        return Err(Failure::new(
            Code::ConfigInvalid,
            format!("{host:?} is not an address of Docker that Wharf can use"),
        )
        .hint(
            "write it as in \"unix:///var/run/docker.sock\" or \"tcp://127.0.0.1:2375\" (docker.host, or DOCKER_HOST)",
        ));
    };
    made.map_err(|error| failure::of(&error, host))
}

/// Agrees on a version with Docker, and learns what machine it is on.
pub(crate) async fn connect(host: &str) -> Result<Engine, Failure> {
    let docker = client(host)?;
    agree(&docker, host).await?;
    let version = docker.version().await.map_err(|error| failure::of(&error, host))?;
    Ok(Engine {
        docker,
        architecture: version.arch.unwrap_or_default(),
        version: version.version.unwrap_or_default(),
    })
}

/// Speaks no later version than Docker does; a Docker that was replaced by an older one is met again in this way.
pub(crate) async fn agree(docker: &Docker, host: &str) -> Result<(), Failure> {
    let agreed = match docker.clone().negotiate_version().await {
        Ok(docker) => docker.client_version(),
        Err(Error::APIVersionParseError {}) => {
            return Err(Failure::new(
                Code::DockerRefused,
                format!("what answers at {host} does not say which version of Docker's API it has"),
            )
            .hint("is it Docker? Set docker.host, or DOCKER_HOST, to its socket"));
        }
        Err(error) => return Err(failure::of(&error, host)),
    };
    let (major, minor) = OLDEST;
    if (agreed.major_version, agreed.minor_version) < OLDEST {
        return Err(Failure::new(
            Code::DockerOutdated,
            format!("Docker at {host} has version {agreed} of its API, and Wharf needs {major}.{minor} or later"),
        )
        .hint("install Docker Engine 20.10 or later"));
    }
    Ok(())
}
