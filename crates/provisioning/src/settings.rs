//! What the use cases are configured with: values, already checked. Where they come from is the configuration's business.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use wharf_domain::{
    Code, DeploymentId, Failure, Instance, Schedule, Service, ServiceName, WebhookName, event::Allow,
    service::RouteRule,
};
use wharf_platform::RouteKey;

use crate::{
    gate::Limits,
    mail::Letters,
    webhooks::{Receiver, Webhook},
};

/// One deployment's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    pub deployment: DeploymentId,
    pub services: BTreeMap<ServiceName, Service>,
    /// What starts and stops by the clock.
    pub schedules: Vec<Schedule>,
    /// The service that a sign-up gets unless it names one.
    pub tenant_service: Option<ServiceName>,
    /// The service that a start event means that names none.
    pub default_service: Option<ServiceName>,
    /// What a start event is laid over that means no service, but says itself what to run.
    pub event_template: Option<Service>,
    /// What start events may name although it is not configured.
    pub allow: Allow,
    pub addresses: Addresses,
    /// Live instances, at the most.
    pub max_instances: u64,
    /// What of the machine is given away at once, and how many instances one e-mail address may have.
    pub limits: Limits,
    /// How long a name that was Ready rests before somebody else may have it.
    pub name_rest: Duration,
    /// Names that tenants cannot have, beside the built-in ones.
    pub reserved_names: Vec<String>,
    /// Ports that are never leased, though they may be in a range: those that Wharf itself listens on.
    pub excluded_ports: BTreeSet<u16>,
    /// How long a port or an endpoint rests after its task has stopped.
    pub port_quarantine: Duration,
    /// How long a port rests that stood in a direct URL.
    pub direct_quarantine: Duration,
    pub heal: Heal,
    /// `Name <address>`.
    pub mail_from: String,
    /// What mails say, where it is not what Wharf says by itself.
    pub letters: Letters,
    /// Who may send webhooks.
    pub webhooks: BTreeMap<WebhookName, Webhook>,
    /// Who is told of instances.
    pub notify: BTreeMap<WebhookName, Receiver>,
    /// How long the first password's link works.
    pub password_link: Duration,
    /// Instances that are brought back at once after a restart.
    pub restore_parallel: usize,
    pub pace: Pace,
}

/// How often is looked at what may not tell by itself, and how long something is waited for that is nobody's fault.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The longest pause between two looks at a task that is on its way: the back-stop of the platform's events.
    pub look_at_tasks: Duration,
    /// No pause between two looks is shorter, at a task or at a route: where each look costs an invocation, and events tell.
    pub shortest_look: Duration,
    /// Others write the registry too, and do not tell: whoever waits for news looks so often. `None` where this process alone writes.
    pub look_for_news: Option<Duration>,
    /// No answer waits longer than this for what it is about to tell: whoever hangs on to it gives up then. `None` where nobody does.
    pub answer_within: Option<Duration>,
    /// How long a task waits for room, and for its turn.
    pub capacity_wait: Duration,
    /// The longest pause between two requests for room, or for a turn.
    pub capacity_retry: Duration,
    /// How long a database server that does not answer is waited for.
    pub database_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            look_at_tasks: Duration::from_secs(5),
            shortest_look: Duration::from_millis(1),
            look_for_news: None,
            answer_within: None,
            capacity_wait: Duration::from_mins(15),
            capacity_retry: Duration::from_secs(30),
            database_wait: Duration::from_mins(1),
        }
    }
}

/// How often a task may die before its instance is taken out of service.
#[derive(Clone, Debug)]
pub struct Heal {
    /// More crashes than this within `within`: Down.
    pub limit: usize,
    /// More losses of its host than this within `within`: Down too.
    pub losses: usize,
    pub within: Duration,
    /// The pause before the first new attempt; each later one is twice as long.
    pub backoff_first: Duration,
    pub backoff_longest: Duration,
}

/// Where everything is found. Links are made from these, never from a request's `Host`.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Sign-up, console and API, without a slash at the end: `http://localhost:8080`.
    pub public_url: String,
    /// `http` or `https`, of tenants' and services' URLs.
    pub scheme: String,
    pub tenant_domain: String,
    pub services_host: String,
    /// The port in tenants' and services' URLs; `None` where it is the scheme's own.
    pub port: Option<u16>,
}

impl Addresses {
    fn origin(&self, host: &str) -> String {
        match self.port {
            Some(port) => format!("{}://{host}:{port}", self.scheme),
            None => format!("{}://{host}", self.scheme),
        }
    }

    /// The address that a tenant of this name has, where tenants are reached by host.
    #[must_use]
    pub fn tenant_url(&self, subdomain: &str) -> String {
        format!("{}/", self.origin(&self.tenant_host(subdomain)))
    }

    /// A tenant's host name.
    #[must_use]
    pub fn tenant_host(&self, subdomain: &str) -> String {
        format!("{subdomain}.{}", self.tenant_domain)
    }
}

impl Settings {
    pub fn service(&self, name: &ServiceName) -> Result<&Service, Failure> {
        self.services.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.services.keys().map(ServiceName::as_str).collect();
            Failure::new(
                Code::ServiceUnknown,
                format!("no service is called {:?}", name.as_str()),
            )
            .hint(format!("the configured services are {}", known.join(", ")))
        })
    }

    /// What the load balancer knows an instance by; `None` where it has a direct URL.
    #[must_use]
    pub fn route_key(&self, instance: &Instance) -> Option<RouteKey> {
        match (&instance.service.route, &instance.tenant) {
            (RouteRule::Host, Some(tenant)) => Some(RouteKey::Host {
                host: self.addresses.tenant_host(tenant.subdomain.as_str()),
            }),
            (RouteRule::Path { prefix }, _) => Some(RouteKey::Path { prefix: prefix.clone() }),
            (RouteRule::TargetGroups { arns, rule, .. }, _) => Some(RouteKey::TargetGroups {
                arns: arns.clone(),
                rule: rule.clone(),
            }),
            (RouteRule::Host | RouteRule::Direct { .. }, _) => None,
        }
    }

    /// The instance's URL, as soon as it can be told.
    #[must_use]
    pub fn url(&self, instance: &Instance) -> Option<String> {
        match &instance.service.route {
            RouteRule::Host => {
                let tenant = instance.tenant.as_ref()?;
                Some(self.addresses.tenant_url(tenant.subdomain.as_str()))
            }
            RouteRule::Path { prefix } => Some(format!(
                "{}{prefix}",
                self.addresses.origin(&self.addresses.services_host)
            )),
            // Where nobody says how the load balancer is reached, the task's own address is all that can be told.
            RouteRule::TargetGroups { url, .. } => url.clone().or_else(|| {
                let endpoint = instance.held.endpoint.as_ref()?;
                let address = std::net::SocketAddr::new(endpoint.ip()?, endpoint.port());
                Some(format!("http://{address}"))
            }),
            RouteRule::Direct { url } => {
                let endpoint = instance.held.endpoint.as_ref();
                let port = endpoint.map(wharf_domain::Endpoint::port).or(instance.held.port);
                let mut text = url.clone();
                for (placeholder, value) in [
                    (
                        "{subdomain}",
                        instance.tenant.as_ref().map(|tenant| tenant.subdomain.to_string()),
                    ),
                    (
                        "{ip}",
                        endpoint.and_then(wharf_domain::Endpoint::ip).map(|ip| ip.to_string()),
                    ),
                    ("{port}", port.map(|port| port.to_string())),
                ] {
                    if text.contains(placeholder) {
                        text = text.replace(placeholder, &value?);
                    }
                }
                Some(text)
            }
        }
    }

    /// The pause before the attempt after this many crashes.
    #[must_use]
    pub fn backoff(&self, crashes: usize) -> Duration {
        let doublings = u32::try_from(crashes.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
        self.heal
            .backoff_first
            .saturating_mul(1 << doublings)
            .min(self.heal.backoff_longest)
    }
}
