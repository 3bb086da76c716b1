//! The keys of a service: `services.NAME.…`, with a section for each platform.

use std::{path::PathBuf, time::Duration};
use wharf_domain::service::{AfterTrial, SleepBy};

use crate::{
    keys::{docker, ecs, mail},
    table::{
        Key,
        Node::{self, Leaf, Section as Sub},
        Presence::{self, Always, Named, Optional},
        Section, Variable,
    },
    values::{ByteSize, Environment, Header, MIB, PathPrefix, PortKind, PortRange, RouteKind, UrlPath},
};

const HOUR: Duration = Duration::from_hours(1);
const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_hours(365 * 24);
const TEN_MILLISECONDS: Duration = Duration::from_millis(10);

pub(crate) static TENANT: Key<bool> = Key::new(
    "tenant",
    || false,
    "One instance for each tenant. Without it, each start event starts an instance that belongs to nobody.",
);
pub(crate) static SINGLETON: Key<bool> = Key::new(
    "singleton",
    || false,
    "A start returns the instance that runs, rather than to start one more. Tenants' services have one for each tenant anyhow.",
);
pub(crate) static DATABASE: Key<bool> = Key::new(
    "database",
    || false,
    "A database for each instance, given to it as `DATABASE_URL` and `DB_NAME`.",
);
pub(crate) static START_TIMEOUT: Key<Duration> = Key::new(
    "start_timeout",
    || Duration::from_mins(5),
    "How long a task may take from its start to its first good answer.",
)
.between(&[TEN_MILLISECONDS, Duration::from_hours(24)])
.variables(&[Variable::below("TASK_WAIT_TIMEOUT").unit("s")]);
pub(crate) static STOP_TIMEOUT: Key<Duration> = Key::new(
    "stop_timeout",
    || Duration::from_secs(10),
    "How long a task may take to end after it was asked to, before it is made to.",
)
.between(&[TEN_MILLISECONDS, HOUR]);
pub(crate) static DRAIN_TIMEOUT: Key<Duration> = Key::new(
    "drain_timeout",
    || Duration::from_secs(30),
    "How long requests under way may take when the route is withdrawn, before the task is stopped.",
)
.between(&[Duration::ZERO, HOUR]);
pub(crate) static WARM: Key<u32> = Key::new(
    "warm",
    || 0,
    "How many containers of the service are started ahead, before it is known whose they will be; a start claims one, and is spared most of its time. Only on \
     Docker, and only for applications that can take their variables late: such a container is given `WHARF_CONFIGURATION`, the path of a file that it has \
     to wait for (docs/docker.md).",
)
.between(&[0, 100]);
pub(crate) static SLEEP_AFTER: Key<Option<Duration>> = Key::new(
    "sleep_after",
    || None,
    "An instance that nobody has used for so long goes to sleep, and the next request wakes it. A request that is under way and an open \
     WebSocket are a use. It needs a route through Wharf's own load balancer.",
)
.between(&[Some(SECOND), Some(YEAR)])
.default_note("it never sleeps");
pub(crate) static SLEEP: Key<SleepBy> = Key::new(
    "sleep",
    || SleepBy::Stop,
    "`stop`: what sleeps has no task, its memory is free, and to wake takes as long as a start. `pause`: its task stands still and keeps its \
     memory, and to wake takes milliseconds.",
);
pub(crate) static IDENTITY_HEADER: Key<Option<Header>> = Key::new(
    "identity_header",
    || None,
    "The response header in which the service sends `WHARF_INSTANCE_ID` back. With it, only an answer of the instance itself \
     counts as healthy; without it, what the platform can prove.",
);
pub(crate) static TTL: Key<Option<Duration>> = Key::new(
    "ttl",
    || None,
    "How long an instance is there at all, from the first time that it is ready: a trial. Instances that exist keep what was in force when they were \
     made; `wharf extend` gives one another end, or none.",
)
.between(&[Some(Duration::from_secs(1)), Some(Duration::from_hours(10 * 365 * 24))])
.default_note("until somebody ends it");
pub(crate) static TTL_NOTICE: Key<Option<Duration>> = Key::new(
    "ttl_notice",
    || None,
    "How long before that its tenant is told by mail; `\"0s\"` for never. However late the mail is written, so much time is left after it.",
)
.between(&[Some(Duration::ZERO), Some(YEAR)])
.default_note("`\"3d\"`, or half of `ttl` where that is shorter");
pub(crate) static TTL_THEN: Key<AfterTrial> = Key::new(
    "ttl_then",
    || AfterTrial::End,
    "What comes then. `end`: it is ended for good, with its data. `stop`: it is stopped, and name, database and secrets are kept.",
);
pub(crate) static ENVIRONMENT: Key<Environment> = Key::new(
    "environment",
    Environment::default,
    "Variables that each task is given, beside Wharf's own. `{port}`, `{instance_id}`, and for tenants `{subdomain}` and \
     `{company_name}`, are filled in.",
)
.file_only();

pub(crate) static PORT_KIND: Key<PortKind> = Key::new(
    "kind",
    || PortKind::Dynamic,
    "`dynamic`: any free port of `platform.dynamic_ports`. `static`: a port of `range` that the instance keeps for its life, \
     known as soon as it is asked for.",
);
pub(crate) static PORT_RANGE: Key<PortRange> = Key::new(
    "range",
    || PortRange::STATIC,
    "The ports of which each instance has one.",
)
.when("kind", &["static"]);

pub(crate) static ROUTE_KIND: Key<Option<RouteKind>> = Key::new(
    "kind",
    || None,
    "`host`: `<subdomain>.<tenant_domain>`, for tenants. `path`: everything below `prefix` of `services_host`, for services \
     without tenants. `direct`: no load balancer, the address is `url`.",
)
.default_note("`host` for tenants, otherwise `path`");
pub(crate) static ROUTE_PREFIX: Key<Option<PathPrefix>> = Key::new(
    "prefix",
    || None,
    "The path below which requests go to the service; the longest prefix that fits wins. It is not stripped.",
)
.default_note("`/NAME`")
.when("kind", &["path"]);
pub(crate) static ROUTE_URL: Key<Option<String>> = Key::new(
    "url",
    || None,
    "The address of an instance; `{ip}`, `{port}` and, for tenants, `{subdomain}` are filled in.",
)
.default_note("`\"http://{ip}:{port}\"`")
.when("kind", &["direct"]);

pub(crate) static HEALTH_PATH: Key<UrlPath> = Key::new(
    "path",
    || UrlPath("/".into()),
    "The path that is asked for; a whole answer of 200 to 399 is good.",
);
pub(crate) static HEALTH_INTERVAL: Key<Duration> = Key::new(
    "interval",
    || Duration::from_secs(1),
    "The pause between two checks of an instance that is ready. Behind Wharf's own load balancer one that is well and that nobody uses is checked \
     less often by and by: after eight times as long, or eight seconds if that is sooner. A request that goes wrong has it checked at once.",
)
.between(&[TEN_MILLISECONDS, HOUR]);
pub(crate) static HEALTH_TIMEOUT: Key<Option<Duration>> = Key::new("timeout", || None, "How long one answer may take.")
    .between(&[Some(TEN_MILLISECONDS), Some(HOUR)])
    .default_note("`\"2s\"`, or `start_timeout` where that is shorter");
pub(crate) static HEALTH_HEALTHY: Key<u32> =
    Key::new("healthy", || 1, "Good answers in a row until an instance is healthy.").between(&[1, 100]);
pub(crate) static HEALTH_UNHEALTHY: Key<u32> =
    Key::new("unhealthy", || 3, "Bad answers in a row until it is not.").between(&[1, 100]);

/// The keys of the groups that a service has, and that a platform's section may have in their place.
static PORT_KEYS: [Node; 2] = [Leaf(&PORT_KIND), Leaf(&PORT_RANGE)];
static ROUTE_KEYS: [Node; 3] = [Leaf(&ROUTE_KIND), Leaf(&ROUTE_PREFIX), Leaf(&ROUTE_URL)];
static HEALTH_KEYS: [Node; 5] = [
    Leaf(&HEALTH_PATH),
    Leaf(&HEALTH_INTERVAL),
    Leaf(&HEALTH_TIMEOUT),
    Leaf(&HEALTH_HEALTHY),
    Leaf(&HEALTH_UNHEALTHY),
];

const fn port(presence: Presence) -> Section {
    Section {
        name: "port",
        doc: "Where a task's port comes from.",
        presence,
        children: &PORT_KEYS,
    }
}

const fn route(presence: Presence) -> Section {
    Section {
        name: "route",
        doc: "What brings a request to an instance.",
        presence,
        children: &ROUTE_KEYS,
    }
}

const fn health(presence: Presence) -> Section {
    Section {
        name: "health",
        doc: "How an instance proves that it answers.",
        presence,
        children: &HEALTH_KEYS,
    }
}

pub(crate) static PORT: Section = port(Always);
pub(crate) static ROUTE: Section = route(Always);
pub(crate) static HEALTH: Section = health(Always);
pub(super) static OWN_PORT: Section = port(Optional);
pub(super) static OWN_ROUTE: Section = route(Optional);
pub(super) static OWN_HEALTH: Section = health(Optional);

pub(crate) static COMMAND: Key<Vec<String>> = Key::new(
    "command",
    Vec::new,
    "The program and its arguments; no shell is between. `{port}`, `{instance_id}` and, for tenants, `{subdomain}` are filled in \
     within the arguments. A program with a slash in it counts from the file's folder, one without is looked for in `PATH`, and \
     `wharf` is Wharf itself. No secret belongs here: everybody on the machine can read a command line.",
)
.required("[\"./program\", \"--port\", \"{port}\"]")
.file_only();
pub(crate) static MEMORY: Key<Option<ByteSize>> = Key::new(
    "memory",
    || None,
    "How much memory the task and all its children may hold together. Over it, the task is stopped, as if it had crashed.",
)
.between(&[Some(ByteSize(MIB)), Some(ByteSize(1024 * 1024 * MIB))])
.default_note("no limit");
pub(crate) static DIRECTORY: Key<Option<PathBuf>> = Key::new(
    "directory",
    || None,
    "Where the task runs. A relative path counts from the file's folder.",
)
.default_note("a folder of the instance's own, in `data_dir`");

pub(crate) static PROCESS: Section = Section {
    name: "process",
    doc: "The service as a child process. What it says of `port`, `route` and `health` stands, each as a whole, in place of \
          what the service says.",
    presence: Optional,
    children: &[
        Leaf(&COMMAND),
        Leaf(&MEMORY),
        Leaf(&DIRECTORY),
        Sub(&OWN_PORT),
        Sub(&OWN_ROUTE),
        Sub(&OWN_HEALTH),
    ],
};

pub(crate) static SERVICES: Section = Section {
    name: "services",
    doc: "The services, each below its name. Of its platforms' sections, the one of `platform.kind` is in force.",
    presence: Named,
    children: &[
        Leaf(&TENANT),
        Leaf(&SINGLETON),
        Leaf(&DATABASE),
        Leaf(&START_TIMEOUT),
        Leaf(&STOP_TIMEOUT),
        Leaf(&DRAIN_TIMEOUT),
        Leaf(&WARM),
        Leaf(&SLEEP_AFTER),
        Leaf(&SLEEP),
        Leaf(&IDENTITY_HEADER),
        Leaf(&TTL),
        Leaf(&TTL_NOTICE),
        Leaf(&TTL_THEN),
        Leaf(&ENVIRONMENT),
        Sub(&PORT),
        Sub(&ROUTE),
        Sub(&HEALTH),
        Sub(&mail::SERVICE_MAIL),
        Sub(&PROCESS),
        Sub(&docker::DOCKER),
        Sub(&ecs::ECS),
    ],
};
