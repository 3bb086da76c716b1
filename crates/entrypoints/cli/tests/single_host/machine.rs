//! A server as docs/single-host.md sets one up: Docker, an SMTP server that wants TLS and a login, and Wharf by the example's file. What the file leaves to each
//! deployment comes by the environment: ports, secrets, times that a test would not wait for.
//!
//! It has a network of its own, down to loopback: neither its bridges nor its firewall are this machine's.

use rustix::thread::UnshareFlags;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    ops::{Deref, DerefMut},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
};
use wharf_harness::dockerd::Engine;
use wharf_testkit::{
    certificate::CERTIFICATE,
    exim::{Exim, Manner, PASSWORD, USER},
    postgres::programs,
};

use crate::{
    engine::Docker,
    harness::{Deployment, Setup, eventually, plain, text},
};

const EXAMPLE: &str = include_str!("../../../../../examples/single-host/wharf.toml");
/// What the example's hosts are.
pub(crate) const CONSOLE: &str = "wharf.example.com";
pub(crate) const TENANTS: &str = "example.net";
const IMAGE: &str = "storefront:1";
const STRIPE_SECRET: &str = "whsec_of_stripe_0123456789";
/// As docs/single-host.md configures Docker.
const DOCKER: &[&str] = &["--live-restore"];

pub(crate) struct Machine {
    /// Gone only while this is dropped.
    deployment: Option<Deployment>,
    pub(crate) engine: Engine,
    pub(crate) docker: Docker,
    mail: Exim,
}

impl Deref for Machine {
    type Target = Deployment;

    fn deref(&self) -> &Deployment {
        self.deployment.as_ref().expect("a deployment")
    }
}

impl DerefMut for Machine {
    fn deref_mut(&mut self) -> &mut Deployment {
        self.deployment.as_mut().expect("a deployment")
    }
}

/// Whatever this thread starts from now on is in a network of its own, with nothing in it but loopback.
fn enter_a_network() {
    #[expect(
        deprecated,
        reason = "its successor is unsafe for the sake of open files, which are not what is asked for"
    )]
    let entered = rustix::thread::unshare(UnshareFlags::NEWNET);
    entered.expect("a network of its own, for which the suite has to be root");
    let lit = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    assert!(lit.expect("ip, which the suite installs").success());
}

impl Machine {
    /// With the server of PostgreSQL that Wharf runs itself.
    pub(crate) async fn new() -> Self {
        let mut machine = Self::prepare().await;
        machine.up().await;
        machine
    }

    /// Everything but Wharf.
    pub(crate) async fn prepare() -> Self {
        enter_a_network();
        let engine = Engine::with(DOCKER).await;
        let docker = Docker::of(&engine);
        docker.run(&["tag", &docker.shop(), IMAGE]);
        let mail = Exim::start(Manner {
            has_tls: true,
            asks_who: true,
        });
        let setup = Setup::new();
        // PostgreSQL's own user has to come through it where the test is root.
        fs::set_permissions(setup.folder(), Permissions::from_mode(0o755)).expect("an open folder");
        let certificate = setup.folder().join("mail.pem");
        fs::write(&certificate, CERTIFICATE).expect("a file");
        let setup = setup
            .configured(EXAMPLE)
            .at(CONSOLE, TENANTS)
            .with("DOCKER_HOST", &docker.host)
            .with("STRIPE_WEBHOOK_SECRET", STRIPE_SECRET)
            .with("WHARF_WEBHOOKS_STRIPE_GRACE", "1s")
            .with("WHARF_DATABASES_KEEP", "0s")
            .with("WHARF_MAIL_SMTP_HOST", "localhost")
            .with("WHARF_MAIL_SMTP_PORT", &mail.port.to_string())
            .with("WHARF_MAIL_SMTP_CA_FILE", certificate.to_str().expect("UTF-8"))
            .with("WHARF_MAIL_SMTP_USER", USER)
            .with("SMTP_PASSWORD", PASSWORD);
        Self {
            deployment: Some(setup.not_running()),
            engine,
            docker,
            mail,
        }
    }

    /// Stripe says that somebody has paid for this name. Gives the answer.
    pub(crate) async fn paid(&self, name: &str) -> Value {
        let event = json!({
            "id": format!("evt_{name}"), "type": "checkout.session.completed",
            "data": {"object": {
                "payment_status": "paid", "subscription": format!("sub_{name}"),
                "customer_details": {"email": format!("{name}@example.com")},
                "metadata": {"subdomain": name, "company_name": format!("The {name} Company")}
            }}
        });
        let (status, answer) = self.stripe(STRIPE_SECRET, &event).await;
        assert_eq!((status, text(&answer["outcome"])), (200, "provisioned"), "{answer}");
        answer
    }

    /// Stripe says that the subscription for this name has ended.
    pub(crate) async fn subscription_ended(&self, name: &str) -> Value {
        let event = json!({
            "id": format!("evt_{name}_ended"), "type": "customer.subscription.deleted",
            "data": {"object": {"id": format!("sub_{name}")}}
        });
        let (status, answer) = self.stripe(STRIPE_SECRET, &event).await;
        assert_eq!((status, text(&answer["outcome"])), (200, "stopping"), "{answer}");
        answer
    }

    /// A shop that somebody has paid for, open, with its mail delivered. Gives the instance.
    pub(crate) async fn opened(&self, name: &str) -> Value {
        let answer = self.paid(name).await;
        let shop = self.becomes(text(&answer["instance"]), "ready").await;
        let mail = self.mail_to(name).await;
        assert!(mail.contains(&format!("Subject: The {name} Company is open")), "{mail}");
        self.is_open(name).await;
        shop
    }

    /// The mail that has come into a customer's mailbox, without what its transport added.
    pub(crate) async fn mail_to(&self, name: &str) -> String {
        eventually("the mail is delivered", async || self.mails_to(name).pop()).await
    }

    pub(crate) fn mails_to(&self, name: &str) -> Vec<String> {
        let to = format!("{name}@example.com");
        let mails = self.mail.files().into_iter();
        mails
            .map(|bytes| plain(&String::from_utf8_lossy(&bytes)))
            .filter(|mail| mail.contains(&to))
            .collect()
    }

    /// What a visitor of the tenant gets.
    pub(crate) async fn is_open(&self, name: &str) {
        let page = self.tenant(name).page("/").await.is(200);
        assert!(page.text().contains(&format!("The {name} Company")), "{}", page.text());
    }

    /// The environment of an instance's only container.
    pub(crate) fn environment(&self, instance: &str) -> BTreeMap<String, String> {
        let container = self.docker.container(instance);
        let listed = self
            .docker
            .inspect(&container, "{{range .Config.Env}}{{println .}}{{end}}");
        let pairs = listed.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Its address on the deployment's network.
    pub(crate) fn address(&self, instance: &str) -> String {
        let container = self.docker.container(instance);
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        self.docker.inspect(&container, format)
    }

    /// One of this machine's programs, in the network of an instance's container: what it reaches, the application reaches.
    pub(crate) fn within(&self, instance: &str, words: &[&str]) -> Result<String, String> {
        let pid = self.docker.inspect(&self.docker.container(instance), "{{.State.Pid}}");
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid, "--net", "--"]).args(words);
        let ran = command.output().expect("nsenter");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if ran.status.success() {
            Ok(said(&ran.stdout))
        } else {
            Err(said(&ran.stderr))
        }
    }

    /// The folder of the server that Wharf runs.
    fn cluster(&self) -> PathBuf {
        self.data().join("postgres/cluster")
    }

    fn postgres_log(&self) -> String {
        let files = fs::read_dir(self.cluster().join("log")).into_iter().flatten();
        let texts = files.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
        texts.collect()
    }

    /// What that server says of itself: the number of its first process is the first line, whether it is ready the eighth.
    fn lock_file(&self) -> Option<String> {
        fs::read_to_string(self.cluster().join("postmaster.pid")).ok()
    }

    /// Its first process, where it is ready.
    pub(crate) fn postmaster(&self) -> Option<u32> {
        let file = self.lock_file()?;
        let is_ready = file.lines().nth(7).is_some_and(|status| status.trim() == "ready");
        first_process(&file).filter(|_| is_ready)
    }

    /// What the server that Wharf runs answers to its administrator, who comes in as docs/backup.md says.
    pub(crate) fn ask(&self, statement: &str) -> Vec<String> {
        let port = fs::read_to_string(self.data().join("postgres/port")).expect("the server's port");
        let mut command = Command::new(programs().join("psql"));
        command
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "wharf", "-d", "postgres", "-p"])
            .arg(port.trim())
            .arg("-h")
            .arg(self.data().join("postgres/socket"))
            .args(["-c", statement]);
        let ran = command.output().expect("psql");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

fn first_process(lock_file: &str) -> Option<u32> {
    lock_file.lines().next()?.trim().parse().ok()
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- PostgreSQL's log ---\n{}", self.postgres_log());
        }
        let left = self.lock_file().as_deref().and_then(first_process);
        let server = self.cluster();
        // A server that runs would start again what is removed.
        drop(self.deployment.take());
        // The server of a killed Wharf goes on.
        if let Some(pid) = left
            && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == server)
        {
            let _ = Command::new("kill").args(["-QUIT", &pid.to_string()]).status();
        }
        let containers = self.docker.try_run(&["ps", "--all", "--quiet"]).unwrap_or_default();
        for container in containers.lines() {
            let _ = self.docker.try_run(&["rm", "--force", container]);
        }
    }
}
