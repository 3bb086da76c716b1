//! An HTTP client for loopback: one connection, whole answers, and a bound on every wait.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpStream;

use crate::Result;

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection, kept alive. It opens a new one if the server has closed it.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    /// What every request carries, beside its own.
    headers: Vec<(&'static str, String)>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON, if the status is a good one.
    pub(crate) fn json(&self) -> Result<Value> {
        if !self.status.is_success() {
            let body = String::from_utf8_lossy(&self.body);
            return Err(format!("{}: {}", self.status, body.chars().take(500).collect::<String>()).into());
        }
        Ok(serde_json::from_slice(&self.body)?)
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr, host: &str) -> Self {
        Self {
            address,
            headers: vec![("host", host.to_owned())],
            connection: None,
        }
    }

    pub(crate) fn bearing(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn with(mut self, header: &'static str, value: &str) -> Self {
        self.headers.push((header, value.to_owned()));
        self
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask(Request::get(path), Bytes::new()).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Answer> {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.ask(request, Bytes::from(body.to_string())).await
    }

    async fn ask(&mut self, mut request: http::request::Builder, body: Bytes) -> Result<Answer> {
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body))?;
        match tokio::time::timeout(PATIENCE, self.exchange(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.connection = None;
                Err(error)
            }
            Err(_) => Err(format!("{} has not answered for {PATIENCE:?}", self.address).into()),
        }
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => self.connect().await?,
        };
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        self.connection = Some(connection);
        Ok(Answer { status, body })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
