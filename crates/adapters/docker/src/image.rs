//! Images: whether one is here and fits this machine, and pulling it.
//!
//! What must not be here: containers.

use bollard::{Docker, models::ImageInspect, query_parameters::CreateImageOptions};
use futures::StreamExt;
use std::path::Path;
use wharf_domain::{
    Code, Failure,
    service::{DockerTask, Pull},
};

use crate::{credentials, failure};

/// The tag of an image that names none; without one, Docker would pull all of them.
const LATEST: &str = "latest";

/// What of an image decides about its container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// The digest of its configuration: another build under the same name has another.
    pub(crate) id: String,
    pub(crate) architecture: String,
    pub(crate) os: String,
    /// Empty where it is root's.
    pub(crate) user: String,
    /// Of TCP.
    pub(crate) ports: Vec<u16>,
    /// Folders that it says are for data.
    pub(crate) volumes: Vec<String>,
    /// It has an entry point or a command.
    pub(crate) has_program: bool,
}

impl From<ImageInspect> for Image {
    fn from(image: ImageInspect) -> Self {
        let config = image.config.unwrap_or_default();
        let is_said = |words: Option<Vec<String>>| words.is_some_and(|words| !words.is_empty());
        let mut ports: Vec<u16> = config
            .exposed_ports
            .unwrap_or_default()
            .iter()
            .filter_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok())
            .collect();
        ports.sort_unstable();
        Self {
            id: image.id.unwrap_or_default(),
            architecture: image.architecture.unwrap_or_default(),
            os: image.os.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            ports,
            volumes: config.volumes.unwrap_or_default(),
            has_program: is_said(config.entrypoint) || is_said(config.cmd),
        }
    }
}

/// The image, if Docker has it.
pub(crate) async fn find(docker: &Docker, name: &str) -> Result<Option<Image>, Failure> {
    match docker.inspect_image(name).await {
        Ok(image) => Ok(Some(image.into())),
        Err(error) if failure::is_missing(&error) => Ok(None),
        Err(error) => Err(failure::of(&error, &format!("to look at the image {name}"))),
    }
}

/// The failure of an image that is not here and is not to be pulled.
pub(crate) fn missing(task: &DockerTask) -> Failure {
    Failure::new(
        Code::TaskImage,
        format!("Docker has no image {}, and it is not to be pulled", task.image),
    )
    .hint("build it (`docker build -t NAME .`) or pull it, or let Wharf pull it: docker = { pull = \"missing\" }")
}

/// Refuses an image whose programs the machine cannot run. One with a configured platform is taken at its word: the machine may emulate it.
pub(crate) fn check_architecture(task: &DockerTask, image: &Image, machine: &str) -> Result<(), Failure> {
    let runs: &[&str] = match machine {
        "amd64" => &["amd64", "386"],
        "arm64" => &["arm64", "arm"],
        other => &[other],
    };
    let fits = image.architecture.is_empty() || machine.is_empty() || runs.contains(&image.architecture.as_str());
    if task.platform.is_some() || (fits && matches!(image.os.as_str(), "" | "linux")) {
        return Ok(());
    }
    Err(Failure::new(
        Code::TaskImage,
        format!(
            "the image {} is for {}/{}, and this machine is linux/{machine}",
            task.image, image.os, image.architecture
        ),
    )
    .hint(format!(
        "build it for linux/{machine} (`docker buildx build --platform linux/{machine}`); where the machine emulates the other, say so: \
         docker = {{ platform = \"{}/{}\" }}",
        image.os, image.architecture
    )))
}

/// Whether an image that is here makes a pull needless.
pub(crate) fn wants_pull(task: &DockerTask, is_here: bool) -> bool {
    match task.pull {
        Pull::Always => true,
        Pull::Missing => !is_here,
        Pull::Never => false,
    }
}

/// Repository, and tag or digest.
fn parts(name: &str) -> (&str, &str) {
    if let Some((repository, digest)) = name.split_once('@') {
        return (repository, digest);
    }
    match name.rsplit_once(':') {
        // A colon before a slash is a registry's port.
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, LATEST),
    }
}

/// Pulls the image, and says meanwhile how far it is. It may take minutes.
pub(crate) async fn pull(
    docker: &Docker,
    task: &DockerTask,
    credentials: Option<&Path>,
    progress: impl Fn(String),
) -> Result<(), Failure> {
    let (repository, tag) = parts(&task.image);
    let options = CreateImageOptions {
        from_image: Some(repository.to_owned()),
        tag: Some(tag.to_owned()),
        platform: task.platform.clone().unwrap_or_default(),
        ..CreateImageOptions::default()
    };
    let credentials = credentials::find(credentials, repository)?;
    let has_credentials = credentials.is_some();
    let mut steps = std::pin::pin!(docker.create_image(Some(options), None, credentials));
    while let Some(step) = steps.next().await {
        let step = step.map_err(|error| refusal(&task.image, has_credentials, &failure::of(&error, "to pull")))?;
        if let (Some(status), Some(layer)) = (step.status, step.id) {
            progress(format!("its image to be pulled ({status}, {layer})"));
        }
    }
    Ok(())
}

/// Why a pull failed: Docker passes on the registry's words. A registry that was not reached may be reached later, an image that is not there, or
/// not for us, will not be.
fn refusal(image: &str, has_credentials: bool, failure: &Failure) -> Failure {
    const UNREACHED: &[&str] = &[
        "timeout",
        "timed out",
        "deadline exceeded",
        "connection refused",
        "connection reset",
        "no such host",
        "unexpected eof",
        "network is unreachable",
        "temporary failure",
        "server misbehaving",
        "503 service unavailable",
        "toomanyrequests",
    ];
    const DENIED: &[&str] = &[
        "access denied",
        "unauthorized",
        "authentication required",
        "no basic auth",
        "forbidden",
    ];
    let lower = failure.message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if matches!(
        failure.code,
        Code::DockerUnavailable | Code::DockerDisk | Code::DockerDenied | Code::DockerOutdated
    ) {
        return failure.clone();
    }
    let message = format!("the image {image} cannot be pulled: {}", failure.message);
    if says(DENIED) {
        let hint = if has_credentials {
            "check the name of the image, and that the credentials in docker.credentials_file may read it"
        } else {
            "check the name of the image; where its registry asks for credentials, `docker login` puts them into the file that \
             docker.credentials_file names"
        };
        return Failure::new(Code::TaskImage, message).hint(hint);
    }
    if says(UNREACHED) {
        return Failure::new(Code::TaskLost, message)
            .hint("the registry was not reached: look at the network of this machine, or pull the image beforehand");
    }
    if says(&["no matching manifest", "no match for platform"]) {
        return Failure::new(Code::TaskImage, message).hint("the image is not built for this kind of processor");
    }
    Failure::new(Code::TaskImage, message)
        .hint("check the image's name and tag, or build it here (`docker build -t NAME .`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_tag_whatever_it_leaves_out() {
        let cases = [
            ("shop", ("shop", "latest")),
            ("shop:1", ("shop", "1")),
            (
                "registry.example.com:5000/team/shop",
                ("registry.example.com:5000/team/shop", "latest"),
            ),
            (
                "registry.example.com:5000/team/shop:2",
                ("registry.example.com:5000/team/shop", "2"),
            ),
            ("shop@sha256:0a", ("shop", "sha256:0a")),
        ];
        for (name, expected) in cases {
            assert_eq!(parts(name), expected);
        }
    }

    /// As Docker passes on what registries say.
    #[test]
    fn a_pull_that_was_refused_is_told_from_one_that_reached_nobody() {
        let cases = [
            (
                "pull access denied for shop, repository does not exist or may require 'docker login'",
                Code::TaskImage,
            ),
            ("manifest for shop:none not found: manifest unknown", Code::TaskImage),
            (
                "no matching manifest for linux/arm64/v8 in the manifest list entries",
                Code::TaskImage,
            ),
            ("unauthorized: authentication required", Code::TaskImage),
            (
                "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
                Code::TaskLost,
            ),
            (
                "Get \"https://r.example.com/v2/\": context deadline exceeded",
                Code::TaskLost,
            ),
            ("toomanyrequests: You have reached your pull rate limit", Code::TaskLost),
        ];
        for (words, code) in cases {
            let failure = refusal("shop", false, &Failure::new(Code::DockerRefused, words));
            assert_eq!(failure.code, code, "{words}");
            assert!(failure.message.contains(words) && failure.hint.is_some(), "{failure}");
        }
    }

    #[test]
    fn another_processors_image_is_known_before_the_start() {
        let task: DockerTask = serde_json::from_value(serde_json::json!({
            "image": "shop", "pids": 1, "tmpfs_size": 1, "log_size": 1, "log_files": 1
        }))
        .expect("a task");
        let image = |architecture: &str| Image {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            ..Image::default()
        };
        assert!(check_architecture(&task, &image("amd64"), "amd64").is_ok());
        assert!(check_architecture(&task, &image("386"), "amd64").is_ok());
        let failure = check_architecture(&task, &image("arm64"), "amd64").expect_err("another");
        assert_eq!(failure.code, Code::TaskImage);
        assert!(failure.message.contains("linux/arm64") && failure.message.contains("linux/amd64"));
        let emulated = DockerTask {
            platform: Some("linux/arm64".to_owned()),
            ..task
        };
        assert!(check_architecture(&emulated, &image("arm64"), "amd64").is_ok());
    }
}
