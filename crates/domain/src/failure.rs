//! Failures: a stable code, whose fault it is, whether trying again can help, and what to do.
//!
//! The table below is the index that `docs/errors/` follows: one page a code, and a test that none is missing.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Whose fault a failure is, which decides between the 4xx and the 5xx answers and who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The request cannot be carried out as it stands: mend it, then send it again.
    Caller,
    /// The service's own program or image: its author mends it.
    Service,
    /// The configuration or the machine: the operator mends it.
    Operator,
    /// Wharf itself.
    Wharf,
}

macro_rules! codes {
    ($($variant:ident = $text:literal, $fault:ident, $retry:literal, $summary:literal;)*) => {
        /// The stable code of a failure. A code is never renamed and never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $(#[doc = $summary] #[serde(rename = $text)] $variant,)*
        }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code as it stands in answers, logs and `docs/errors/`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            #[must_use]
            pub const fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            /// Whether the same thing can succeed later without anybody mending anything.
            #[must_use]
            pub const fn is_passing(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }

            /// Whether all of a platform is away, which is waited out rather than counted.
            #[must_use]
            pub const fn is_outage(self) -> bool {
                matches!(self, Self::DockerUnavailable)
            }

            /// One line: what it means.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)* }
            }
        }
    };
}

codes! {
    NameInvalid = "name.invalid", Caller, false, "the name is not one that a tenant can have";
    NameReserved = "name.reserved", Caller, false, "the name belongs to the operator";
    NameTaken = "name.taken", Caller, false, "another instance has the name";
    NameResting = "name.resting", Caller, false, "the name belonged to somebody a short while ago, and rests";
    EmailInvalid = "email.invalid", Caller, false, "the e-mail address is not one";
    CompanyInvalid = "company.invalid", Caller, false, "the company name cannot be used";
    RequestInvalid = "request.invalid", Caller, false, "the request has not the form that is documented";
    RequestTooLarge = "request.too_large", Caller, false, "the request is larger than allowed";
    RequestNotFound = "request.not_found", Caller, false, "nothing is at this address";
    RequestMethod = "request.method", Caller, false, "this address does not take this method";
    KeyReused = "key.reused", Caller, false, "the idempotency key was used with other fields";
    LimitRate = "limit.rate", Caller, true, "too many requests from one address";
    LimitInstances = "limit.instances", Operator, true, "the deployment has as many instances as it may have";
    LimitEmail = "limit.email", Caller, false, "one e-mail address has as many instances as it may have";
    LimitQueue = "limit.queue", Operator, true, "its turn to be started did not come in time";
    LimitBooking = "limit.booking", Operator, false, "one task books more than all together may";
    AuthMissing = "auth.missing", Caller, false, "this needs the admin token";
    AuthDenied = "auth.denied", Caller, false, "the token is not the right one";
    OriginRefused = "origin.refused", Caller, false, "a change was asked for from a page that is not Wharf's own";
    HostUnknown = "host.unknown", Caller, false, "no host of this name is served here";
    EventInvalid = "event.invalid", Caller, false, "the event has not the form that is documented";
    EventSchema = "event.schema", Caller, false, "the event is of a later schema than this version knows";
    EventNotAllowed = "event.not_allowed", Caller, false, "the event names something that is not configured";
    ServiceUnknown = "service.unknown", Caller, false, "no service of this name is configured";
    ServiceTenant = "service.tenant", Caller, false, "the service is for tenants, or is not, and the request is for the other kind";
    InstanceUnknown = "instance.unknown", Caller, false, "there is no such instance";
    InstanceState = "instance.state", Caller, false, "the instance is in a state in which this cannot be done";
    InstanceCancelled = "instance.cancelled", Caller, false, "the instance was stopped while it was being started";
    InstanceExpired = "instance.expired", Caller, false, "the instance's trial is over";
    InstanceAsleep = "instance.asleep", Caller, true, "the instance slept, for nobody used it";
    InstanceAbandoned = "instance.abandoned", Operator, false, "an operator gave up what could not be undone";
    PasswordShown = "password.shown", Caller, false, "the first password was shown already, or its link is too old";
    TaskCommand = "task.command", Service, false, "the command cannot be started";
    TaskCrashed = "task.crashed", Service, false, "the task ended by itself";
    TaskMemory = "task.memory", Service, false, "the task used more memory than it may";
    TaskTimeout = "task.timeout", Service, false, "the task did not run in time";
    TaskCapacity = "task.capacity", Operator, true, "there is no room for the task now";
    TaskImage = "task.image", Service, false, "the task's image cannot be pulled";
    TaskPlacement = "task.placement", Operator, false, "the task cannot be placed anywhere as it is configured";
    TaskStopTimeout = "task.stop_timeout", Operator, true, "the task could not be stopped";
    TaskPause = "task.pause", Operator, false, "the task cannot be paused, or not be woken";
    TaskLost = "task.lost", Operator, true, "the machine or the process that ran the task went away";
    RouteUnhealthy = "route.unhealthy", Service, false, "the task runs and does not answer its health check";
    RouteIdentity = "route.identity", Service, false, "something else than this instance's own task answers at its address";
    RouteTaken = "route.taken", Operator, false, "another instance holds the route";
    RouteMismatch = "route.mismatch", Operator, false, "the load balancer cannot take this task as a target";
    RouteUnready = "route.unready", Operator, true, "the load balancer does not take the task or its rule yet";
    PortExhausted = "port.exhausted", Operator, true, "every port of the range is leased or resting";
    PortBusy = "port.busy", Operator, true, "another program listens on the port";
    DatabaseFailed = "database.failed", Operator, true, "the tenant's database could not be made or removed";
    SecretsFailed = "secrets.failed", Operator, true, "the instance's secrets could not be kept or removed";
    DatabaseUnreachable = "database.unreachable", Operator, true, "the database server does not answer";
    DatabaseConnections = "database.connections", Operator, true, "the database server has no connection left";
    DatabaseDenied = "database.denied", Operator, false, "the database server does not let Wharf do what it has to";
    DatabaseLost = "database.lost", Operator, false, "the database of an instance that was ready is gone";
    SecretsLost = "secrets.lost", Operator, false, "the secrets of an instance that was ready are gone";
    DatabaseUnsupported = "database.unsupported", Operator, false, "this platform has no databases for tenants";
    AwsDenied = "aws.denied", Operator, false, "AWS does not allow a call";
    AwsThrottled = "aws.throttled", Operator, true, "AWS takes no more calls of this kind now";
    AwsUnavailable = "aws.unavailable", Operator, true, "AWS does not answer, or answers with a fault of its own";
    AwsRefused = "aws.refused", Operator, false, "AWS refuses a request as it stands";
    DockerUnavailable = "docker.unavailable", Operator, true, "Docker does not answer";
    DockerDenied = "docker.denied", Operator, false, "this user may not use Docker's socket";
    DockerOutdated = "docker.outdated", Operator, false, "Docker is too old for this version of Wharf";
    DockerRefused = "docker.refused", Operator, false, "Docker refuses a request as it stands";
    DockerDisk = "docker.disk", Operator, true, "Docker's disk is full";
    MailFailed = "mail.failed", Operator, true, "the mail could not be handed over";
    MailUnknown = "mail.unknown", Caller, false, "there is no such mail";
    WebhookUnknown = "webhook.unknown", Caller, false, "no webhook of this name is configured";
    WebhookSignature = "webhook.signature", Caller, false, "the webhook is not signed by its secret";
    WebhookStale = "webhook.stale", Caller, false, "the webhook's time is too far from this machine's";
    WebhookInvalid = "webhook.invalid", Operator, false, "the webhook does not say what it takes to act on it";
    ChoiceUsed = "choice.used", Caller, false, "a name was chosen by this link already, or it is too old";
    ResourceForeign = "resource.foreign", Operator, false, "something that is not this instance's own is in its place";
    StoreUnavailable = "store.unavailable", Operator, true, "the registry cannot be read or written";
    StoreFull = "store.full", Operator, true, "the disk of the registry is full";
    StoreDamaged = "store.damaged", Operator, false, "the registry's file is damaged";
    StoreNewer = "store.newer", Operator, false, "the registry was written by a later version";
    BackupExists = "backup.exists", Caller, false, "a file is in the place where the backup is to be";
    BackupFailed = "backup.failed", Operator, true, "the backup cannot be written";
    BackupUnusable = "backup.unusable", Caller, false, "the file is no backup that can be restored";
    BackupForeign = "backup.foreign", Caller, false, "the backup is another deployment's";
    BackupUnsupported = "backup.unsupported", Caller, false, "this deployment's registry is not a file";
    StepTimeout = "step.timeout", Operator, true, "a step did not return in time";
    StepUnknown = "step.unknown", Operator, false, "the saga has a step that this version does not have";
    ConfigInvalid = "config.invalid", Operator, false, "the configuration has errors";
    DataDirectory = "data.directory", Operator, false, "the data directory cannot be used";
    ServerRunning = "server.running", Operator, false, "another server runs on this data directory";
    ServerUnreachable = "server.unreachable", Operator, true, "no server answers at this address";
    ListenBusy = "listen.busy", Operator, false, "the address to listen on is taken";
    ListenRefused = "listen.refused", Operator, false, "this may not listen off loopback";
    DeployFailed = "deploy.failed", Operator, false, "the function could not be built, or the stack not deployed";
    Internal = "internal", Wharf, false, "a fault of Wharf's own";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong, in words for the one who has to do something about it.
///
/// It may be shown to anybody who may see the instance: no secret is ever put into one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub code: Code,
    /// A lower-case fragment that says what happened, with the values that matter.
    pub message: String,
    /// What to do now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Evidence of several lines for the operator, such as the task's last output. Never shown to visitors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Failure {
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            detail: None,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// As a visitor may see it.
    #[must_use]
    pub fn without_detail(mut self) -> Self {
        self.detail = None;
        self
    }

    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message).hint("this is a defect of Wharf: report it with the log lines around it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct_and_read_back() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            let json = serde_json::to_string(code).expect("a code is a string");
            assert_eq!(json, format!("{:?}", code.as_str()));
            assert_eq!(serde_json::from_str::<Code>(&json).expect("reads back"), *code);
        }
    }

    #[test]
    fn every_code_has_its_page() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
        let pages: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("docs/errors")
            .filter_map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_str()?
                    .strip_suffix(".md")
                    .map(str::to_owned)
            })
            .filter(|name| name != "README")
            .collect();
        let codes: BTreeSet<String> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
        assert_eq!(pages, codes, "left: pages, right: codes");
    }
}
