//! The SDK's clients, each made when it is first used, all from one configuration, one connection pool and one TLS stack.
//!
//! Nothing here reads the environment or a file before the first call: a Lambda that only looks at its event must not pay for it. No operation is
//! called from here.

mod configuration;

use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::Credentials;
use aws_smithy_async::{
    rt::sleep::{SharedAsyncSleep, TokioSleep},
    time::{SharedTimeSource, TimeSource},
};
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::OnceCell;
use wharf_saga::Clock;

use configuration::Load;

/// A connection inside a region is there in a few milliseconds, or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// One try: an answer that has not come by then is taken for lost.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// All tries of one call, and the pauses between them. Shorter than the longest call of a step (`wharf_saga::limits::STEP_TIMEOUT`).
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);
/// The registry answers in milliseconds, and a commit has to be known while its lease lasts.
const REGISTRY_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const REGISTRY_OPERATION_TIMEOUT: Duration = Duration::from_secs(6);
/// What the SDK tries again by itself is throttling, lost connections and the service's own faults; with jitter, and out of a
/// budget that all calls of a client share, so that an outage does not become a storm.
const ATTEMPTS: u32 = 4;

/// Where AWS is, and as whom it is asked. What is `None` comes from where the AWS command line has it: the environment, the profile, the machine's or
/// the function's role.
#[derive(Clone)]
pub struct ClientOptions {
    pub region: Option<String>,
    /// One address for all services, such as an emulator's. `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>` say the same.
    pub endpoint_url: Option<String>,
    pub credentials: Option<Credentials>,
    pub connect_timeout: Duration,
    pub attempt_timeout: Duration,
    pub operation_timeout: Duration,
    /// Of calls to DynamoDB, in place of the two before.
    pub registry_attempt_timeout: Duration,
    pub registry_operation_timeout: Duration,
    /// Tries of one call, the first one included.
    pub attempts: u32,
    /// What the configuration is made by, out of all this and of what is not given here.
    pub load: Load,
    /// What stands in for network and time; `None` for those of this machine.
    pub surroundings: Option<Surroundings>,
}

/// Network and time, where they are not this machine's: all that the clients do besides follows from what they are asked.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Sends every request, those that are signed by hand included.
    connector: SharedHttpConnector,
    /// What time-outs and pauses between tries are waited for with.
    sleep: SharedAsyncSleep,
    /// When requests are signed, and credentials expire.
    time: SharedTimeSource,
}

impl Surroundings {
    /// Time-outs and pauses go by tokio's clock, which may be paused; signatures by this one.
    pub fn new(connector: impl HttpConnector + 'static, clock: Arc<dyn Clock>) -> Self {
        Self {
            connector: SharedHttpConnector::new(connector),
            sleep: SharedAsyncSleep::new(TokioSleep::new()),
            time: SharedTimeSource::new(SigningTime(clock)),
        }
    }
}

/// A clock of ours as the SDK reads it.
struct SigningTime(Arc<dyn Clock>);

impl TimeSource for SigningTime {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0.now().as_millis())
    }
}

impl fmt::Debug for SigningTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningTime").finish_non_exhaustive()
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self::loaded_by(configuration::of_machine)
    }
}

impl ClientOptions {
    /// Inside a Lambda function, whose environment has everything: no file, no metadata service and no other role is looked for, and none of what
    /// would look for them is linked.
    #[must_use]
    pub fn on_lambda() -> Self {
        Self::loaded_by(configuration::of_function)
    }

    /// In these surroundings, as nobody in particular in `us-east-1`: neither the environment nor a file is read, and no socket is opened.
    #[must_use]
    pub fn within(surroundings: Surroundings, endpoint_url: impl Into<String>) -> Self {
        Self {
            surroundings: Some(surroundings),
            load: configuration::of_nothing,
            ..Self::emulator(endpoint_url)
        }
    }

    fn loaded_by(load: Load) -> Self {
        Self {
            region: None,
            endpoint_url: None,
            credentials: None,
            connect_timeout: CONNECT_TIMEOUT,
            attempt_timeout: ATTEMPT_TIMEOUT,
            operation_timeout: OPERATION_TIMEOUT,
            registry_attempt_timeout: REGISTRY_ATTEMPT_TIMEOUT,
            registry_operation_timeout: REGISTRY_OPERATION_TIMEOUT,
            attempts: ATTEMPTS,
            load,
            surroundings: None,
        }
    }

    /// An emulator at this address, which takes any credentials: these are nobody's.
    #[must_use]
    pub fn emulator(endpoint_url: impl Into<String>) -> Self {
        Self {
            region: Some("us-east-1".to_owned()),
            endpoint_url: Some(endpoint_url.into()),
            credentials: Some(Credentials::new("emulator", "emulator", None, None, "emulator")),
            ..Self::default()
        }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("region", &self.region)
            .field("endpoint_url", &self.endpoint_url)
            .finish_non_exhaustive()
    }
}

/// The clients. Making one costs nothing; the first use of any of them loads the configuration.
#[derive(Debug)]
pub struct Clients {
    options: ClientOptions,
    config: OnceCell<SdkConfig>,
    dynamodb: OnceCell<aws_sdk_dynamodb::Client>,
    ecs: OnceCell<aws_sdk_ecs::Client>,
    elasticloadbalancingv2: OnceCell<aws_sdk_elasticloadbalancingv2::Client>,
    secretsmanager: OnceCell<aws_sdk_secretsmanager::Client>,
    sqs: OnceCell<aws_sdk_sqs::Client>,
}

/// A client that is made from the configuration when it is first asked for. One whose calls go by the governor tries nothing again: the
/// [`Governor`](crate::Governor) does, and knows of every refusal.
macro_rules! lazy {
    ($($name:ident: $sdk:ident $($retries:ident)?;)*) => {
        $(
            pub async fn $name(&self) -> &$sdk::Client {
                self.$name
                    .get_or_init(async || {
                        let config = $sdk::config::Builder::from(self.config().await);
                        $(let config = config.retry_config(lazy!($retries));)?
                        $sdk::Client::from_conf(config.build())
                    })
                    .await
            }
        )*
    };
    (governed) => {
        RetryConfig::disabled()
    };
}

impl Clients {
    #[must_use]
    pub fn new(options: ClientOptions) -> Self {
        Self {
            options,
            config: OnceCell::new(),
            dynamodb: OnceCell::new(),
            ecs: OnceCell::new(),
            elasticloadbalancingv2: OnceCell::new(),
            secretsmanager: OnceCell::new(),
            sqs: OnceCell::new(),
        }
    }

    pub async fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        let make = async || {
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(self.options.connect_timeout)
                .operation_attempt_timeout(self.options.registry_attempt_timeout)
                .operation_timeout(self.options.registry_operation_timeout)
                .build();
            let config = aws_sdk_dynamodb::config::Builder::from(self.config().await).timeout_config(timeouts);
            aws_sdk_dynamodb::Client::from_conf(config.build())
        };
        self.dynamodb.get_or_init(make).await
    }

    lazy! {
        ecs: aws_sdk_ecs governed;
        elasticloadbalancingv2: aws_sdk_elasticloadbalancingv2 governed;
        secretsmanager: aws_sdk_secretsmanager governed;
        sqs: aws_sdk_sqs governed;
    }

    /// What requests are sent by that are signed by hand, where that is not a connector of their own.
    pub(crate) fn connector(&self) -> Option<SharedHttpConnector> {
        let surroundings = self.options.surroundings.as_ref()?;
        Some(surroundings.connector.clone())
    }

    /// What all clients are made of; for calls that are signed by hand, too.
    pub async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(|| (self.options.load)(&self.options)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::Region;
    use std::time::Instant;

    #[test]
    fn making_clients_makes_none() {
        let start = Instant::now();
        let clients = Clients::new(ClientOptions::default());
        assert!(start.elapsed() < Duration::from_millis(1), "{:?}", start.elapsed());
        assert!(!clients.config.initialized());
    }

    #[test]
    fn a_call_with_all_its_tries_fits_into_a_step() {
        assert!(CONNECT_TIMEOUT < ATTEMPT_TIMEOUT && ATTEMPT_TIMEOUT < OPERATION_TIMEOUT);
        assert!(OPERATION_TIMEOUT < wharf_saga::limits::STEP_TIMEOUT);
    }

    /// A commit that gets no answer is asked for twice, and then looked for.
    #[test]
    fn a_commit_is_known_or_given_up_while_its_lease_lasts() {
        assert!(REGISTRY_ATTEMPT_TIMEOUT < REGISTRY_OPERATION_TIMEOUT);
        assert!(3 * REGISTRY_OPERATION_TIMEOUT + wharf_saga::limits::LEASE_MARGIN < wharf_saga::limits::LEASE);
    }

    #[tokio::test]
    async fn an_emulator_is_asked_instead_of_aws() {
        let clients = Clients::new(ClientOptions::emulator("http://127.0.0.1:4566"));
        let config = clients.config().await;
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:4566"));
        assert_eq!(config.region().map(Region::as_ref), Some("us-east-1"));
        assert!(!clients.ecs.initialized(), "what is not asked for is not made");
    }

    #[test]
    fn credentials_do_not_show() {
        let shown = format!("{:?}", ClientOptions::emulator("http://127.0.0.1:1"));
        assert!(!shown.contains("Credentials"), "{shown}");
    }
}
