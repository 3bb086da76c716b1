//! The contract of [`Prober`]: when a task has proven that it is there, as checks that run one by one against any adapter.
//!
//! A crate with an adapter writes an `async fn make() -> Fixture` and says `wharf_testkit::prober_contract!(real make)` (or `paused make`)
//! in a test module of its own; [`Fixture::over_http`] is all that a prober over HTTP needs. What its platform proves by other means than
//! the identity header (who owns the socket) it tests itself.

use futures::future::BoxFuture;
use std::{any::Any, fmt, net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wharf_domain::{Code, DeploymentId, Endpoint, Failure, InstanceId, instance::TaskRef};
use wharf_platform::{Owner, Probe, Prober, Proof};

use super::harness::{some_instance, some_owner};

/// Makes a `#[test]` of every check, with probers that `$make` (an `async fn() -> Fixture`) gives; `$time` is `real` or `paused`.
#[macro_export]
macro_rules! prober_contract {
    ($time:ident $make:path) => {
        $crate::contract_tests! { prober, $time $make:
            a_good_answer_that_names_the_instance_is_proof,
            a_redirection_is_a_good_answer,
            a_bad_status_is_unhealthy,
            nobody_there_is_unhealthy,
            another_instance_there_is_not_ours,
            who_does_not_answer_in_time_is_unhealthy,
            half_an_answer_is_none,
            a_failure_fits_into_a_sentence,
        }
    };
}

/// What a task does when somebody asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answers with this status, whole, and names this instance.
    Whole { status: u16, names: InstanceId },
    /// Begins to answer well, and breaks off.
    Half { names: InstanceId },
    /// Takes the question and never answers.
    Silence,
    /// Nobody listens there.
    Nobody,
}

/// Starts a task of this owner that answers like this for as long as the fixture lives.
pub type Start = Box<dyn Fn(Owner, Answer) -> BoxFuture<'static, (TaskRef, Endpoint)> + Send + Sync>;

/// A prober, tasks to ask, and what must live as long as they do.
pub struct Fixture {
    pub prober: Arc<dyn Prober>,
    pub start: Start,
    pub keeps: Box<dyn Any + Send>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

/// The header in which tasks of these checks name themselves.
pub const IDENTITY_HEADER: &str = "x-contract-instance";
/// Long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(10);
/// For those who never answer.
const SHORT_TIMEOUT: Duration = Duration::from_millis(100);

impl Fixture {
    /// With tasks that are listeners of this process and speak HTTP/1.1.
    pub fn over_http(prober: Arc<dyn Prober>, keeps: impl Any + Send) -> Self {
        Self {
            prober,
            start: Box::new(|owner, answer| Box::pin(listen(owner, answer))),
            keeps: Box::new(keeps),
        }
    }

    async fn ask(&self, owner: &Owner, answer: Answer) -> Result<Proof, Failure> {
        let timeout = match answer {
            Answer::Silence | Answer::Half { .. } => SHORT_TIMEOUT,
            Answer::Whole { .. } | Answer::Nobody => TIMEOUT,
        };
        let (task, endpoint) = (self.start)(owner.clone(), answer).await;
        let probe = Probe {
            owner: owner.clone(),
            task,
            endpoint,
            host: "contract.localhost".to_owned(),
            path: "/healthz".to_owned(),
            timeout,
            identity_header: Some(IDENTITY_HEADER.to_owned()),
        };
        self.prober.probe(&probe).await
    }
}

async fn listen(owner: Owner, answer: Answer) -> (TaskRef, Endpoint) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    if answer != Answer::Nobody {
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, answer.clone()));
            }
        });
    }
    let task = TaskRef {
        id: format!("listener-{}", address.port()),
        attempt: owner.attempt,
    };
    let endpoint = Endpoint::Address {
        ip: address.ip(),
        port: address.port(),
    };
    (task, endpoint)
}

async fn converse(mut stream: TcpStream, answer: Answer) {
    let mut question = [0; 4096];
    let mut read = 0;
    while !question[..read].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut question[read..]).await {
            Ok(some) if some > 0 => read += some,
            _ => return,
        }
    }
    let text = match answer {
        Answer::Whole { status, names } => format!(
            "HTTP/1.1 {status} Said\r\n{IDENTITY_HEADER}: {names}\r\nlocation: /elsewhere\r\ncontent-length: 5\r\n\r\nhello"
        ),
        Answer::Half { names } => {
            format!("HTTP/1.1 200 Said\r\n{IDENTITY_HEADER}: {names}\r\ncontent-length: 500\r\n\r\nhel")
        }
        Answer::Silence | Answer::Nobody => return std::future::pending().await,
    };
    // Whoever asked may have gone.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn whole(status: u16, owner: &Owner) -> Answer {
    Answer::Whole {
        status,
        names: owner.instance.clone(),
    }
}

fn owner() -> Owner {
    some_owner(&DeploymentId::new([1; 10]))
}

pub async fn a_good_answer_that_names_the_instance_is_proof(fixture: Fixture) {
    let owner = owner();
    let proof = fixture.ask(&owner, whole(200, &owner)).await;
    assert_eq!(proof, Ok(Proof::Header));
}

pub async fn a_redirection_is_a_good_answer(fixture: Fixture) {
    for status in [201, 302, 399] {
        let owner = owner();
        let proof = fixture.ask(&owner, whole(status, &owner)).await;
        assert_eq!(proof, Ok(Proof::Header), "{status}");
    }
}

pub async fn a_bad_status_is_unhealthy(fixture: Fixture) {
    for status in [400, 404, 500, 503] {
        let owner = owner();
        let failure = fixture
            .ask(&owner, whole(status, &owner))
            .await
            .expect_err("it is not well");
        assert_eq!(failure.code, Code::RouteUnhealthy, "{status}");
        assert!(failure.message.contains(&status.to_string()), "{}", failure.message);
    }
}

pub async fn nobody_there_is_unhealthy(fixture: Fixture) {
    let failure = fixture
        .ask(&owner(), Answer::Nobody)
        .await
        .expect_err("nobody is there");
    assert_eq!(failure.code, Code::RouteUnhealthy);
}

pub async fn another_instance_there_is_not_ours(fixture: Fixture) {
    let stranger = some_instance();
    let answer = Answer::Whole {
        status: 200,
        names: stranger.clone(),
    };
    let failure = fixture.ask(&owner(), answer).await.expect_err("it is another's");
    assert_eq!(failure.code, Code::RouteIdentity);
    assert!(!failure.code.is_passing(), "waiting does not help");
}

pub async fn who_does_not_answer_in_time_is_unhealthy(fixture: Fixture) {
    let failure = fixture
        .ask(&owner(), Answer::Silence)
        .await
        .expect_err("it says nothing");
    assert_eq!(failure.code, Code::RouteUnhealthy);
}

pub async fn half_an_answer_is_none(fixture: Fixture) {
    let owner = owner();
    let answer = Answer::Half {
        names: owner.instance.clone(),
    };
    let failure = fixture.ask(&owner, answer).await.expect_err("only half of it came");
    assert_eq!(failure.code, Code::RouteUnhealthy);
}

pub async fn a_failure_fits_into_a_sentence(fixture: Fixture) {
    let owner = owner();
    for answer in [Answer::Nobody, whole(500, &owner)] {
        let failure = fixture.ask(&owner, answer).await.expect_err("it is not well");
        let message = &failure.message;
        assert!(
            !message.is_empty() && !message.ends_with('.') && !message.contains('\n'),
            "{failure:?}"
        );
    }
}
