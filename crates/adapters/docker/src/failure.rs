//! What Docker's errors mean. Docker has few codes and many words: the words are what tells.
//!
//! What must not be here: what to do about it.

use bollard::errors::Error;
use std::{error::Error as _, io};
use wharf_domain::{Code, Failure};

/// More of Docker's own words than this says no more.
const MOST_WORDS: usize = 600;

/// Words of Docker, in lower case, and what they mean. The first that fits counts.
const WORDS: &[(&str, Code, &str)] = &[
    (
        "no space left on device",
        Code::DockerDisk,
        "make room where Docker keeps its data (`docker system df` shows what has it; `docker image prune`)",
    ),
    (
        "disk quota exceeded",
        Code::DockerDisk,
        "make room where Docker keeps its data, or raise its quota",
    ),
    (
        "is too new. maximum supported api version",
        Code::DockerOutdated,
        "Docker was replaced by an older one: install Docker Engine 20.10 or later",
    ),
    (
        "is too old. minimum supported api version",
        Code::DockerOutdated,
        "Docker is newer than this version of Wharf: update Wharf",
    ),
    (
        "port is already allocated",
        Code::PortBusy,
        "end the program or the container that has the port, or keep the port out of the service's range",
    ),
    (
        "failed to bind host port",
        Code::PortBusy,
        "end the program that listens on the port, or keep the port out of the service's range",
    ),
    (
        "listen tcp",
        Code::PortBusy,
        "end the program that listens on the port, or keep the port out of the service's range",
    ),
    (
        "exchange full",
        Code::TaskCapacity,
        "a network of Linux takes 1023 containers: end instances that nobody needs",
    ),
    (
        "no available ip",
        Code::TaskCapacity,
        "end instances that nobody needs, or give the network more addresses (docker.subnet)",
    ),
    (
        "cannot allocate memory",
        Code::TaskCapacity,
        "the machine has no memory left: end instances that nobody needs, or give them less",
    ),
    (
        "resource temporarily unavailable",
        Code::TaskCapacity,
        "the machine has no processes left: end instances that nobody needs",
    ),
    (
        "unable to find user",
        Code::TaskCommand,
        "name a user that the image has, or give its number: docker = { user = \"1000:1000\" }",
    ),
    (
        "unable to find group",
        Code::TaskCommand,
        "name a group that the image has, or give its number: docker = { user = \"1000:1000\" }",
    ),
    (
        "no command specified",
        Code::TaskCommand,
        "the image has neither an entry point nor a command: say what to run, docker = { command = [\"/program\"] }",
    ),
    (
        "executable file not found",
        Code::TaskCommand,
        "correct the service's command, or the image's entry point: the program has to be in the image",
    ),
    (
        "exec format error",
        Code::TaskImage,
        "the image is for another kind of processor: build or pull it for this one",
    ),
    (
        "no such image",
        Code::TaskImage,
        "build or pull the image, or let Wharf: docker = { pull = \"missing\" }",
    ),
    (
        "minimum memory limit",
        Code::TaskPlacement,
        "give the service more memory: docker = { memory = \"64MiB\" }",
    ),
    (
        "failed to create shim task",
        Code::TaskCommand,
        "the program could not be started: check command, entry point, user and working folder of the image",
    ),
    (
        "failed to create task for container",
        Code::TaskCommand,
        "the program could not be started: check command, entry point, user and working folder of the image",
    ),
    (
        "oci runtime create failed",
        Code::TaskCommand,
        "the program could not be started: check command, entry point, user and working folder of the image",
    ),
];

/// Words that say that Docker, or a part of it, is just not there.
const AWAY: &[&str] = &[
    "shutting down",
    "context canceled",
    "connection error",
    "the client connection is closing",
    "ttrpc: closed",
    "error reading from server",
    "transport is closing",
    "containerd.sock",
    "server is not up",
];

/// What an error means, whatever was asked for. `what` is where Docker is, or what was to be done.
pub(crate) fn of(error: &Error, what: &str) -> Failure {
    match error {
        Error::DockerResponseServerError { status_code, message } => refused(*status_code, message, what),
        Error::DockerStreamError { error } => refused(500, error, what),
        Error::SocketNotFoundError(path) => unavailable(format!("there is no socket of Docker at {path}")),
        Error::RequestTimeoutError => unavailable(format!("Docker did not answer in time ({what})")),
        error => match io_kind(error) {
            Some(io::ErrorKind::PermissionDenied) => Failure::new(
                Code::DockerDenied,
                format!("this user may not use the socket of Docker ({what})"),
            )
            .hint("add the user that runs Wharf to the group `docker`, and log in anew; whoever may use that socket is as good as root"),
            _ => unavailable(format!("Docker cannot be asked ({what}): {}", deepest(error))),
        },
    }
}

/// Whether it says that something is not there.
pub(crate) fn is_missing(error: &Error) -> bool {
    status(error) == Some(404)
}

/// Whether something is in the way, or in the state that was asked for.
pub(crate) fn is_conflict(error: &Error) -> bool {
    status(error) == Some(409)
}

/// Whether it may have done what was asked: no answer came.
pub(crate) fn is_unanswered(error: &Error) -> bool {
    status(error).is_none()
}

pub(crate) fn says(error: &Error, words: &str) -> bool {
    matches!(error, Error::DockerResponseServerError { message, .. } if message.to_lowercase().contains(words))
}

fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

fn refused(status: u16, message: &str, what: &str) -> Failure {
    let lower = message.to_lowercase();
    let said: String = message.trim().chars().take(MOST_WORDS).collect();
    if let Some((_, code, hint)) = WORDS.iter().find(|(words, ..)| lower.contains(words)) {
        return Failure::new(*code, format!("Docker says: {said} ({what})")).hint(*hint);
    }
    if status == 503 || AWAY.iter().any(|words| lower.contains(words)) {
        return unavailable(format!("Docker cannot do it just now ({what}): {said}"));
    }
    Failure::new(
        Code::DockerRefused,
        format!("Docker refuses ({what}), with status {status}: {said}"),
    )
    .hint("the words are Docker's own; its log has more (`journalctl -u docker`)")
}

fn unavailable(message: String) -> Failure {
    Failure::new(Code::DockerUnavailable, message).hint(
        "start Docker (`systemctl start docker`), or say where it is: docker.host in wharf.toml, or DOCKER_HOST; \
         what runs and what is under way waits for it",
    )
}

fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    if let Error::IOError { err } = error {
        return Some(err.kind());
    }
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

/// What a chain of errors ends with says why; the others say that.
fn deepest(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = error.to_string();
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_lets_nobody_in_is_told_with_who_may() {
        let error = Error::IOError {
            err: io::Error::from(io::ErrorKind::PermissionDenied),
        };
        let failure = of(&error, "unix:///var/run/docker.sock");
        assert_eq!(failure.code, Code::DockerDenied);
        assert!(failure.hint.is_some_and(|hint| hint.contains("group `docker`")));
    }

    /// As Docker 20.10 to 29 say it.
    #[test]
    fn dockers_words_have_their_codes() {
        let cases: &[(u16, &str, Code)] = &[
            (400, "No command specified", Code::TaskCommand),
            (404, "No such image: shop:1", Code::TaskImage),
            (
                500,
                "driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:8000 failed: port is already allocated",
                Code::PortBusy,
            ),
            (
                500,
                "driver failed programming external connectivity on endpoint x: Error starting userland proxy: listen tcp4 127.0.0.1:8000: bind: address already in use",
                Code::PortBusy,
            ),
            (
                500,
                "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"/none\": stat /none: no such file or directory: unknown",
                Code::TaskCommand,
            ),
            (
                500,
                "unable to find user shop: no matching entries in passwd file",
                Code::TaskCommand,
            ),
            (
                500,
                "mkdir /var/lib/docker/overlay2/x: no space left on device",
                Code::DockerDisk,
            ),
            (
                500,
                "adding interface veth1 to bridge br-1 failed: exchange full",
                Code::TaskCapacity,
            ),
            (
                400,
                "client version 1.53 is too new. Maximum supported API version is 1.41",
                Code::DockerOutdated,
            ),
            (500, "transport is closing: unavailable", Code::DockerUnavailable),
            (503, "nothing", Code::DockerUnavailable),
            (500, "something new", Code::DockerRefused),
        ];
        for (status, message, code) in cases {
            let error = Error::DockerResponseServerError {
                status_code: *status,
                message: (*message).to_owned(),
            };
            let failure = of(&error, "to start");
            assert_eq!(failure.code, *code, "{message}");
            assert!(failure.message.contains(message), "its own words: {failure}");
            assert!(failure.hint.is_some(), "{message}");
        }
    }
}
