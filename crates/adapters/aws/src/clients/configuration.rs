//! Where the clients' configuration comes from: on a machine everything that the AWS command line looks at, in a function its environment alone. No
//! client is made here.

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider,
    identity::IdentityCache, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{SharedHttpClient, http_client_fn};
use aws_types::{
    origin::Origin,
    service_config::{LoadServiceConfig, ServiceConfigKey},
};
use futures::{FutureExt, future::BoxFuture};

use super::{ClientOptions, Surroundings};

/// A function, so that what is not named is not linked: the chain of credentials of a machine is a client of STS and an HTTP client for each service of
/// metadata.
pub(super) type Load = for<'a> fn(&'a ClientOptions) -> BoxFuture<'a, SdkConfig>;

/// The environment, the profile, the machine's role, in the order of the AWS command line.
pub(super) fn of_machine(options: &ClientOptions) -> BoxFuture<'_, SdkConfig> {
    let mut loader: ConfigLoader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .timeout_config(timeouts(options))
        .retry_config(retries(options));
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(credentials) = &options.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    loader.load().boxed()
}

/// What Lambda puts into the environment: the region and the role's credentials, which are those of the process as long as it lives; and the addresses
/// that somebody set there.
pub(super) fn of_function(options: &ClientOptions) -> BoxFuture<'_, SdkConfig> {
    std::future::ready(from(options, Environment(|name| std::env::var(name).ok()))).boxed()
}

/// Nothing but what the options say.
pub(super) fn of_nothing(options: &ClientOptions) -> BoxFuture<'_, SdkConfig> {
    std::future::ready(from(options, Environment(|_| None))).boxed()
}

fn from(options: &ClientOptions, environment: Environment) -> SdkConfig {
    let credentials = match &options.credentials {
        Some(credentials) => SharedCredentialsProvider::new(credentials.clone()),
        None => SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()),
    };
    let region = options.region.clone().or_else(|| environment.get("AWS_REGION"));
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .timeout_config(timeouts(options))
        .retry_config(retries(options))
        .identity_cache(IdentityCache::lazy().build())
        .credentials_provider(credentials)
        .region(region.map(Region::new))
        .use_fips(environment.says("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(environment.says("AWS_USE_DUALSTACK_ENDPOINT"));
    config.insert_origin("retry_config", Origin::shared_config());
    match options.surroundings.clone() {
        Some(Surroundings { connector, sleep, time }) => {
            config.set_http_client(Some(http_client_fn(move |_, _| connector.clone())));
            config.set_sleep_impl(Some(sleep));
            config.set_time_source(Some(time));
        }
        None => {
            config.set_http_client(Some(http_client()));
        }
    }
    if let Some(url) = &options.endpoint_url {
        config.insert_origin("endpoint_url", Origin::shared_config());
        config.set_endpoint_url(Some(url.clone()));
    } else if let Some(url) = environment.get("AWS_ENDPOINT_URL") {
        config.insert_origin("endpoint_url", Origin::shared_environment_variable());
        config.set_endpoint_url(Some(url));
    }
    config.service_config(environment).build()
}

/// The variables of a process.
#[derive(Clone, Copy, Debug)]
struct Environment(fn(&str) -> Option<String>);

impl Environment {
    fn get(self, name: &str) -> Option<String> {
        (self.0)(name).filter(|text| !text.is_empty())
    }

    fn says(self, name: &str) -> bool {
        self.get(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

/// A variable of one service: its name ends with that of the service, as in `AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2`.
impl LoadServiceConfig for Environment {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service: String = key
            .service_id()
            .chars()
            .map(|letter| match letter {
                letter if letter.is_ascii_alphanumeric() => letter.to_ascii_uppercase(),
                _ => '_',
            })
            .collect();
        self.get(&format!("{}_{service}", key.env()))
            .or_else(|| self.get(key.env()))
    }
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

fn timeouts(options: &ClientOptions) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(options.connect_timeout)
        .operation_attempt_timeout(options.attempt_timeout)
        .operation_timeout(options.operation_timeout)
        .build()
}

fn retries(options: &ClientOptions) -> RetryConfig {
    RetryConfig::standard().with_max_attempts(options.attempts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_service(config: &SdkConfig, service: &str) -> Option<String> {
        let key = ServiceConfigKey::builder()
            .service_id(service)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .expect("a key");
        config.service_config()?.load_config(key)
    }

    #[test]
    fn a_function_has_its_region_and_addresses_from_the_environment() {
        let environment = Environment(|name| match name {
            "AWS_REGION" => Some("us-east-2".to_owned()),
            "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:1".to_owned()),
            "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2" => Some("http://127.0.0.1:2".to_owned()),
            "AWS_USE_FIPS_ENDPOINT" => Some("True".to_owned()),
            "AWS_USE_DUALSTACK_ENDPOINT" => Some(String::new()),
            _ => None,
        });
        let config = from(&ClientOptions::on_lambda(), environment);
        assert_eq!(config.region().map(Region::as_ref), Some("us-east-2"));
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:1"));
        assert_eq!(
            of_service(&config, "Elastic Load Balancing v2").as_deref(),
            Some("http://127.0.0.1:2")
        );
        assert_eq!(of_service(&config, "SQS").as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!((config.use_fips(), config.use_dual_stack()), (Some(true), Some(false)));
        assert!(config.credentials_provider().is_some());
    }

    #[test]
    fn what_a_function_is_given_outranks_its_environment() {
        let options = ClientOptions {
            region: Some("eu-west-1".to_owned()),
            endpoint_url: Some("http://127.0.0.1:3".to_owned()),
            ..ClientOptions::on_lambda()
        };
        let config = from(&options, Environment(|_| Some("us-east-2".to_owned())));
        assert_eq!(config.region().map(Region::as_ref), Some("eu-west-1"));
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:3"));
    }

    /// Both ways lead to clients that try and wait alike.
    #[tokio::test]
    async fn a_function_waits_and_tries_as_a_machine_does() {
        let options = ClientOptions::emulator("http://127.0.0.1:4566");
        let (machine, function) = (of_machine(&options).await, of_function(&options).await);
        assert_eq!(machine.retry_config(), function.retry_config());
        assert_eq!(
            machine.timeout_config().map(TimeoutConfig::operation_timeout),
            function.timeout_config().map(TimeoutConfig::operation_timeout)
        );
        for setting in ["retry_config", "endpoint_url"] {
            assert_eq!(machine.get_origin(setting), function.get_origin(setting), "{setting}");
        }
    }
}
