//! A real SMTP server (Debian's Exim) of a test's own: its own configuration, folder and ports, run as nobody in particular, and gone with the test.
//!
//! `cargo xtask test --suite mail` installs Debian's and says in `WHARF_TEST_EXIM` where its program is. What must not be here: anything of the mailer.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

use crate::certificate::{CERTIFICATE, KEY};

/// Where the server's program is.
const PROGRAM: &str = "WHARF_TEST_EXIM";
/// The user and the group that everything of root's is dropped to.
const NOBODY: u32 = 65_534;
const PATIENCE: Duration = Duration::from_secs(20);

/// Who may send where it asks.
pub const USER: &str = "wharf";
pub const PASSWORD: &str = "hush-hush";

/// What a server asks of those who bring it mail.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// STARTTLS on the one port, TLS from the first byte on the other.
    pub has_tls: bool,
    /// Only [`USER`] may send.
    pub asks_who: bool,
}

/// A server that takes mail for `example.com`, but for the mailboxes `refused` (for good) and `busy` (for now).
#[derive(Debug)]
pub struct Exim {
    folder: TempDir,
    daemon: Child,
    /// STARTTLS, where it has TLS.
    pub port: u16,
    /// TLS from the first byte.
    pub tls_port: u16,
}

impl Exim {
    /// Starts one, and waits until it greets.
    ///
    /// # Panics
    /// Without the program, saying how to get it, and when it does not start.
    #[must_use]
    pub fn start(manner: Manner) -> Self {
        let program = std::env::var_os(PROGRAM)
            .unwrap_or_else(|| panic!("{PROGRAM} is not set: run these tests by `cargo xtask test`"));
        // Between the choice of a port and its use somebody else may take it.
        for _ in 0..5 {
            let folder = tempfile::tempdir().expect("a folder");
            let (port, tls_port) = (free_port(), free_port());
            configure(folder.path(), manner, port, tls_port);
            let mut command = Command::new(&program);
            command
                .arg("-C")
                .arg(folder.path().join("exim.conf"))
                .args(["-bdf", "-q1s"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::from(
                    fs::File::create(folder.path().join("stderr")).expect("a file"),
                ))
                .process_group(0);
            if is_root() {
                command.uid(NOBODY).gid(NOBODY);
            }
            let mut server = Self {
                daemon: command.spawn().expect("the server starts"),
                folder,
                port,
                tls_port,
            };
            if server.greets() {
                return server;
            }
            eprintln!("{}", server.log());
        }
        panic!("the SMTP server does not start");
    }

    fn greets(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.daemon.try_wait().expect("a child").is_some() {
                return false;
            }
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
                let mut line = String::new();
                let read = BufReader::new(stream).read_line(&mut line);
                return read.is_ok() && line.starts_with("220");
            }
            std::thread::yield_now();
        }
        false
    }

    /// What the server has written down.
    #[must_use]
    pub fn log(&self) -> String {
        ["stderr", "log/mainlog", "log/rejectlog", "log/paniclog"]
            .iter()
            .filter_map(|name| fs::read_to_string(self.folder.path().join(name)).ok())
            .collect()
    }

    /// The mails that have come into anybody's mailbox, as they stand there.
    #[must_use]
    pub fn files(&self) -> Vec<Vec<u8>> {
        let Ok(mailbox) = fs::read_dir(self.folder.path().join("mail/new")) else {
            return Vec::new();
        };
        mailbox.filter_map(|entry| fs::read(entry.ok()?.path()).ok()).collect()
    }

    /// The mailboxes' mails once there are so many: the server takes a mail first, and puts it into its mailbox then.
    ///
    /// # Panics
    /// When they do not come, or more come.
    pub async fn mails(&self, count: usize) -> Vec<Vec<u8>> {
        let begun = tokio::time::Instant::now();
        loop {
            let files = self.files();
            if files.len() >= count || begun.elapsed() > PATIENCE {
                assert_eq!(files.len(), count, "{}", self.log());
                return files;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        // The whole group: a delivery may be under way in a child.
        let group = format!("-{}", self.daemon.id());
        let _ = Command::new("kill")
            .args(["-TERM", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.daemon.wait();
        let _ = Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
    }
}

/// A port of loopback on which nobody listens.
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

fn who() -> (u32, u32) {
    let me = fs::metadata("/proc/self").expect("this process");
    (me.uid(), me.gid())
}

fn configure(folder: &Path, manner: Manner, port: u16, tls_port: u16) {
    for part in ["spool", "log", "mail"] {
        fs::create_dir(folder.join(part)).expect("a folder");
    }
    fs::write(folder.join("cert.pem"), CERTIFICATE).expect("written");
    fs::write(folder.join("key.pem"), KEY).expect("written");
    fs::write(folder.join("exim.conf"), configuration(folder, manner, port, tls_port)).expect("written");
    if is_root() {
        let parts = ["", "spool", "log", "mail", "cert.pem", "key.pem", "exim.conf"];
        for part in parts {
            chown(folder.join(part), Some(NOBODY), Some(NOBODY)).expect("given away");
        }
    }
}

fn configuration(folder: &Path, manner: Manner, port: u16, tls_port: u16) -> String {
    // Only who administers a server may start one.
    let (user, group) = if is_root() { (NOBODY, NOBODY) } else { who() };
    let folder = folder.display();
    let (tls, ports) = if manner.has_tls {
        let tls = format!(
            "tls_advertise_hosts = *\ntls_certificate = {folder}/cert.pem\ntls_privatekey = {folder}/key.pem\n\
             tls_on_connect_ports = {tls_port}\n"
        );
        (tls, format!("{port} : {tls_port}"))
    } else {
        ("tls_advertise_hosts =\n".to_owned(), port.to_string())
    };
    let who = if manner.asks_who {
        "require authenticated = *"
    } else {
        ""
    };
    format!(
        "primary_hostname = mail.example.com\n\
         spool_directory = {folder}/spool\n\
         log_file_path = {folder}/log/%slog\n\
         pid_file_path = {folder}/exim.pid\n\
         local_interfaces = 127.0.0.1\n\
         daemon_smtp_ports = {ports}\n\
         {tls}\
         exim_user = {user}\n\
         exim_group = {group}\n\
         no_prod_requires_admin\n\
         keep_environment =\n\
         auth_advertise_hosts = *\n\
         domainlist local_domains = example.com\n\
         acl_smtp_rcpt = check_rcpt\n\
         deliver_drop_privilege\n\
         ignore_bounce_errors_after = 0s\n\
         host_lookup =\n\
         smtp_accept_max = 20\n\
         \n\
         begin acl\n\
         check_rcpt:\n\
         \x20 {who}\n\
         \x20 deny  local_parts = refused\n\
         \x20       message = 5.1.1 <$local_part@$domain>: there is no such mailbox\n\
         \x20 defer local_parts = busy\n\
         \x20       message = 4.2.1 <$local_part@$domain> is busy\n\
         \x20 accept domains = +local_domains\n\
         \x20 deny  message = relay not permitted\n\
         \n\
         begin routers\n\
         everybody:\n\
         \x20 driver = accept\n\
         \x20 domains = +local_domains\n\
         \x20 transport = mailbox\n\
         \n\
         begin transports\n\
         mailbox:\n\
         \x20 driver = appendfile\n\
         \x20 directory = {folder}/mail\n\
         \x20 maildir_format\n\
         \x20 return_path_add\n\
         \n\
         begin authenticators\n\
         plain:\n\
         \x20 driver = plaintext\n\
         \x20 public_name = PLAIN\n\
         \x20 server_prompts = :\n\
         \x20 server_condition = ${{if and{{{{eq{{$auth2}}{{{USER}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}\n\
         \x20 server_set_id = $auth2\n"
    )
}
