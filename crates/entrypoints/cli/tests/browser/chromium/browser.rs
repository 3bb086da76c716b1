//! Chromium as a process: headless, with a profile of its own, heard and spoken to through pipes. It ends with its test, and a
//! test fails that leaves any of its processes behind.

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use std::{
    env,
    fs::{self, File},
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{
    page::{Page, Screen},
    wire::Wire,
};

const PROGRAM: &str = "chromium";
/// How long killed processes may take to be gone.
const LAST_PATIENCE: Duration = Duration::from_secs(20);

/// The protocol's two pipes are the file descriptors 3 and 4: a shell puts them there.
const PIPES: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2";
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--password-store=basic",
    // Timers and frames as if somebody were looking: pages of a headless browser are all in the background.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    // Letters look the same whoever's screen it is.
    "--font-render-hinting=none",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

pub(crate) struct Browser {
    child: Child,
    /// Of the child and of all that it starts.
    group: u32,
    wire: Arc<Wire>,
    folder: TempDir,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let program = on_path().unwrap_or_else(|| {
            panic!(
                "these tests need Debian's Chromium, and there is no `{PROGRAM}` on PATH: sudo apt-get install chromium. \
                 Without it: cargo nextest run -E 'not binary(browser)'"
            )
        });
        let folder = tempfile::tempdir().expect("a folder");
        let profile = folder.path().join("profile");
        let temporary = folder.path().join("tmp");
        fs::create_dir(&temporary).expect("a folder");
        let log = File::create(folder.path().join("log")).expect("a log");
        let mut child = Command::new("/bin/sh")
            .args(["-c", PIPES, &program])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", folder.path())
            .env("TMPDIR", &temporary)
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("a shell");
        let wire = Wire::new(child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let browser = Self {
            group: child.id().expect("it runs"),
            child,
            wire: Arc::new(wire),
            folder,
        };
        if let Err(error) = browser.wire.call(None, "Browser.getVersion", json!({})).await {
            panic!("Chromium does not start: {error}\n{}", browser.log());
        }
        browser
    }

    /// A new tab.
    pub(crate) async fn page(&self, screen: Screen) -> Page {
        Page::open(self.wire.clone(), screen).await
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // At once, and all of them: what Chromium would still write is its profile, which goes too.
        if let Some(group) = i32::try_from(self.group).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let begun = Instant::now();
        let mut left = Vec::new();
        while begun.elapsed() < LAST_PATIENCE {
            // The child has to be waited for; its children are the system's to wait for.
            let ended = !matches!(self.child.try_wait(), Ok(None));
            left = running(self.group);
            if ended && left.is_empty() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        if std::thread::panicking() {
            eprintln!("Chromium leaves processes behind: {left:?}");
        } else {
            panic!("Chromium leaves processes behind: {left:?}");
        }
    }
}

fn on_path() -> Option<String> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(PROGRAM))
        .find(|program| program.is_file())
        .and_then(|program| program.into_os_string().into_string().ok())
}

/// The processes of a group that still do something.
fn running(group: u32) -> Vec<u32> {
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| group_of(pid) == Some(group))
        .collect()
}

/// `None`: it ended.
fn group_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // After the name, which may hold anything: state, parent, group.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(group)
}
