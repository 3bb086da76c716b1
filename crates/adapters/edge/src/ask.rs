//! One question to a task: a whole HTTP answer on a connection of its own, within a time and a size. Health checks and the
//! prober ask it; no visitor's request goes this way.

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{future::poll_fn, io, net::SocketAddr, pin::pin, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use wharf_domain::{Code, Failure, InstanceId};

/// An answer that is larger is not read to its end, and no proof of health.
pub(crate) const LARGEST_ANSWER: usize = 64 * 1024;

/// What to ask, and of whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) timeout: Duration,
    pub(crate) instance: &'a InstanceId,
    /// Where set, the answer has to name the instance in this header.
    pub(crate) identity_header: Option<&'a HeaderName>,
}

/// `Ok` for a whole answer of 200–399 that does not come from somebody else.
pub(crate) async fn ask(question: Question<'_>) -> Result<(), Failure> {
    let answered = timeout(question.timeout, exchange(question)).await.map_err(|_| {
        let waited = question.timeout;
        unhealthy(format!("no whole answer from {} within {waited:?}", question.address))
    })?;
    let answer = answered?;
    check_identity(question, &answer)?;
    let status = answer.status();
    if (200..400).contains(&status.as_u16()) {
        Ok(())
    } else {
        Err(unhealthy(format!(
            "GET {} of {} answered {}",
            question.path,
            question.address,
            status.as_u16()
        ))
        .hint("the health path has to answer with a status from 200 to 399"))
    }
}

/// The head of the answer, when its body has come to its end.
async fn exchange(question: Question<'_>) -> Result<Response<()>, Failure> {
    let address = question.address;
    let stream = TcpStream::connect(address).await.map_err(|error| {
        let what = if error.kind() == io::ErrorKind::ConnectionRefused {
            format!("nothing listens on {address} yet")
        } else {
            format!("{address} cannot be reached: {error}")
        };
        unhealthy(what).hint(if address.ip().is_loopback() {
            "the task has to listen on the port that it finds in PORT"
        } else {
            "the task has to listen on the port that it finds in PORT, and on its container's address: 0.0.0.0, not 127.0.0.1"
        })
    })?;
    let broken = |error: hyper::Error| {
        let what = if error.is_incomplete_message() || error.is_closed() {
            "closed the connection before its answer was whole".to_owned()
        } else {
            format!("gave no HTTP answer: {error}")
        };
        unhealthy(format!("{address} {what}"))
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(LARGEST_ANSWER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let request = Request::get(question.path)
        .header(header::HOST, question.host)
        .header(header::USER_AGENT, "wharf-health")
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| {
            Failure::new(
                Code::ConfigInvalid,
                format!("the health path cannot be asked for: {error}"),
            )
        })?;
    let mut connection = pin!(connection);
    let mut connected = true;
    let mut answering = pin!(async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let (parts, body) = response.into_parts();
        read_whole(body, address, broken).await?;
        Ok(Response::from_parts(parts, ()))
    });
    // Driven here, by the one who waits: a task of its own would cost more than the exchange.
    poll_fn(|cx| {
        if connected && connection.as_mut().poll(cx).is_ready() {
            connected = false;
        }
        answering.as_mut().poll(cx)
    })
    .await
}

/// Reads a body to its end, and keeps nothing of it.
async fn read_whole(
    mut body: Incoming,
    address: SocketAddr,
    broken: impl Fn(hyper::Error) -> Failure,
) -> Result<(), Failure> {
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.map_err(&broken)?.data_ref().map_or(0, Bytes::len);
        if read > LARGEST_ANSWER {
            return Err(unhealthy(format!("the answer of {address} is larger than 64 KiB"))
                .hint("give the service a health path with a small answer"));
        }
    }
    Ok(())
}

fn check_identity(question: Question<'_>, answer: &Response<()>) -> Result<(), Failure> {
    let Some(name) = question.identity_header else {
        return Ok(());
    };
    let mut identities = answer.headers().get_all(name).iter();
    let own = question.instance.as_str().as_bytes();
    let Some(identity) = identities.next() else {
        // A task that fails tells nothing of who it is, and its status will be told.
        if answer.status() >= StatusCode::BAD_REQUEST {
            return Ok(());
        }
        return Err(Failure::new(
            Code::RouteIdentity,
            format!("the answer of {} has no {name} header", question.address),
        )
        .hint("the service has to send WHARF_INSTANCE_ID back in that header, or its identity_header has to go"));
    };
    if identity.as_bytes() == own && identities.next().is_none() {
        return Ok(());
    }
    let other = String::from_utf8_lossy(identity.as_bytes());
    let other: String = other.chars().filter(|char| !char.is_control()).take(64).collect();
    Err(Failure::new(
        Code::RouteIdentity,
        format!(
            "{} is answered by {other}, and not by {}",
            question.address, question.instance
        ),
    ))
}

fn unhealthy(message: impl Into<String>) -> Failure {
    Failure::new(Code::RouteUnhealthy, message)
}
