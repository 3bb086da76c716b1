//! The first answer of a task that no load balancer stands before (a direct URL): asked for at its own address, with the proof that it is this
//! instance's own. Health behind target groups is theirs to tell.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, Request, header, response::Parts};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::{net::SocketAddr, pin::pin};
use tokio::{net::TcpStream, select, time::timeout};
use wharf_domain::{Code, Failure};
use wharf_platform::{Probe, Prober, Proof};

/// An answer that is larger is not read to its end, and proves nothing.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Asks tasks over HTTP/1.1, with a connection for each probe.
///
/// Without an identity header the proof is ECS's: the address is that of the task's own interface, or the port is the one that its host bound
/// for it, as DescribeTasks told when the endpoint was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectProber;

#[async_trait]
impl Prober for DirectProber {
    async fn probe(&self, probe: &Probe) -> Result<Proof, Failure> {
        let ip = probe.endpoint.ip().ok_or_else(|| {
            let endpoint = probe.endpoint.key();
            unhealthy(format!("the address of {endpoint} is not known")).hint(
                "allow ec2:DescribeInstances, or set EC2_IP (or the service's `host_address`) to the host's address",
            )
        })?;
        let address = SocketAddr::new(ip, probe.endpoint.port());
        let identity = probe.identity_header.as_deref().map(HeaderName::try_from).transpose();
        let identity = identity
            .map_err(|_| Failure::new(Code::ConfigInvalid, "the identity header's name is not one of a header"))?;
        let answer = timeout(probe.timeout, ask(address, probe)).await.map_err(|_| {
            unhealthy(format!("no whole answer from {address} within {:?}", probe.timeout))
                .hint("the task has to listen on 0.0.0.0 and its own port, and its security group has to let Wharf in")
        })??;
        let proof = match &identity {
            Some(name) => {
                check_identity(&answer, name, address, probe)?;
                Proof::Header
            }
            None => Proof::Platform,
        };
        let status = answer.status.as_u16();
        if (200..400).contains(&status) {
            return Ok(proof);
        }
        Err(unhealthy(format!("GET {} of {address} answered {status}", probe.path))
            .hint("the health path has to answer with a status from 200 to 399"))
    }
}

/// The head of an answer that came to its end.
async fn ask(address: SocketAddr, probe: &Probe) -> Result<Parts, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|error| {
        unhealthy(format!("{address} cannot be reached: {error}")).hint(
            "the task has to listen on the port that it finds in PORT, and its security group has to let Wharf in",
        )
    })?;
    let broken = |error: &dyn std::fmt::Display| unhealthy(format!("{address} gave no whole HTTP answer: {error}"));
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(LARGEST_ANSWER)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let request = Request::get(&probe.path)
        .header(header::HOST, &probe.host)
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
    let mut exchange = pin!(async {
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = answer.into_parts();
        // Read to its end, and nothing of it kept for longer than this.
        Limited::new(body, LARGEST_ANSWER)
            .collect()
            .await
            .map_err(|error| broken(&error))?;
        Ok(head)
    });
    let mut connection = pin!(connection);
    // The connection is driven here; when it ends first, what it got is still to be read.
    select! {
        head = &mut exchange => return head,
        _ = &mut connection => {}
    }
    exchange.await
}

/// Exactly one header, with this instance's id.
fn check_identity(answer: &Parts, name: &HeaderName, address: SocketAddr, probe: &Probe) -> Result<(), Failure> {
    let instance = &probe.owner.instance;
    let mut identities = answer.headers.get_all(name).iter();
    match (identities.next(), identities.next()) {
        (Some(only), None) if only.as_bytes() == instance.as_str().as_bytes() => Ok(()),
        // A task that fails says nothing of itself: its status is told.
        (None, _) if answer.status.as_u16() >= 400 => Ok(()),
        (None, _) => Err(Failure::new(
            Code::RouteIdentity,
            format!("the answer of {address} has no {name} header"),
        )
        .hint("the service has to send WHARF_INSTANCE_ID back in that header, or its identity_header has to go")),
        (Some(other), _) => {
            let other = String::from_utf8_lossy(other.as_bytes());
            let other: String = other.chars().filter(|char| !char.is_control()).take(64).collect();
            Err(Failure::new(
                Code::RouteIdentity,
                format!("{address} is answered by {other}, and not by {instance}"),
            ))
        }
    }
}

fn unhealthy(message: impl Into<String>) -> Failure {
    Failure::new(Code::RouteUnhealthy, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use wharf_domain::{Attempt, DeploymentId, Endpoint, InstanceId, Timestamp, instance::TaskRef};
    use wharf_platform::Owner;

    fn probe_of(address: SocketAddr, identity_header: Option<&str>) -> Probe {
        Probe {
            owner: Owner {
                deployment: DeploymentId::new([1; 10]),
                instance: InstanceId::new(Timestamp(1), [2; 10]),
                attempt: Attempt(1),
            },
            task: TaskRef {
                id: "arn".into(),
                attempt: Attempt(1),
            },
            endpoint: Endpoint::Host {
                ec2_instance: "i-1".into(),
                ip: Some(address.ip()),
                port: address.port(),
            },
            host: "acme.example.com".into(),
            path: "/healthz".into(),
            timeout: Duration::from_secs(5),
            identity_header: identity_header.map(str::to_owned),
        }
    }

    /// A probe of somebody who answers so; and what was asked.
    async fn probed(answer: &str, identity_header: Option<&str>) -> (Result<Proof, Failure>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let probe = probe_of(listener.local_addr().expect("an address"), identity_header);
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.ends_with(b"\r\n\r\n") {
                let count = stream.read(&mut buffer).await.expect("read");
                request.extend(&buffer[..count]);
            }
            // Who asks may have seen enough before all of it is written.
            let _ = stream.write_all(answer.as_bytes()).await;
            String::from_utf8(request).expect("text")
        };
        tokio::join!(DirectProber.probe(&probe), serve)
    }

    #[tokio::test]
    async fn a_whole_answer_proves_the_task_by_its_address() {
        let (proof, request) = probed("HTTP/1.1 302 Found\r\ncontent-length: 2\r\n\r\nok", None).await;
        assert_eq!(proof, Ok(Proof::Platform));
        assert!(
            request.starts_with("GET /healthz HTTP/1.1\r\nhost: acme.example.com\r\n"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn an_instance_is_known_by_its_header() {
        let id = InstanceId::new(Timestamp(1), [2; 10]);
        let own = format!("HTTP/1.1 200 OK\r\nx-wharf-instance: {id}\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(probed(&own, Some("x-wharf-instance")).await.0, Ok(Proof::Header));
        for others in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\nx-wharf-instance: inst_other\r\ncontent-length: 0\r\n\r\n".to_owned(),
            format!("HTTP/1.1 200 OK\r\nx-wharf-instance: {id}\r\nx-wharf-instance: {id}\r\ncontent-length: 0\r\n\r\n"),
        ] {
            let failure = probed(&others, Some("x-wharf-instance"))
                .await
                .0
                .expect_err("somebody else");
            assert_eq!(failure.code, Code::RouteIdentity, "{others}");
        }
    }

    #[tokio::test]
    async fn what_is_not_whole_or_not_good_is_unhealthy() {
        let large = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}",
            "x".repeat(100_000)
        );
        for answer in [
            "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
            "hello\r\n\r\n",
            &large,
        ] {
            let failure = probed(answer, None).await.0.expect_err("not healthy");
            assert_eq!(failure.code, Code::RouteUnhealthy, "{}", failure.message);
        }
        // A bad status is told even where the header is missing.
        let (failing, _) = probed("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", Some("x-wharf-instance")).await;
        assert_eq!(failing.expect_err("failing").code, Code::RouteUnhealthy);
    }

    #[tokio::test]
    async fn nobody_there_and_nobody_who_answers_are_unhealthy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut silent = probe_of(address, None);
        silent.timeout = Duration::from_millis(50);
        let failure = DirectProber.probe(&silent).await.expect_err("no answer");
        assert!(failure.message.contains("no whole answer"), "{}", failure.message);
        drop(listener);
        let failure = DirectProber.probe(&probe_of(address, None)).await.expect_err("nobody");
        assert_eq!(failure.code, Code::RouteUnhealthy);
    }

    #[tokio::test]
    async fn without_an_address_nothing_can_be_asked() {
        let mut probe = probe_of(([127, 0, 0, 1], 1).into(), None);
        probe.endpoint = Endpoint::Host {
            ec2_instance: "i-1".into(),
            ip: None,
            port: 1,
        };
        let failure = DirectProber.probe(&probe).await.expect_err("no address");
        assert!(failure.hint.is_some_and(|hint| hint.contains("EC2_IP")));
    }
}
