//! What both binaries make of a configuration, whichever adapters they put behind it. The one adapter that is named here is the one that both have: `mail`.

pub mod mail;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{SecretSlice, SecretString};
use sha2::Sha256;
use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};
use wharf_config::{Config, Secret};
use wharf_domain::{DeploymentId, WebhookName};
use wharf_http::{Rate, SignupLimits};
use wharf_platform::databases::call::DatabaseServer;
use wharf_provisioning::{
    Addresses, Letters, Limits, Pace, ServiceLetters, Settings,
    settings::Heal,
    webhooks::{FetchSecret, HookSecrets, Receiver, Webhook},
};

/// How long the first password's link works.
const PASSWORD_LINK: Duration = Duration::from_hours(7 * 24);
/// Instances brought back at once after a restart.
const RESTORE_PARALLEL: usize = 16;
/// Losses of its host within `heal.within` after which an instance is given up for now.
const LOSSES: usize = 20;

/// The use cases' settings. `port` is the one that is listened on, where there is one; it may differ from the configured one.
#[must_use]
pub fn settings(config: &Config, deployment: DeploymentId, port: Option<u16>) -> Settings {
    settings_with(config, deployment, port, None)
}

/// The PostgreSQL server behind this URL, as one is told of it who makes databases elsewhere.
#[must_use]
pub fn database_server(config: &Config, deployment: DeploymentId, url: SecretString) -> DatabaseServer {
    let settings = &config.databases;
    DatabaseServer {
        url,
        deployment,
        tenant_scheme: settings.scheme.to_string(),
        tenant_host: settings.tenant_host.as_ref().map(ToString::to_string),
        tenant_port: settings.tenant_port,
        tenant_query: settings.tenant_query.as_ref().map(ToString::to_string),
        connection_limit: settings.connection_limit,
        statement_timeout: settings.statement_timeout,
        template: settings.template.to_string(),
        extensions: settings.extensions.iter().map(ToString::to_string).collect(),
        kept: settings.keep,
    }
}

/// Gives a secret of Secrets Manager by its name or ARN, where there is an account to ask.
pub type FetchNamed<'a> = Option<&'a dyn Fn(String) -> FetchSecret>;

/// The same, where secrets of webhooks may be kept elsewhere than in the environment.
#[must_use]
pub fn settings_with(config: &Config, deployment: DeploymentId, port: Option<u16>, fetch: FetchNamed<'_>) -> Settings {
    let listened = port.unwrap_or_else(|| config.server.listen.port());
    let tenants = config.server.url_of("tenants", listened);
    let (scheme, rest) = tenants.split_once("://tenants").unwrap_or(("http", ""));
    Settings {
        deployment,
        services: config.services.clone(),
        schedules: config.schedules.clone(),
        tenant_service: config.tenant_service.clone(),
        default_service: config.events.default_service.clone(),
        event_template: config.events.template.clone(),
        allow: config.events.allow.clone(),
        addresses: Addresses {
            public_url: config.server.public_url(listened),
            scheme: scheme.to_owned(),
            tenant_domain: config.server.tenant_domain.to_string(),
            services_host: config.server.services_host.to_string(),
            port: rest.strip_prefix(':').and_then(|port| port.parse().ok()),
        },
        max_instances: config.server.max_instances.into(),
        limits: limits(config),
        name_rest: config.names.rest,
        reserved_names: config.names.reserved.iter().cloned().collect(),
        excluded_ports: config.ports.excluded.iter().copied().chain(port).collect(),
        port_quarantine: config.ports.quarantine,
        direct_quarantine: config.ports.direct_quarantine,
        heal: Heal {
            limit: config.heal.limit as usize,
            losses: LOSSES,
            within: config.heal.within,
            backoff_first: config.heal.backoff_first,
            backoff_longest: config.heal.backoff_max,
        },
        mail_from: config.mail.from.to_string(),
        letters: letters(config),
        webhooks: webhooks(config, fetch),
        notify: notify(config, fetch),
        password_link: PASSWORD_LINK,
        restore_parallel: RESTORE_PARALLEL,
        pace: Pace {
            capacity_wait: config.platform.capacity_wait,
            database_wait: config.databases.wait,
            ..Pace::default()
        },
    }
}

/// What may be given away at once.
#[must_use]
pub fn limits(config: &Config) -> Limits {
    let Config { limits, .. } = config;
    // What waits has its room set aside: who claims some of it books that, and as much waits again.
    let waiting = config.waiting();
    Limits {
        starts_at_once: limits.starts_at_once.map(|most| most as usize),
        memory: limits.memory.map(|memory| memory.saturating_sub(waiting.memory)),
        cpu_units: limits
            .cpu_units
            .map(|units| u64::from(units).saturating_sub(waiting.cpu_units)),
        instances_per_email: limits.instances_per_email,
    }
}

fn letters(config: &Config) -> Letters {
    let services = config.service_mails.iter().map(|(name, mail)| {
        let letters = ServiceLetters {
            from: mail.from.as_ref().map(ToString::to_string),
            templates: mail.templates.clone(),
        };
        (name.clone(), letters)
    });
    Letters {
        templates: config.mail.templates.clone(),
        services: services.collect(),
    }
}

/// The environment's, or else the one that is kept. The configuration asks for one of the two.
fn secrets(given: Option<&Secret>, named: Option<&String>, fetch: FetchNamed<'_>) -> HookSecrets {
    match (given, named, fetch) {
        (None, Some(name), Some(fetch)) => HookSecrets::Kept(fetch(name.clone())),
        (given, ..) => HookSecrets::Given(SecretString::from(given.map_or("", Secret::expose))),
    }
}

fn webhooks(config: &Config, fetch: FetchNamed<'_>) -> BTreeMap<WebhookName, Webhook> {
    let each = config.webhooks.iter().map(|(name, webhook)| {
        let taken = Webhook {
            rules: webhook.rules.clone(),
            secrets: secrets(webhook.secret.as_ref(), webhook.aws_secret.as_ref(), fetch),
        };
        (name.clone(), taken)
    });
    each.collect()
}

fn notify(config: &Config, fetch: FetchNamed<'_>) -> BTreeMap<WebhookName, Receiver> {
    let each = config.notify.iter().map(|(name, notify)| {
        let receiver = Receiver {
            url: notify.url.to_string(),
            secrets: secrets(notify.secret.as_ref(), notify.aws_secret.as_ref(), fetch),
            events: notify.events.clone(),
        };
        (name.clone(), receiver)
    });
    each.collect()
}

/// Who may sign up, and how often.
#[must_use]
pub fn signup_limits(config: &Config) -> SignupLimits {
    SignupLimits {
        per_address: Rate {
            count: config.signup.rate.count,
            per: config.signup.rate.per,
        },
        open: config.signup.open,
    }
}

/// Console sessions are signed with a key of their own, derived from the deployment's.
#[must_use]
pub fn session_key(key: &[u8; 32]) -> SecretSlice<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(b"console sessions");
    SecretSlice::from(mac.finalize().into_bytes().to_vec())
}

/// A share of an allowance (from 0.01 to 1), as one of how many.
#[must_use]
pub fn one_of(share: f64) -> NonZeroU32 {
    // From 1 to 100: the configuration says so.
    NonZeroU32::new((1.0 / share).ceil() as u32).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use wharf_config::{Machine, Overrides};

    fn config(text: &str) -> Config {
        let machine = Machine {
            ip_local_port_range: None,
            ..Machine::default()
        };
        Config::load(
            Some((Path::new("/etc/wharf.toml"), text)),
            &BTreeMap::new(),
            &Overrides::default(),
            machine,
        )
        .expect("sound")
    }

    #[test]
    fn links_have_the_port_that_is_listened_on() {
        let config = config("[server]\nlisten = \"127.0.0.1:0\"\n");
        let settings = settings(&config, DeploymentId::new([1; 10]), Some(4711));
        assert_eq!(settings.addresses.public_url, "http://localhost:4711");
        assert_eq!(settings.addresses.tenant_url("acme"), "http://acme.localhost:4711/");
        assert!(settings.excluded_ports.contains(&4711));
    }

    #[test]
    fn what_waits_has_its_room_set_aside() {
        let text = "[platform]\nkind = \"docker\"\n[limits]\nmemory = \"1GiB\"\n[services.a]\nwarm = 2\n\
                    docker = { image = \"a\", container_port = 80, memory = \"256MiB\" }\n";
        assert_eq!(limits(&config(text)).memory, Some(512 << 20));
    }

    #[test]
    fn a_share_is_one_of_at_least_so_many() {
        assert_eq!([1.0, 0.5, 0.3, 0.01].map(|share| one_of(share).get()), [1, 2, 4, 100]);
    }

    #[test]
    fn sessions_are_not_signed_with_the_key_of_the_links() {
        use secrecy::ExposeSecret;
        let key = [7; 32];
        assert_ne!(session_key(&key).expose_secret(), key);
        assert_eq!(session_key(&key).expose_secret(), session_key(&key).expose_secret());
    }
}
