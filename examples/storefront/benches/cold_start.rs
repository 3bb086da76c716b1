//! How long a start takes: from the spawn of the process to the first whole 200 of `/healthz`, with a new database and with a used one, and the memory that the
//! shop then has. `cargo bench -p wharf-storefront` prints a table.
//!
//! The clock runs on one machine with everything else that runs there: compare figures of one run only.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const STARTS: usize = 300;
/// Between two tries to connect. Sleeping for less than that takes longer than it says.
const PROBE_PAUSE: Duration = Duration::from_micros(50);
const GIVE_UP: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    println!("storefront, spawn → first 200 of /healthz, {STARTS} starts each");
    println!(
        "{:<16} {:>9} {:>9} {:>9} {:>9} {:>10}",
        "database", "min ms", "median", "p99", "max", "RSS KiB"
    );
    let folder = tempfile::tempdir()?;
    measure("new", |start| folder.path().join(format!("new-{start}.db")))?;
    let used = folder.path().join("used.db");
    prepare_used(&used)?;
    measure("used", |_| used.clone())
}

fn measure(name: &str, database: impl Fn(usize) -> std::path::PathBuf) -> io::Result<()> {
    let mut times = Vec::with_capacity(STARTS);
    let mut memory = Vec::with_capacity(STARTS);
    for start in 0..STARTS {
        let (shop, time) = Shop::start(&database(start))?;
        times.push(time);
        memory.push(shop.resident_kib()?);
    }
    times.sort_unstable();
    memory.sort_unstable();
    let at = |share: usize| times[(STARTS - 1) * share / 100].as_secs_f64() * 1000.0;
    println!(
        "{name:<16} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>10}",
        at(0),
        at(50),
        at(99),
        at(100),
        memory[STARTS / 2]
    );
    Ok(())
}

/// A shop with a basket in it: its file is in WAL mode, and ends with its log still there, as after a kill.
fn prepare_used(database: &Path) -> io::Result<()> {
    let (shop, _) = Shop::start(database)?;
    let body = "product=1&quantity=1";
    let request = format!(
        "POST /basket/add HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(&mut TcpStream::connect(shop.address)?, &request)?;
    if answer.starts_with("HTTP/1.1 303") {
        Ok(())
    } else {
        Err(io::Error::other(answer))
    }
}

struct Shop {
    process: Child,
    address: SocketAddr,
}

impl Shop {
    fn start(database: &Path) -> io::Result<(Self, Duration)> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_storefront"));
        command
            .env_clear()
            .env("PORT", address.port().to_string())
            .env("DATABASE_URL", format!("sqlite://{}", database.display()));
        command
            .env("APP_PASSWORD", "password")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = Instant::now();
        let shop = Self {
            process: command.spawn()?,
            address,
        };
        while !shop.answers() {
            if started.elapsed() > GIVE_UP {
                return Err(io::Error::other("the shop does not answer"));
            }
            std::thread::park_timeout(PROBE_PAUSE);
        }
        Ok((shop, started.elapsed()))
    }

    fn answers(&self) -> bool {
        let request = "GET /healthz HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n";
        TcpStream::connect(self.address)
            .and_then(|mut stream| exchange(&mut stream, request))
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nok\n"))
    }

    fn resident_kib(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok())
            .ok_or_else(|| io::Error::other("no VmRSS"))
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn exchange(stream: &mut TcpStream, request: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(GIVE_UP))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
