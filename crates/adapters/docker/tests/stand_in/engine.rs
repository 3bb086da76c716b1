//! An Engine API by script: what it answers to which request is the test's, and what every Docker answers is here.

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};
use wharf_docker::{DockerOptions, DockerTasks, WarmService};
use wharf_domain::{
    DeploymentId, Failure, Timestamp,
    service::{DockerTask, RunSpec},
};
use wharf_platform::{Owner, TaskSpec};
use wharf_saga::{Clock, Ids};
use wharf_testkit::contracts::harness::some_owner;

/// A request, as far as a script may want to know it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `POST /containers/create`: without the version, and without what comes after a question mark.
    pub(crate) what: String,
    pub(crate) headers: BTreeMap<String, String>,
}

/// What a script answers: `None` is what every Docker would.
pub(crate) type Script = Arc<dyn Fn(&Asked) -> Option<Answer> + Send + Sync>;

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Now(u16, String),
    /// Lines so far; the rest comes when the test says so.
    Unfinished(String, Arc<tokio::sync::Notify>),
}

impl Answer {
    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::Now(status, json!({"message": message}).to_string())
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::Now(200, value.to_string())
    }
}

pub(crate) struct Engine {
    folder: TempDir,
    pub(crate) deployment: DeploymentId,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
}

impl Engine {
    pub(crate) fn new(script: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Self {
            deployment: DeploymentId::new([5; 10]),
            asked: Arc::default(),
            folder,
        };
        let listener = UnixListener::bind(engine.folder.path().join("socket")).unwrap();
        let (script, asked, deployment): (Script, _, _) =
            (Arc::new(script), engine.asked.clone(), engine.deployment.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), asked.clone(), deployment.clone()));
            }
        });
        engine
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) async fn open(&self) -> Result<DockerTasks, Failure> {
        self.open_with(Vec::new()).await
    }

    /// The same where containers are started ahead.
    pub(crate) async fn open_with(&self, warm: Vec<WarmService>) -> Result<DockerTasks, Failure> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        DockerTasks::open(DockerOptions {
            deployment: self.deployment.clone(),
            host: format!("unix://{}/socket", self.folder.path().display()),
            subnet: None,
            publish: loopback,
            host_address: loopback,
            credentials: Some(self.folder.path().join("config.json")),
            warm,
            warm_folder: self.folder.path().join("warm"),
            clock: Arc::new(Still),
            ids: Arc::new(Still),
        })
        .await
    }

    pub(crate) fn spec(&self, pull: &str) -> (Owner, TaskSpec) {
        let owner = some_owner(&self.deployment);
        let task: DockerTask = serde_json::from_value(json!({
            "image": "registry.example.com/shop:1", "pull": pull, "container_port": 8000,
            "pids": 64, "tmpfs_size": 1024, "log_size": 1024, "log_files": 1,
        }))
        .unwrap();
        let spec = TaskSpec {
            owner: owner.clone(),
            service: "shop".parse().unwrap(),
            run: RunSpec::Docker(task),
            port: None,
            environment: BTreeMap::new(),
            public: false,
            intended_at: Timestamp(1),
        };
        (owner, spec)
    }

    /// Everything that it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|asked| asked.what.clone())
            .collect()
    }
}

/// Neither time nor chance matters here.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_760_000_000_000)
    }
}

impl Ids for Still {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// The image that every test has.
pub(crate) fn image() -> Answer {
    Answer::json(&json!({"Architecture": "amd64", "Os": "linux", "Config": {"Entrypoint": ["/shop"]}}))
}

/// What every Docker answers.
fn usual(asked: &Asked, deployment: &DeploymentId) -> Answer {
    match asked.what.as_str() {
        "GET /version" => Answer::json(&json!({"ApiVersion": "1.43", "Version": "24.0.0", "Arch": "amd64"})),
        what if what.starts_with("GET /networks/") => Answer::json(&json!({
            "Name": format!("wharf-{deployment}"),
            "Labels": {"wharf.deployment": deployment.as_str()},
            "Options": {"com.docker.network.bridge.enable_icc": "false"},
            "IPAM": {"Config": [{"Subnet": "10.9.0.0/16", "Gateway": "10.9.0.1"}]},
        })),
        "GET /containers/json" => Answer::json(&json!([])),
        "GET /events" => Answer::Unfinished(String::new(), Arc::default()),
        what if what.starts_with("GET /images/") => image(),
        "POST /containers/create" => Answer::Now(201, json!({"Id": "c", "Warnings": []}).to_string()),
        what if what.starts_with("DELETE /containers/") || what.ends_with("/start") => Answer::Now(204, String::new()),
        what => Answer::error(404, &format!("no script for {what}")),
    }
}

async fn serve(
    stream: UnixStream,
    script: Script,
    asked: Arc<Mutex<Vec<Asked>>>,
    deployment: DeploymentId,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let path = target.split('?').next()?;
    // `/v1.43/images/…`
    let path = match path.strip_prefix("/v1.") {
        Some(rest) => &rest[rest.find('/')?..],
        None => path,
    };
    let request = Asked {
        what: format!("{method} {path}"),
        headers,
    };
    asked.lock().unwrap().push(request.clone());
    let answer = script(&request).unwrap_or_else(|| usual(&request, &deployment));
    let (status, text, rest) = match answer {
        Answer::Now(status, text) => (status, text, None),
        Answer::Unfinished(text, rest) => (200, text, Some(rest)),
    };
    let head = format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n");
    let length = match rest {
        None if status == 204 => "HTTP/1.1 204 x\r\nconnection: close\r\n\r\n".to_owned(),
        _ => head,
    };
    stream.write_all(length.as_bytes()).await.ok()?;
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    if let Some(rest) = rest {
        rest.notified().await;
    }
    stream.shutdown().await.ok()
}
