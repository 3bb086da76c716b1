//! A deployment as the function needs it: the same parts, put together for each way in which it is called.
//!
//! | called by | sagas are driven | a wait |
//! |---|---|---|
//! | the queue, a state machine | here | is written down, and a wake or an event of ECS ends it |
//! | the HTTP API | by whoever gets the wakes | |
//! | somebody who waits for the answer | here | up to [`INLINE`] is waited out: it is billed anyway |

use axum::Router;
use futures::future::BoxFuture;
use secrecy::{SecretSlice, SecretString};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{sync::OnceCell, time::Instant};
use tokio_util::sync::CancellationToken;
use wharf_domain::Failure;
use wharf_http::{HttpState, SignupLimits, Tally};
use wharf_platform::{Platform, TaskEvent};
use wharf_provisioning::{Pace, Reporter, Settings, Wharf, tokens::TokenKey, wharf::Deployment};
use wharf_saga::{Clock, Driving, Ids, Store, Waker};

/// A wait up to this long is waited out by an invocation that somebody waits for. A lease outlasts it.
pub const INLINE: Duration = Duration::from_secs(10);
/// How often such an invocation looks whether another has brought the instance on.
const LOOK: Duration = Duration::from_secs(1);

/// Reads what ECS tells of a task.
pub type ReadTaskEvent = dyn Fn(&Value) -> Option<TaskEvent> + Send + Sync;
/// Fetches the secrets of the HTTP API.
pub type FetchKeys = dyn Fn() -> BoxFuture<'static, Result<HttpKeys, Failure>> + Send + Sync;

/// What Wharf on Lambda is put together from.
#[derive(Clone)]
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub platform: Platform,
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub waker: Arc<dyn Waker>,
    pub tokens: TokenKey,
    pub reporter: Arc<dyn Reporter>,
    /// Lets the message with this receipt come again so soon.
    pub again_in: Arc<dyn Fn(String, Duration) -> BoxFuture<'static, ()> + Send + Sync>,
    /// Whether wakes reach anybody. Where they do not, whoever claims or sweeps drives as well.
    pub wakes: bool,
    /// What a comparison of registry and world finds that touches no customer's data is mended.
    pub repairs: bool,
    /// Between two looks of an invocation that waits.
    pub poll: Duration,
    /// What an "ECS Task State Change" says of a task of this deployment's; `None` where it is none, or says nothing new.
    pub task_event: Arc<ReadTaskEvent>,
    pub http: HttpParts,
}

/// What only the HTTP API needs.
#[derive(Clone)]
pub struct HttpParts {
    pub keys: Arc<FetchKeys>,
    pub signup: SignupLimits,
    /// Counts sign-ups of one address, whichever process they come to.
    pub tally: Option<Tally>,
    pub public_url: String,
}

/// Secrets of the HTTP API, fetched when it is first asked.
#[derive(Clone, Debug)]
pub struct HttpKeys {
    pub admin_token: SecretString,
    pub session_key: SecretSlice<u8>,
}

impl Parts {
    fn wharf(&self, driving: Driving, linger: Duration, pace: Pace) -> Wharf {
        let settings = Settings {
            pace,
            ..self.settings.clone()
        };
        Wharf::new(Deployment {
            store: self.store.clone(),
            platform: self.platform.clone(),
            settings,
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            waker: self.waker.clone(),
            tokens: self.tokens.clone(),
            reporter: self.reporter.clone(),
            driving,
            linger,
        })
    }
}

/// The parts, put together.
pub struct Deployed {
    pub parts: Parts,
    /// Takes wakes, events and sweeps.
    pub driver: Wharf,
    /// Answers over HTTP.
    pub door: Wharf,
    router: OnceCell<Router>,
}

impl Deployed {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let elsewhere = if parts.wakes { Driving::Elsewhere } else { Driving::Here };
        let pace = Pace {
            answer_within: Some(Duration::ZERO),
            ..parts.settings.pace.clone()
        };
        Self {
            driver: parts.wharf(Driving::Here, Duration::ZERO, pace.clone()),
            door: parts.wharf(elsewhere, Duration::ZERO, pace),
            router: OnceCell::new(),
            parts,
        }
    }

    /// One that waits for what it has begun, until `deadline`. It has an engine of its own, which is shut down when the answer is there: what it still waits
    /// for then goes on without it.
    #[must_use]
    pub fn waiting(&self, deadline: Instant) -> Wharf {
        let patience = deadline.saturating_duration_since(Instant::now());
        let pace = Pace {
            look_at_tasks: self.parts.poll.min(INLINE),
            shortest_look: Pace::default().shortest_look,
            look_for_news: Some(LOOK),
            answer_within: Some(patience),
            ..self.parts.settings.pace.clone()
        };
        self.parts.wharf(Driving::Here, INLINE, pace)
    }

    /// The router of the HTTP API.
    pub async fn router(&self) -> Result<Router, Failure> {
        let router = self
            .router
            .get_or_try_init(async || {
                let HttpKeys {
                    admin_token,
                    session_key,
                } = (self.parts.http.keys)().await?;
                // Nothing can be streamed through the API: a stream sends what there is and ends, and its client comes again.
                let stopping = CancellationToken::new();
                stopping.cancel();
                let public_url = self.parts.http.public_url.clone();
                Ok::<_, Failure>(wharf_http::router(HttpState {
                    tally: self.parts.http.tally.clone(),
                    wharf: self.door.clone(),
                    clock: self.parts.clock.clone(),
                    ids: self.parts.ids.clone(),
                    admin_token,
                    session_key,
                    limits: self.parts.http.signup,
                    // The caller's address is the one that API Gateway has seen.
                    trusted_proxies: Vec::new(),
                    secure: public_url.starts_with("https://"),
                    public_url,
                    metrics: Box::new(|_| {}),
                    restoring: Arc::new(|| 0),
                    stopping,
                }))
            })
            .await?;
        Ok(router.clone())
    }
}
