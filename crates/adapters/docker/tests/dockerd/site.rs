//! A deployment of its own on a real Docker, an image for it, and what tests ask of both.

use bollard::{
    API_DEFAULT_VERSION, Docker,
    query_parameters::{BuildImageOptions, ImportImageOptions, ListContainersOptions, RemoveContainerOptions},
};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::StreamExt;
use http_body_util::{Either, Full};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    net::{IpAddr, Ipv4Addr},
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use wharf_docker::{DockerOptions, DockerTasks, WarmService};
use wharf_domain::{
    DeploymentId, Endpoint, Failure, Timestamp,
    instance::TaskRef,
    service::{DockerTask, Pull, RunSpec},
};
use wharf_platform::{Owner, Stopping, TaskSpec, TaskStatus, Tasks};
use wharf_saga::{Clock, Ids};
use wharf_testkit::contracts::harness::{eventually, some_owner};

const HOST_VARIABLE: &str = "WHARF_TEST_DOCKER_HOST";
const HELPER: &str = env!("CARGO_BIN_EXE_wharf-docker-helper");
/// Long enough to be asked politely.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

pub(crate) struct RealClock;

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "Docker's times are the machine's")]
    fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Timestamp(u64::try_from(now.as_millis()).unwrap())
    }
}

pub(crate) struct RealIds;

impl Ids for RealIds {
    fn fill(&self, bytes: &mut [u8]) {
        use std::io::Read;
        fs::File::open("/dev/urandom").unwrap().read_exact(bytes).unwrap();
    }
}

/// Where the suite's Docker is.
pub(crate) fn host() -> String {
    std::env::var(HOST_VARIABLE)
        .unwrap_or_else(|_| panic!("{HOST_VARIABLE} says no Docker: run `cargo xtask test --suite docker`"))
}

pub(crate) fn client(host: &str) -> Docker {
    Docker::connect_with_unix(host, 60, API_DEFAULT_VERSION).unwrap()
}

/// Containers of one deployment. When it goes, nothing is left of them.
pub(crate) struct Site {
    pub(crate) tasks: Arc<DockerTasks>,
    pub(crate) docker: Docker,
    pub(crate) host: String,
    pub(crate) deployment: DeploymentId,
    pub(crate) image: String,
    /// Where containers that were started ahead are told whose they are.
    pub(crate) folder: TempDir,
}

impl Deref for Site {
    type Target = DockerTasks;

    fn deref(&self) -> &DockerTasks {
        &self.tasks
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let (host, deployment) = (self.host.clone(), self.deployment.clone());
        // Its runtime may be ending.
        let cleared = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(clear(&client(&host), &deployment));
        })
        .join();
        if !std::thread::panicking() {
            cleared.unwrap();
        }
    }
}

async fn clear(docker: &Docker, deployment: &DeploymentId) {
    let Ok(docker) = docker.clone().negotiate_version().await else {
        return;
    };
    for container in containers(&docker, deployment).await {
        let options = RemoveContainerOptions {
            v: true,
            force: true,
            ..RemoveContainerOptions::default()
        };
        let _ = docker.remove_container(&container, Some(options)).await;
    }
    let _ = docker.remove_network(&format!("wharf-{deployment}")).await;
}

/// Names of a deployment's containers, however they are.
pub(crate) async fn containers(docker: &Docker, deployment: &DeploymentId) -> Vec<String> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([(
            "label".to_owned(),
            vec![format!("wharf.deployment={deployment}")],
        )])),
        ..ListContainersOptions::default()
    };
    let all = docker.list_containers(Some(options)).await.unwrap_or_default();
    all.into_iter().filter_map(|container| container.id).collect()
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::on(host()).await
    }

    /// Of a deployment that no other test has.
    pub(crate) async fn on(host: String) -> Self {
        let docker = client(&host).negotiate_version().await.unwrap();
        let image = helper_image(&docker).await;
        let mut random = [0; 10];
        RealIds.fill(&mut random);
        let deployment = DeploymentId::new(random);
        let folder = tempfile::tempdir().unwrap();
        let tasks = Arc::new(open(&host, &deployment, folder.path(), Vec::new()).await.unwrap());
        Self {
            tasks,
            docker,
            host,
            deployment,
            image,
            folder,
        }
    }

    /// Another Wharf of the same deployment, as after a restart.
    pub(crate) async fn again(&self) -> DockerTasks {
        self.again_with(Vec::new()).await
    }

    pub(crate) async fn again_with(&self, warm: Vec<WarmService>) -> DockerTasks {
        open(&self.host, &self.deployment, self.folder.path(), warm)
            .await
            .unwrap()
    }

    pub(crate) fn owner(&self) -> Owner {
        some_owner(&self.deployment)
    }

    pub(crate) fn task(&self, command: &[&str]) -> DockerTask {
        task(&self.image, command)
    }

    pub(crate) async fn start_task(&self, task: DockerTask) -> (Owner, TaskRef) {
        let owner = self.owner();
        let task = self.start(spec(&owner, RunSpec::Docker(task))).await.unwrap();
        (owner, task)
    }

    pub(crate) async fn run(&self, command: &[&str]) -> (Owner, TaskRef) {
        self.start_task(self.task(command)).await
    }

    /// Starts what cannot be, and gives why.
    pub(crate) async fn refused(&self, task: DockerTask) -> Failure {
        let owner = self.owner();
        let refused = self.start(spec(&owner, RunSpec::Docker(task))).await.unwrap_err();
        assert_eq!(self.all(&[]).await.unwrap(), [], "nothing is left of it");
        refused
    }

    pub(crate) async fn status(&self, (owner, task): &(Owner, TaskRef)) -> TaskStatus {
        self.look(owner, task).await.unwrap()
    }

    pub(crate) async fn endpoint(&self, task: &(Owner, TaskRef)) -> Endpoint {
        match self.status(task).await {
            TaskStatus::Running {
                endpoint: Some(endpoint),
            } => endpoint,
            other => panic!("it does not run: {other:?}"),
        }
    }

    pub(crate) async fn until_over(&self, task: &(Owner, TaskRef)) -> TaskStatus {
        eventually("the task is over", async || match self.status(task).await {
            TaskStatus::Running { .. } | TaskStatus::Pending { .. } => None,
            over => Some(over),
        })
        .await
    }

    pub(crate) async fn until_stopped(&self, (owner, task): &(Owner, TaskRef), grace: Duration) {
        eventually("the task has stopped", async || {
            let stopping = self.stop(owner, task, grace).await.unwrap();
            (stopping == Stopping::Stopped).then_some(())
        })
        .await;
    }

    /// Waits until a container has printed this.
    pub(crate) async fn until_printed(&self, task: &(Owner, TaskRef), text: &str) -> String {
        eventually(text, async || {
            let printed = self.printed(task).await;
            printed.contains(text).then_some(printed)
        })
        .await
    }

    pub(crate) async fn printed(&self, (_, task): &(Owner, TaskRef)) -> String {
        let options = bollard::query_parameters::LogsOptions {
            stdout: true,
            stderr: true,
            tail: "all".to_owned(),
            ..bollard::query_parameters::LogsOptions::default()
        };
        let pieces: Vec<_> = self.docker.logs(&task.id, Some(options)).collect().await;
        pieces.into_iter().flatten().map(|piece| piece.to_string()).collect()
    }
}

pub(crate) async fn open(
    host: &str,
    deployment: &DeploymentId,
    folder: &Path,
    warm: Vec<WarmService>,
) -> Result<DockerTasks, Failure> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    DockerTasks::open(DockerOptions {
        deployment: deployment.clone(),
        host: host.to_owned(),
        subnet: None,
        publish: loopback,
        host_address: loopback,
        credentials: None,
        warm,
        warm_folder: folder.join("warm"),
        clock: Arc::new(RealClock),
        ids: Arc::new(RealIds),
    })
    .await
}

pub(crate) fn task(image: &str, command: &[&str]) -> DockerTask {
    DockerTask {
        image: image.to_owned(),
        pull: Pull::Never,
        platform: None,
        entrypoint: None,
        command: Some(command.iter().map(ToString::to_string).collect()),
        container_port: Some(8000),
        memory: Some(64 << 20),
        cpu_units: Some(256),
        pids: 64,
        user: None,
        tmpfs: BTreeSet::from(["/tmp".to_owned()]),
        tmpfs_size: 1 << 20,
        loosened: BTreeSet::new(),
        capabilities: BTreeSet::new(),
        log_size: 1 << 20,
        log_files: 2,
    }
}

pub(crate) fn spec(owner: &Owner, run: RunSpec) -> TaskSpec {
    TaskSpec {
        owner: owner.clone(),
        service: "test".parse().unwrap(),
        run,
        port: None,
        environment: BTreeMap::new(),
        public: false,
        intended_at: Timestamp(1_760_000_000_000),
    }
}

/// The parts of an end.
pub(crate) fn stopped(status: TaskStatus) -> (Failure, Option<i32>, String) {
    match status {
        TaskStatus::Stopped {
            cause,
            exit_code,
            output,
        } => (cause, exit_code, output.unwrap_or_default()),
        other => panic!("not over: {other:?}"),
    }
}

/// The image of the helper, in the version that was just built.
async fn helper_image(docker: &Docker) -> String {
    let built = fs::metadata(HELPER).unwrap();
    let age = built
        .modified()
        .unwrap()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let name = format!("wharf-docker-helper:{:x}-{:x}", built.len(), age.as_nanos());
    if docker.inspect_image(&name).await.is_err() {
        build(docker, &name, "ENTRYPOINT [\"/helper\"]").await;
    }
    name
}

/// An image from nothing but the helper and the libraries that it needs.
pub(crate) async fn build(docker: &Docker, name: &str, instructions: &str) {
    let mut archive = Archive::default();
    let dockerfile = format!("FROM scratch\nCOPY root /\n{instructions}\n");
    archive.add(Path::new("Dockerfile"), dockerfile.as_bytes());
    archive.add(Path::new("root/helper"), &fs::read(HELPER).unwrap());
    for library in libraries(Path::new(HELPER)) {
        let inside = Path::new("root").join(library.strip_prefix("/").unwrap());
        archive.add(&inside, &fs::read(&library).unwrap());
    }
    let options = BuildImageOptions {
        dockerfile: "Dockerfile".to_owned(),
        t: Some(name.to_owned()),
        rm: true,
        ..BuildImageOptions::default()
    };
    let body = Either::Left(Full::new(Bytes::from(archive.finish())));
    let mut steps = std::pin::pin!(docker.build_image(options, None, Some(body)));
    while let Some(step) = steps.next().await {
        let step = step.unwrap();
        assert!(step.error_detail.is_none(), "{step:?}");
    }
}

/// An image for another processor: a build would make one for this.
pub(crate) async fn load(docker: &Docker, name: &str, architecture: &str) {
    let mut layer = Archive::default();
    layer.add(Path::new("helper"), b"not a program of this machine");
    let layer = layer.finish();
    let config = serde_json::json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/helper"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(&layer)))]},
    });
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut archive = Archive::default();
    archive.add(Path::new("config.json"), config.to_string().as_bytes());
    archive.add(Path::new("layer.tar"), &layer);
    archive.add(Path::new("manifest.json"), manifest.to_string().as_bytes());
    let body = Either::Left(Full::new(Bytes::from(archive.finish())));
    let steps: Vec<_> = docker
        .import_image(ImportImageOptions::default(), body, None)
        .collect()
        .await;
    assert!(steps.iter().all(Result::is_ok), "{steps:?}");
}

/// What a program is loaded with, by absolute paths.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let words = text.split_whitespace();
    words.filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// A tar archive (ustar), as a build takes it.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn add(&mut self, path: &Path, content: &[u8]) {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, path.to_str().unwrap());
        put(100, "0000755");
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", content.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}
