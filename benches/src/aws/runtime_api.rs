//! A stand-in for Lambda's runtime API: the function asks for work, and is given some; when it asked, and what it said.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use wharf_local::SystemClock;
use wharf_saga::Clock;

use crate::Result;

/// What asks for work, as the runtime API is documented.
pub(crate) const NEXT: &str = "/2018-06-01/runtime/invocation/next";
/// What an invocation has, as the template gives it.
const TIMEOUT: Duration = Duration::from_mins(8);
const GIVE_UP: Duration = Duration::from_secs(30);
/// An answer of the function, at most.
const MOST_BODY: usize = 6 << 20;

/// What the function did.
#[derive(Debug)]
pub(crate) enum Said {
    AskedForWork(Instant),
    /// Its path says to what: `…/response` or `…/error`.
    Answered {
        path: String,
        body: String,
    },
}

/// An address at which functions ask for work, as many as come one after another.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    said: Receiver<Said>,
    work: Sender<String>,
}

impl RuntimeApi {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (say, said) = mpsc::channel();
        let (work, to_do) = mpsc::channel();
        let to_do = Arc::new(Mutex::new(to_do));
        thread::Builder::new().name("runtime-api".to_owned()).spawn(move || {
            for connection in listener.incoming() {
                let (Ok(connection), say, to_do) = (connection, say.clone(), to_do.clone()) else {
                    continue;
                };
                // It ends with its connection, and that with the function.
                thread::spawn(move || drop(serve(&connection, &say, &to_do)));
            }
        })?;
        Ok(Self { address, said, work })
    }

    /// What the function does next.
    pub(crate) fn said(&self) -> Result<Said> {
        Ok(self.said.recv_timeout(GIVE_UP)?)
    }

    pub(crate) fn invoke(&self, payload: String) -> Result<()> {
        Ok(self.work.send(payload)?)
    }
}

fn serve(connection: &TcpStream, say: &Sender<Said>, to_do: &Mutex<Receiver<String>>) -> Result<()> {
    connection.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(connection), connection);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let came = Instant::now();
        let path = line.split(' ').nth(1).ok_or("a request without a path")?.to_owned();
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse::<usize>()?;
            }
        }
        if length > MOST_BODY {
            return Err("an answer that is too long".into());
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if path == NEXT {
            say.send(Said::AskedForWork(came))?;
            let payload = to_do.lock().recv()?;
            let deadline = SystemClock.now() + TIMEOUT;
            write!(
                writer,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
                 lambda-runtime-deadline-ms: {}\r\nlambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:123456789012:function:bench\r\n\
                 content-length: {}\r\n\r\n{payload}",
                deadline.as_millis(),
                payload.len(),
            )?;
        } else {
            let body = String::from_utf8(body)?;
            say.send(Said::Answered { path, body })?;
            writer.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
        }
        writer.flush()?;
    }
}
