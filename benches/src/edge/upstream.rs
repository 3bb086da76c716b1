//! What both proxies pass requests on to: it answers each with the same bytes, at next to no cost.

use std::{net::SocketAddr, process::Command};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::proxy::{announce, announced};
use crate::{Result, children::Running};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nserver: static\r\n\
    date: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-length: 14\r\n\r\nHello, World!\n";
/// More than any request here has.
const REQUEST_MAX: usize = 8 * 1024;

pub(crate) fn start() -> Result<(Running, SocketAddr)> {
    announced(Command::new(std::env::current_exe()?).arg("upstream"))
}

/// The child's side: serves until it is ended.
pub(crate) fn part() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(answer(stream));
        }
    })
}

/// One request at a time, without bodies: a proxy's connections carry nothing else here.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; REQUEST_MAX];
    let mut held = 0;
    loop {
        let count = stream.read(&mut buffer[held..]).await?;
        if count == 0 {
            return Ok(());
        }
        held += count;
        if buffer[..held].ends_with(b"\r\n\r\n") {
            held = 0;
            stream.write_all(ANSWER).await?;
        }
    }
}
