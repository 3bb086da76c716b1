//! The real `wharf up`, in a folder of its own, and what a benchmark asks of it.

use serde::Deserialize;
use serde_json::json;
use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

use crate::{
    Result,
    children::Running,
    http::{Answer, Client},
    setup::Setup,
};

/// More instances than the default allows. Everything else is as it is without a configuration.
const CONFIGURATION: &str = "[server]\nmax_instances = 100000\n";
/// The host of the console, of which tenants are subdomains.
const CONSOLE: &str = "localhost";
/// How long a tenant may be on its way. The edge holds a visitor for a second, and answers with a page after that.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs. Dropping it ends it, and with it all its children.
#[derive(Debug)]
pub(crate) struct Server {
    process: Running,
    pub(crate) address: SocketAddr,
    token: String,
    folder: PathBuf,
    /// From its start until it said that it is up.
    pub(crate) took: Duration,
}

/// What it prints when it is up.
#[derive(Debug, Deserialize)]
struct Greeting {
    listen: SocketAddr,
}

impl Server {
    /// Starts it on the data in `folder`, or on none.
    pub(crate) fn start(setup: &Setup, folder: &Path) -> Result<Self> {
        Self::start_with(setup, folder, CONFIGURATION)
    }

    /// The same, configured otherwise.
    pub(crate) fn start_with(setup: &Setup, folder: &Path, text: &str) -> Result<Self> {
        let program = setup.wharf()?;
        let (data, configuration) = (data_of(folder), folder.join("wharf.toml"));
        fs::write(&configuration, text)?;
        let log = File::create(folder.join("log"))?;
        let began = Instant::now();
        let process = Running::start(
            Command::new(program)
                .args(["up", "--json", "--listen", "127.0.0.1:0", "--data-dir"])
                .arg(&data)
                .arg("--config")
                .arg(&configuration)
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(log),
        )?;
        let output = process.take_stdout().ok_or("a server without an output")?;
        let greeting = serde_json::Deserializer::from_reader(output)
            .into_iter::<Greeting>()
            .next();
        let took = began.elapsed();
        let Some(Ok(greeting)) = greeting else {
            return Err(format!("`wharf up` did not start: {}", last_lines(folder)).into());
        };
        let token = fs::read_to_string(data.join("admin-token"))?.trim().to_owned();
        Ok(Self {
            process,
            address: greeting.listen,
            token,
            folder: folder.to_owned(),
            took,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A connection to the API, with the admin's token.
    pub(crate) fn api(&self) -> Client {
        Client::new(self.address, CONSOLE).bearing(&self.token)
    }

    /// Signs a tenant up, and visits it until it answers. Gives the time from the one to the other.
    pub(crate) async fn provision(&self, api: &mut Client, subdomain: &str) -> Result<Duration> {
        let fields = json!({
            "subdomain": subdomain, "admin_email": format!("admin@{subdomain}.example"), "company_name": "Acme Inc.",
        });
        let mut tenant = Client::new(self.address, &format!("{subdomain}.{CONSOLE}"));
        let began = Instant::now();
        let accepted = api.post("/provision", &fields).await?;
        if accepted.status != http::StatusCode::ACCEPTED {
            return Err(self.failure("a sign-up was refused", &accepted));
        }
        loop {
            let answer = tenant.get("/").await?;
            if answer.status == http::StatusCode::OK {
                return Ok(began.elapsed());
            }
            if began.elapsed() > PATIENCE || self.process.has_ended() {
                return Err(self.failure("a tenant's application does not answer", &answer));
            }
            // The edge has held this visit as long as it does; the next one it holds again.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Signs tenants up, so many at once, as long as the next one's number is one to go on with. Gives how many.
    pub(crate) async fn crowd(
        self: &Arc<Self>,
        at_once: usize,
        go_on: impl Fn(usize) -> bool + Clone + Send + 'static,
    ) -> Result<usize> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut crowd = JoinSet::new();
        for _ in 0..at_once {
            let (server, next, go_on) = (self.clone(), next.clone(), go_on.clone());
            crowd.spawn(async move {
                let mut api = server.api();
                let mut count = 0;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if !go_on(number) {
                        return Ok::<_, crate::Error>(count);
                    }
                    server.provision(&mut api, &format!("tenant-{number}")).await?;
                    count += 1;
                }
            });
        }
        let mut sum = 0;
        while let Some(count) = crowd.join_next().await {
            sum += count??;
        }
        Ok(sum)
    }

    /// A counter of `/metrics`.
    pub(crate) async fn counter(&self, api: &mut Client, name: &str) -> Result<u64> {
        let answer = api.get("/metrics").await?;
        let text = String::from_utf8_lossy(&answer.body);
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .ok_or_else(|| format!("/metrics has no {name}"))?;
        Ok(value.trim().parse()?)
    }

    /// How many mails it has handed over.
    pub(crate) fn mails(&self) -> Result<usize> {
        let folder = data_of(&self.folder).join("mail");
        let mut count = 0;
        for mail in fs::read_dir(folder)? {
            count += usize::from(mail?.path().extension().is_some_and(|extension| extension == "eml"));
        }
        Ok(count)
    }

    fn failure(&self, what: &str, answer: &Answer) -> crate::Error {
        let body: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
        format!("{what}: {} {body}; {}", answer.status, last_lines(&self.folder)).into()
    }
}

/// The data directory of a server in this folder.
pub(crate) fn data_of(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn last_lines(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(5).collect();
    format!(
        "its log ends with {:?}",
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    )
}
