//! What becomes of removed databases: they are kept as long as configured, dumped where that is configured, and dropped.
//!
//! What is to be done stands on the server, in the marks of the roles: whoever comes next goes on with it. Dropping takes seconds now and then, and nobody waits for it.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;
use tokio_postgres::error::SqlState;
use wharf_domain::{Code, DeploymentId, Failure};
use wharf_saga::Clock;

use crate::{
    catalogue::{self, Waiting},
    names,
    options::Settings,
    programs::Programs,
    server::Server,
    spares::DROP_TIMEOUT,
};

/// The longest that one dump may take.
const DUMP_TIMEOUT: Duration = Duration::from_hours(2);

pub(crate) struct Removals {
    server: Arc<Server>,
    deployment: DeploymentId,
    settings: Settings,
    clock: Arc<dyn Clock>,
    more: Notify,
}

impl std::fmt::Debug for Removals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Removals").field(&self.server).finish()
    }
}

impl Removals {
    pub(crate) fn new(
        server: Arc<Server>,
        deployment: DeploymentId,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            server,
            deployment,
            settings,
            clock,
            more: Notify::new(),
        }
    }

    /// There is something new.
    pub(crate) fn wake(&self) {
        self.more.notify_one();
    }

    /// Drops what is due, for as long as it is polled.
    pub(crate) async fn carry_out(&self) {
        let mut is_quiet = false;
        loop {
            match self.carry_out_due().await {
                Ok(()) => is_quiet = false,
                Err(failure) if !is_quiet => {
                    is_quiet = true;
                    tracing::warn!(error = %failure, "removed databases are not dropped: it is tried again");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = self.more.notified() => {}
                () = tokio::time::sleep(self.settings.survey) => {}
            }
        }
    }

    /// Each by itself: one that cannot be dropped holds up no other.
    pub(crate) async fn carry_out_due(&self) -> Result<(), Failure> {
        let mut first = Ok(());
        for waiting in catalogue::waiting(&self.server, &self.deployment).await? {
            let is_due =
                waiting.mark.removed.as_ref().is_some_and(|removed| {
                    removed.unused || removed.at + self.settings.keeping.kept <= self.clock.now()
                });
            if is_due && let Err(failure) = self.finish(&waiting).await {
                tracing::debug!(database = waiting.name, error = %failure, "a removed database stays");
                first = first.and(Err(failure));
            }
        }
        first
    }

    async fn finish(&self, waiting: &Waiting) -> Result<(), Failure> {
        let name = names::quoted(&waiting.name);
        if waiting.has_database {
            let was_used = waiting.mark.removed.as_ref().is_none_or(|removed| !removed.unused);
            if let Some(folder) = self.settings.keeping.archive.as_ref().filter(|_| was_used) {
                self.dump(waiting, folder).await?;
            }
            let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            self.server
                .execute_within(DROP_TIMEOUT, "drop a removed database", &statement)
                .await?;
        }
        let dropped = self
            .server
            .execute("drop a removed role", &format!("DROP ROLE IF EXISTS {name}"))
            .await;
        match dropped {
            Err(trouble) if trouble.is(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => Err(trouble.failure.hint(format!(
                "the role {} owns something in another database: DROP OWNED BY it there, then DROP ROLE",
                waiting.name
            ))),
            other => other.map_err(Failure::from),
        }
    }

    /// Writes the dump whole or not at all: what is dropped afterwards can be had again by `pg_restore`.
    async fn dump(&self, waiting: &Waiting, folder: &Path) -> Result<(), Failure> {
        let mark = &waiting.mark;
        let name = mark
            .removed
            .as_ref()
            .map_or("database", |removed| removed.name.as_str());
        let file = folder.join(format!("{name}-{}.dump", mark.instance));
        let partial = folder.join(format!("{name}-{}.dump.partial", mark.instance));
        let failed = |what: &str, error: std::io::Error| {
            Failure::new(
                Code::DatabaseFailed,
                format!("the archive {} cannot be {what}: {error}", file.display()),
            )
            .hint("make room, and give Wharf's user the right to write there")
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| failed("made", error))?;
        let out = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)
            .map_err(|error| failed("made", error))?;
        let copy = out.try_clone().map_err(|error| failed("made", error))?;
        // Only Wharf's own user can be connected: its role cannot log in, and PUBLIC has no right to it.
        let database = names::quoted(&waiting.name);
        let open =
            format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC;ALTER DATABASE {database} ALLOW_CONNECTIONS true");
        self.server.execute("open a removed database to Wharf", &open).await?;
        let programs = Programs::find(self.settings.keeping.programs.as_deref())?;
        let dumping = tokio::process::Command::new(programs.path("pg_dump"))
            .args(["--format=custom", "--no-password"])
            .env_clear()
            .envs(self.server.address().variables(&waiting.name)?)
            .stdin(Stdio::null())
            .stdout(Stdio::from(out))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("written by pg_dump", error))?;
        // Not `output`, which would read the dump into memory, and leave the file empty.
        let output = tokio::time::timeout(DUMP_TIMEOUT, dumping.wait_with_output())
            .await
            .map_err(|_| Failure::new(Code::DatabaseFailed, format!("pg_dump of {name} does not end")))?
            .map_err(|error| failed("written by pg_dump", error))?;
        if !output.status.success() {
            let said: String = String::from_utf8_lossy(&output.stderr).chars().take(2000).collect();
            return Err(Failure::new(
                Code::DatabaseFailed,
                format!("pg_dump of {name} ended with {}", output.status),
            )
            .hint("pg_dump has to be at least as new as the server: name its folder as [databases] programs")
            .detail(said));
        }
        let keep = move || {
            if copy.metadata()?.len() == 0 {
                return Err(std::io::Error::other("pg_dump wrote nothing"));
            }
            copy.sync_all()?;
            fs::rename(&partial, &file)?;
            fs::File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
        };
        tokio::task::spawn_blocking(keep)
            .await
            .map_err(|error| Failure::internal(format!("a file's end: {error}")))?
            .map_err(|error| {
                Failure::new(
                    Code::DatabaseFailed,
                    format!("the archive of {name} cannot be kept: {error}"),
                )
            })?;
        tracing::info!(database = name, instance = %mark.instance, "dumped a removed database");
        Ok(())
    }
}
