//! A client that sends bytes as they are, and reads what comes back piece by piece.

use std::{collections::BTreeMap, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::PATIENCE;

pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

/// A whole answer. Several headers of one name are joined by `|`.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl From<TcpStream> for Client {
    fn from(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::from(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends, where the other side may have closed already.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    pub(crate) async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer(request.starts_with("HEAD ")).await
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Reads one more piece; `false` at the end.
    pub(crate) async fn more(&mut self) -> bool {
        let mut buffer = vec![0; 16 * 1024];
        match timeout(PATIENCE, self.stream.read(&mut buffer))
            .await
            .expect("bytes in time")
        {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
        }
    }

    /// Whether the other side closes, with nothing more to say.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.more().await
    }

    /// Everything up to the end.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    /// The head of an answer: status and headers.
    pub(crate) async fn head(&mut self) -> (u16, BTreeMap<String, String>) {
        let end = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end;
            }
            assert!(
                self.more().await,
                "closed before an answer: {:?}",
                String::from_utf8_lossy(&self.read)
            );
        };
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            let value = value.trim();
            headers
                .entry(name.to_ascii_lowercase())
                .and_modify(|all| *all = format!("{all}|{value}"))
                .or_insert_with(|| value.to_owned());
        }
        (status, headers)
    }

    /// So many bytes of body.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.more().await, "closed after {} of {count} bytes", self.read.len());
        }
        self.read.drain(..count).collect()
    }

    /// One chunk of a chunked body; empty for the last.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let end = loop {
            if let Some(end) = find(&self.read, b"\r\n") {
                break end;
            }
            assert!(self.more().await, "closed before a chunk's size");
        };
        let size: Vec<u8> = self.read.drain(..end + 2).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim_end(), 16).unwrap();
        let data = self.take(size).await;
        self.take(2).await;
        data
    }

    pub(crate) async fn answer(&mut self, to_head: bool) -> Answer {
        let (status, headers) = self.head().await;
        let length = headers.get("content-length").map(|length| length.parse().unwrap());
        let body = if to_head || matches!(status, 100..=199 | 204 | 304) {
            Vec::new()
        } else if headers
            .get("transfer-encoding")
            .is_some_and(|coding| coding == "chunked")
        {
            let mut body = Vec::new();
            loop {
                let chunk = self.chunk().await;
                if chunk.is_empty() {
                    break body;
                }
                body.extend(chunk);
            }
        } else if let Some(length) = length {
            self.take(length).await
        } else {
            while self.more().await {}
            std::mem::take(&mut self.read)
        };
        Answer {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
