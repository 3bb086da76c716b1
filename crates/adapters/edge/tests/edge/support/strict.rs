//! A backend that reads requests as strictly as RFC 9112 words them, by a parser of its own that forgives nothing, and keeps what
//! arrived as it arrived. What the edge passes on has to be read by any server in one way: so it is read here in the narrowest.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::backend::Server;

/// What is behind the edge, and what reached it. Health checks are answered and not told of.
pub(crate) struct Strict {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Arrived>>>,
    _server: Server,
}

/// A request as it came, or what was wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// `GET /path`
    pub(crate) what: String,
    /// `name: value`, in their order.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
    pub(crate) trailers: Vec<String>,
    /// Which of the backend's connections it came on.
    pub(crate) connection: usize,
    /// Why no strict server would read on.
    pub(crate) fault: Option<&'static str>,
}

impl Arrived {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Strict {
    /// Answers every request with 200 and `ok`, each connection for as long as it lasts.
    pub(crate) async fn start() -> Self {
        let seen: Arc<Mutex<Vec<Arrived>>> = Arc::default();
        let keeping = Arc::clone(&seen);
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let server = Server::accept(([127, 0, 0, 1], 0).into(), move |stream| {
            let keeping = Arc::clone(&keeping);
            let connection = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Box::pin(converse(stream, connection, keeping))
        })
        .await;
        Self {
            address: server.address,
            seen,
            _server: server,
        }
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.seen.lock().unwrap().clone()
    }
}

async fn converse(mut stream: TcpStream, connection: usize, seen: Arc<Mutex<Vec<Arrived>>>) {
    loop {
        let mut arrived = Arrived {
            connection,
            ..Arrived::default()
        };
        match read(&mut stream, &mut arrived).await {
            Err(None) => return,
            Err(fault) => arrived.fault = fault,
            Ok(()) => {}
        }
        let is_over = arrived.fault.is_some();
        if arrived.what != "GET /healthz" {
            seen.lock().unwrap().push(arrived);
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if is_over || stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// One line without its end. `Err(None)`: the connection ended.
async fn line(stream: &mut TcpStream) -> Result<String, Option<&'static str>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.map_err(|_| None)?);
    }
    line.truncate(line.len() - 2);
    if line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(Some("a bare CR, LF or NUL"));
    }
    String::from_utf8(line).map_err(|_| Some("no UTF-8"))
}

async fn read(stream: &mut TcpStream, arrived: &mut Arrived) -> Result<(), Option<&'static str>> {
    let first = line(stream).await?;
    let words: Vec<&str> = first.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words.as_slice() else {
        return Err(Some("no request line"));
    };
    arrived.what = format!("{method} {target}");
    fields(stream, &mut arrived.headers).await?;
    let all = |name: &str| -> Vec<&str> {
        let fields = arrived.headers.iter().filter_map(|line| line.split_once(": "));
        fields
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    };
    if all("host").len() != 1 {
        return Err(Some("not one Host"));
    }
    match (all("content-length").as_slice(), all("transfer-encoding").as_slice()) {
        ([], []) => Ok(()),
        ([length], []) => {
            if !length.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Some("a length that is none"));
            }
            let length = length.parse().map_err(|_| Some("a length that is none"))?;
            arrived.body = data(stream, length).await?;
            Ok(())
        }
        ([], ["chunked"]) => chunks(stream, arrived).await,
        _ => Err(Some("two lengths, or a coding that is not chunked")),
    }
}

async fn fields(stream: &mut TcpStream, fields: &mut Vec<String>) -> Result<(), Option<&'static str>> {
    loop {
        let line = line(stream).await?;
        if line.is_empty() {
            return Ok(());
        }
        let is_good = line.split_once(':').is_some_and(|(name, value)| {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            !name.is_empty() && name.bytes().all(is_token) && value.trim() == value.trim_start_matches(' ')
        });
        if !is_good {
            return Err(Some("a field that is none"));
        }
        fields.push(line);
    }
}

async fn data(stream: &mut TcpStream, length: usize) -> Result<String, Option<&'static str>> {
    let mut data = vec![0; length];
    stream.read_exact(&mut data).await.map_err(|_| None)?;
    Ok(String::from_utf8_lossy(&data).into_owned())
}

async fn chunks(stream: &mut TcpStream, arrived: &mut Arrived) -> Result<(), Option<&'static str>> {
    loop {
        let size = line(stream).await?;
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Some("a chunk's size that is none, or has an extension"));
        }
        let size = usize::from_str_radix(&size, 16).map_err(|_| Some("a chunk's size that is none"))?;
        if size == 0 {
            return fields(stream, &mut arrived.trailers).await;
        }
        arrived.body += &data(stream, size).await?;
        if !line(stream).await?.is_empty() {
            return Err(Some("a chunk without its end"));
        }
    }
}
