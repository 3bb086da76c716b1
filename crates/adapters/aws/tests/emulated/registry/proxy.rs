//! A way to the emulator on which answers can be lost, and calls refused.

use parking_lot::Mutex;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Pass,
    /// It is carried out, and the connection breaks before its answer.
    LoseAnswer,
    /// It is not carried out, and the connection breaks.
    LoseRequest,
    /// It is answered with this error's code and message.
    Refuse(&'static str, String),
    /// It is answered as a transaction that was cancelled for these reasons, one for each of its parts.
    Cancel(&'static [&'static str]),
}

type Judge = dyn FnMut(&str) -> Fate + Send;

pub(super) struct Proxy {
    pub(super) url: String,
    judge: Arc<Mutex<Box<Judge>>>,
}

impl Proxy {
    /// Between whoever uses its URL and the one at `to`.
    pub(super) async fn start(to: &str) -> Self {
        let upstream: SocketAddr = to.trim_start_matches("http://").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let judge: Arc<Mutex<Box<Judge>>> = Arc::new(Mutex::new(Box::new(|_| Fate::Pass)));
        let judges = judge.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let judge = judges.clone();
                tokio::spawn(async move {
                    let _ = relay(stream, upstream, &judge).await;
                });
            }
        });
        Self { url, judge }
    }

    /// From now on this decides, by the name of the operation.
    pub(super) fn judge(&self, judge: impl FnMut(&str) -> Fate + Send + 'static) {
        *self.judge.lock() = Box::new(judge);
    }
}

/// One request and its answer; then the connection ends, with a word of it in the answer.
async fn relay(mut stream: TcpStream, upstream: SocketAddr, judge: &Mutex<Box<Judge>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let head = loop {
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let header = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let length: usize = header("content-length").parse().unwrap_or(0);
    while request.len() < head + length {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let target = header("x-amz-target");
    let operation = target.rsplit('.').next().unwrap_or_default();
    let fate = (judge.lock())(operation);
    let body = match &fate {
        Fate::Refuse(code, message) => Some(format!("{{\"__type\":\"x#{code}\",\"message\":{message:?}}}")),
        Fate::Cancel(codes) => {
            let reasons: Vec<_> = codes.iter().map(|code| format!("{{\"Code\":\"{code}\"}}")).collect();
            let reasons = reasons.join(",");
            Some(format!(
                "{{\"__type\":\"x#TransactionCanceledException\",\"Message\":\"cancelled\",\"CancellationReasons\":[{reasons}]}}"
            ))
        }
        Fate::Pass | Fate::LoseAnswer | Fate::LoseRequest => None,
    };
    if let Some(body) = body {
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\nconnection: close";
        let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        return stream.write_all(answer.as_bytes()).await;
    }
    if fate == Fate::LoseRequest {
        return Ok(());
    }
    let mut onward = TcpStream::connect(upstream).await?;
    let first_line = text.find("\r\n").unwrap_or(0) + 2;
    onward.write_all(&request[..first_line]).await?;
    onward.write_all(b"connection: close\r\n").await?;
    onward.write_all(&request[first_line..]).await?;
    let mut answer = Vec::new();
    onward.read_to_end(&mut answer).await?;
    if fate == Fate::LoseAnswer {
        return Ok(());
    }
    stream.write_all(&answer).await
}
