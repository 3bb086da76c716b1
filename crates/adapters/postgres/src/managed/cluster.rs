//! The server's folder: made once, whole or not at all; its settings written anew at each start.

use std::{
    fs,
    io::{self, Write},
    net::{IpAddr, TcpListener},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;
use wharf_domain::{Code, Failure};

use super::{
    ADMIN, Gateway, ManagedOptions, addresses,
    postmaster::Postmaster,
    users::{self, User},
};
use crate::programs::Programs;

/// Where a free port is looked for: beside PostgreSQL's own, below those that Wharf leases and those that the system gives to outgoing connections.
const PORTS: std::ops::Range<u16> = 5433..5633;
/// Of a socket's path, with its end (`sun_path`).
const SOCKET_PATH_MAX: usize = 107;
/// Of what the server said, in a failure.
const SAID_MAX: usize = 2000;

#[derive(Debug)]
pub(super) struct Cluster {
    root: PathBuf,
    programs: Programs,
    /// Whom it is started as; `None`: as ourselves.
    runner: Option<User>,
    gateways: Vec<Gateway>,
    max_connections: u32,
}

impl Cluster {
    /// Makes the folder where it is not there, and writes who may connect.
    pub(super) async fn prepare(options: ManagedOptions) -> Result<Self, Failure> {
        let ManagedOptions {
            data,
            programs,
            user,
            gateways,
            max_connections,
        } = options;
        let data = fs::canonicalize(&data).map_err(|error| unusable(&data, &error))?;
        let root = data.join("postgres");
        let runner = users::runner(&user)?;
        let programs = match fs::read_to_string(root.join("cluster/PG_VERSION")) {
            Ok(version) => Programs::of_version(programs.as_deref(), version.trim())?,
            Err(_) => Programs::find(programs.as_deref())?,
        };
        let cluster = Self {
            root,
            programs,
            runner,
            gateways,
            max_connections,
        };
        if cluster.socket().as_os_str().len() + "/.s.PGSQL.00000".len() > SOCKET_PATH_MAX {
            return Err(Failure::new(
                Code::DataDirectory,
                format!("the path of {} is too long for a socket", data.display()),
            )
            .hint("choose a shorter one with --data-dir"));
        }
        cluster
            .make_folders()
            .map_err(|error| unusable(&cluster.root, &error))?;
        if !cluster.folder().join("PG_VERSION").exists() {
            cluster.initialise().await?;
        }
        cluster
            .write_access()
            .map_err(|error| unusable(&cluster.root, &error))?;
        Ok(cluster)
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.root.join("cluster")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.root.join("socket")
    }

    fn make_folders(&self) -> io::Result<()> {
        make_private(&self.root)?;
        make_private(&self.socket())?;
        if let Some(user) = &self.runner {
            chown(self.socket(), Some(user.id), Some(user.group))?;
        }
        self.let_through()
    }

    /// The server's user may pass through the two folders to its own, and read nothing in them. A server goes this way not at its start alone, but at every
    /// checkpoint: where it is closed, it ends.
    fn let_through(&self) -> io::Result<()> {
        let Some(user) = &self.runner else { return Ok(()) };
        for folder in [self.root.parent().unwrap_or(&self.root), &self.root] {
            chown(folder, None, Some(user.group))?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o710))?;
        }
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.path(program));
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        if let Some(user) = &self.runner {
            command.uid(user.id).gid(user.group);
        }
        command
    }

    /// Under another name first: a folder that is called `cluster` is whole.
    async fn initialise(&self) -> Result<(), Failure> {
        let unfinished = self.root.join("cluster.new");
        let make = || {
            if unfinished.exists() {
                fs::remove_dir_all(&unfinished)?;
            }
            make_private(&unfinished)?;
            if let Some(user) = &self.runner {
                chown(&unfinished, Some(user.id), Some(user.group))?;
            }
            Ok(())
        };
        make().map_err(|error| unusable(&unfinished, &error))?;
        tracing::info!(folder = %self.folder().display(), "making a database server");
        let output = self
            .command("initdb")
            .args([
                "--no-instructions",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--auth=reject",
            ])
            .args(["--username", ADMIN, "--pgdata"])
            .arg(&unfinished)
            .output()
            .await
            .map_err(|error| unusable(&self.programs.path("initdb"), &error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(Code::DataDirectory, "no database server could be made in the data directory")
                .hint(match &self.runner {
                    Some(user) => format!(
                        "the user {} has to be able to come to {}: choose a data directory whose parents others may enter, such as /var/lib/wharf",
                        user.name,
                        self.root.display()
                    ),
                    None => "what initdb said is below".to_owned(),
                })
                .detail(said.chars().take(SAID_MAX).collect::<String>()));
        }
        fs::rename(&unfinished, self.folder())
            .and_then(|()| fs::File::open(&self.root)?.sync_all())
            .map_err(|error| unusable(&self.folder(), &error))
    }

    /// `pg_hba.conf` and `pg_ident.conf`: Wharf by the socket, known by the system; tenants by loopback and the gateways' networks, with their passwords.
    fn write_access(&self) -> io::Result<()> {
        let own = users::own().map_err(|failure| io::Error::other(failure.message))?;
        let mut lines = vec![
            format!("local all {ADMIN} peer map=wharf"),
            // For `pg_basebackup`, which `all` does not mean.
            format!("local replication {ADMIN} peer map=wharf"),
            format!("host all {ADMIN} all reject"),
            "host all all 127.0.0.1/32 scram-sha-256".to_owned(),
        ];
        lines.extend(
            self.gateways
                .iter()
                .map(|gateway| format!("host all all {} scram-sha-256", gateway.network)),
        );
        self.write("pg_hba.conf", &lines.join("\n"))?;
        self.write("pg_ident.conf", &format!("wharf \"{}\" {ADMIN}", own.name))
    }

    /// Under another name first, which nobody but the server's own user could have put there.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let (path, next) = (self.folder().join(name), self.folder().join(format!("{name}.new")));
        if next.symlink_metadata().is_ok() {
            fs::remove_file(&next)?;
        }
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&next)?;
        writeln!(file, "# Written by Wharf at each start.\n{text}")?;
        if let Some(user) = &self.runner {
            std::os::unix::fs::fchown(&file, Some(user.id), Some(user.group))?;
        }
        fs::rename(next, path)
    }

    /// The port that tenants were told, or, for the first time or where another program has it, a free one.
    pub(super) fn port(&self) -> Result<u16, Failure> {
        let file = self.root.join("port");
        let kept: Option<u16> = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(port) = kept {
            // One that goes on has it itself.
            if Postmaster::left(&self.folder())?.is_some() || self.is_free(port) {
                return Ok(port);
            }
            tracing::warn!(
                port,
                "another program has the database server's port: tenants are told another one"
            );
        }
        let port = PORTS.into_iter().find(|port| self.is_free(*port)).ok_or_else(|| {
            Failure::new(
                Code::PortExhausted,
                format!(
                    "no port from {} to {} is free for the database server",
                    PORTS.start,
                    PORTS.end - 1
                ),
            )
            .hint("end a program that listens there")
        })?;
        fs::write(&file, format!("{port}\n")).map_err(|error| unusable(&file, &error))?;
        Ok(port)
    }

    fn is_free(&self, port: u16) -> bool {
        addresses(&self.gateways)
            .iter()
            .all(|address| TcpListener::bind((*address, port)).is_ok())
    }

    /// The server's arguments. No secret is among them.
    pub(super) fn words(&self, port: u16) -> Vec<String> {
        let listen: Vec<_> = addresses(&self.gateways).iter().map(IpAddr::to_string).collect();
        let settings = [
            format!("listen_addresses={}", listen.join(",")),
            format!("port={port}"),
            format!("unix_socket_directories={}", self.socket().display()),
            "unix_socket_permissions=0700".to_owned(),
            format!("max_connections={}", self.max_connections),
            "password_encryption=scram-sha-256".to_owned(),
            // After a kill it brings all that it has to the disk first: file by file that takes minutes where tenants are many.
            "recovery_init_sync_method=syncfs".to_owned(),
            // A file for each day of the week.
            "logging_collector=on".to_owned(),
            "log_directory=log".to_owned(),
            "log_filename=postgresql-%a.log".to_owned(),
            "log_truncate_on_rotation=on".to_owned(),
            "log_rotation_size=0".to_owned(),
        ];
        let mut words = vec!["-D".to_owned(), self.folder().display().to_string()];
        words.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
        words
    }

    /// Whether the server that runs was started so: PostgreSQL writes down with what it was.
    pub(super) fn was_started_by(&self, words: &[String]) -> bool {
        let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
        fs::read_to_string(self.folder().join("postmaster.opts"))
            .is_ok_and(|text| text.trim_end().ends_with(&quoted.join(" ")))
    }

    pub(super) fn spawn(&self, words: &[String]) -> Result<Postmaster, Failure> {
        let path = self.root.join("start.log");
        let failed = |error: io::Error| unusable(&path, &error);
        let log = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        self.let_through().map_err(|error| unusable(&self.root, &error))?;
        let child = self
            .command("postgres")
            .args(words)
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            // A Ctrl-C is for Wharf, which ends its tasks before their server.
            .process_group(0)
            .spawn()
            .map_err(|error| unusable(&self.programs.path("postgres"), &error))?;
        Postmaster::of(child)
    }

    /// The end of what it said at its start.
    pub(super) fn said(&self) -> String {
        let text = fs::read_to_string(self.root.join("start.log")).unwrap_or_default();
        let skipped = text.chars().count().saturating_sub(SAID_MAX);
        text.chars().skip(skipped).collect()
    }
}

/// Makes a folder that only its owner may enter; one that is there keeps its rights.
fn make_private(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Code::DataDirectory,
        format!("{} cannot be used for the database server: {error}", path.display()),
    )
    .hint("give Wharf's user the right to it, make room, or choose another folder with --data-dir")
}
