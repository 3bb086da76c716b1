//! What the tests' containers run: a program that behaves well or badly, by name.
//!
//! What must not be here: anything of Wharf.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// How long a neighbour's door is knocked at.
const KNOCKED: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let what = words.next().unwrap_or_default();
    let result = match what.to_str().unwrap_or_default() {
        "rest" => rest(),
        "serve" => serve(),
        "late" => late(),
        "crash" => {
            eprintln!("cannot go on");
            return ExitCode::from(3);
        }
        // The first process of a container hears no signal that it has no ear for.
        "ignore" => loop {
            thread::park();
        },
        "hoard" => hoard(),
        "fetch" => fetch(&argument(words)),
        "knock" => knock(&argument(words)),
        "rights" => rights(),
        "write" => write(&argument(words)),
        "threads" => threads(),
        other => Err(io::Error::other(format!("nobody knows {other:?}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn argument(mut words: impl Iterator<Item = OsString>) -> String {
    words
        .next()
        .and_then(|word| word.into_string().ok())
        .unwrap_or_default()
}

/// Ends when it is asked to.
fn rest() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            println!("at rest");
            terminate.recv().await;
            Ok(())
        })
}

/// Answers every request with who it is, until it is asked to end.
fn serve() -> io::Result<()> {
    let port = env::var("PORT").unwrap_or_default();
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    println!("listening on {port}");
    answer_all(listener, env::var("WHARF_INSTANCE_ID").unwrap_or_default())
}

/// The same, and learns who it is from the file that it is told to wait for, if it is told so.
fn late() -> io::Result<()> {
    let Ok(path) = env::var("WHARF_CONFIGURATION") else {
        return serve();
    };
    let port = env::var("PORT").unwrap_or_default();
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    println!("waiting");
    let text = loop {
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => thread::park_timeout(Duration::from_millis(2)),
            read => break read?,
        }
    };
    let told: BTreeMap<String, String> = serde_json::from_slice(&text)?;
    let is_ours_alone = fs::write(&path, "x").is_err();
    println!("told of {} variables, read-only: {is_ours_alone}", told.len());
    answer_all(listener, told.get("WHARF_INSTANCE_ID").cloned().unwrap_or_default())
}

fn answer_all(listener: TcpListener, who: String) -> io::Result<()> {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let who = who.clone();
            thread::spawn(move || answer(stream, &who));
        }
    });
    rest()
}

fn answer(mut stream: TcpStream, body: &str) -> io::Result<()> {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request)?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Takes memory, and uses it, until there is no more.
fn hoard() -> io::Result<()> {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        held.push(vec![u8::try_from(held.len() % 251).unwrap_or(1) | 1; 1 << 20]);
        io::stdout().flush()?;
    }
}

/// Prints what somebody sends, and what was sent is all of it.
fn fetch(from: &str) -> io::Result<()> {
    let mut text = Vec::new();
    TcpStream::connect(from)?.read_to_end(&mut text)?;
    io::stdout().write_all(&text)?;
    io::stdout().flush()
}

/// Says whether somebody lets it in.
fn knock(at: &str) -> io::Result<()> {
    let address = at.parse().map_err(io::Error::other)?;
    let found = match TcpStream::connect_timeout(&address, KNOCKED) {
        Ok(_) => "open",
        Err(_) => "closed",
    };
    println!("{found}");
    rest()
}

/// What the kernel lets it do.
fn rights() -> io::Result<()> {
    for line in fs::read_to_string("/proc/self/status")?.lines() {
        if ["Uid:", "CapEff:", "CapBnd:", "NoNewPrivs:"]
            .iter()
            .any(|key| line.starts_with(key))
        {
            println!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    for folder in ["/", "/tmp", "/data"] {
        let is_writable = fs::write(format!("{folder}/written"), "x").is_ok();
        println!("{folder} {}", if is_writable { "writable" } else { "read-only" });
    }
    rest()
}

fn write(path: &str) -> io::Result<()> {
    fs::write(path, "x")?;
    rest()
}

/// As many threads as it may have, up to a thousand.
fn threads() -> io::Result<()> {
    let mut count = 1;
    while count < 1_000
        && thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(|| thread::park_timeout(Duration::from_mins(1)))
            .is_ok()
    {
        count += 1;
    }
    println!("{count} threads");
    io::stdout().flush()?;
    std::process::exit(0);
}
