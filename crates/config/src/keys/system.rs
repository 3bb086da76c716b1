//! The keys of Wharf itself. Those of services are in `service`.

use ipnet::IpNet;
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use wharf_domain::{ServiceName, event::Pattern};

use crate::{
    table::{
        Key,
        Node::{Leaf, Section as Sub},
        Presence::Always,
        Section, Variable,
    },
    values::{
        ByteSize, HostName, Interval, KIB, Label, LogFormat, LogLevel, MIB, PlatformKind, PortRange, PublicUrl, Rate,
        RepairApply,
    },
};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);

pub(crate) static LISTEN: Key<SocketAddr> = Key::new(
    "listen",
    || SocketAddr::from(([127, 0, 0, 1], 8080)),
    "The address that Wharf listens on, for the console, the services and all tenants. Port 0 takes any free one. An address \
     that other machines reach needs `trust_tenants` on the platform `process`.",
)
.flag("--listen");
pub(crate) static CONSOLE_HOST: Key<HostName> = Key::new(
    "console_host",
    || HostName::known("localhost"),
    "The host of the sign-up page, the console and the API. The bare address is the console too.",
);
pub(crate) static SERVICES_HOST: Key<HostName> = Key::new(
    "services_host",
    || HostName::known("services.localhost"),
    "The host of the services that have a path route.",
);
pub(crate) static TENANT_DOMAIN: Key<HostName> = Key::new(
    "tenant_domain",
    || HostName::known("localhost"),
    "The domain of the tenants: each is at `<subdomain>.<tenant_domain>`. Off loopback it shares no registrable domain with \
     `console_host`, so that no tenant can reach the console's cookies.",
);
pub(crate) static PUBLIC_URL: Key<Option<PublicUrl>> = Key::new(
    "public_url",
    || None,
    "Where the console is reached from outside. Links in mails and answers are made from it, never from a request; its scheme, \
     and its port, are those of the tenants' addresses too.",
)
.default_note("`http://<console_host>:<port of listen>`");
pub(crate) static DATA_DIR: Key<PathBuf> = Key::new(
    "data_dir",
    || PathBuf::from(".wharf"),
    "The folder of the registry, the secrets, the tenants' databases and the mails. A relative path in the file counts from \
     the file's folder, elsewhere from the working directory.",
)
.flag("--data-dir");
pub(crate) static TRUSTED_PROXIES: Key<Vec<IpNet>> = Key::new(
    "trusted_proxies",
    Vec::new,
    "Proxies in front of Wharf: only from these is `X-Forwarded-For` believed. Everybody else's is replaced.",
);
pub(crate) static MAX_INSTANCES: Key<u32> = Key::new(
    "max_instances",
    || 1000,
    "How many instances there may be at once; a sign-up beyond it is refused.",
)
.between(&[1, 1_000_000]);
pub(crate) static TRUST_TENANTS: Key<bool> = Key::new(
    "trust_tenants",
    || false,
    "Says that you trust what runs in the instances. On the platform `process` they run as your own user, so that listening off \
     loopback is refused without it.",
)
.flag("--trust-tenants");
pub(crate) static BODY_LIMIT: Key<ByteSize> = Key::new(
    "body_limit",
    || ByteSize(64 * MIB),
    "The largest request body that is passed on to an instance.",
)
.between(&[ByteSize(KIB), ByteSize(1024 * 1024 * MIB)]);
pub(crate) static HEADER_LIMIT: Key<ByteSize> = Key::new(
    "header_limit",
    || ByteSize(32 * KIB),
    "The largest head of a request: its line and all its headers.",
)
.between(&[ByteSize(KIB), ByteSize(MIB)]);
pub(crate) static HEADER_TIMEOUT: Key<Duration> = Key::new(
    "header_timeout",
    || Duration::from_secs(10),
    "How long a client may take to send the head of a request.",
)
.between(&[MILLISECOND, HOUR]);
pub(crate) static CONNECTIONS_PER_ADDRESS: Key<u32> = Key::new(
    "connections_per_address",
    || 1024,
    "How many connections one client address (of IPv6, its /64) may have open at once; further ones are closed. Trusted proxies are not \
     counted.",
)
.between(&[1, 1_000_000]);
pub(crate) static IDLE_TIMEOUT: Key<Duration> = Key::new(
    "idle_timeout",
    || Duration::from_secs(75),
    "How long a connection may stay open with nothing on it.",
)
.between(&[MILLISECOND, DAY]);
pub(crate) static RESPONSE_TIMEOUT: Key<Duration> = Key::new(
    "response_timeout",
    || Duration::from_mins(1),
    "How long an instance may take until its answer begins.",
)
.between(&[MILLISECOND, DAY]);
pub(crate) static HOLD_TIMEOUT: Key<Duration> = Key::new(
    "hold_timeout",
    || Duration::from_secs(10),
    "How long a request waits for an instance that is starting or waking before it is told to come again. A browser's visit waits for a second, \
     and gets a page that asks again by itself.",
)
.between(&[Duration::ZERO, HOUR]);

pub(crate) static SERVER: Section = Section {
    name: "server",
    doc: "Where Wharf listens, how it is reached, and what it accepts.",
    presence: Always,
    children: &[
        Leaf(&LISTEN),
        Leaf(&CONSOLE_HOST),
        Leaf(&SERVICES_HOST),
        Leaf(&TENANT_DOMAIN),
        Leaf(&PUBLIC_URL),
        Leaf(&DATA_DIR),
        Leaf(&TRUSTED_PROXIES),
        Leaf(&MAX_INSTANCES),
        Leaf(&TRUST_TENANTS),
        Leaf(&BODY_LIMIT),
        Leaf(&HEADER_LIMIT),
        Leaf(&HEADER_TIMEOUT),
        Leaf(&CONNECTIONS_PER_ADDRESS),
        Leaf(&IDLE_TIMEOUT),
        Leaf(&RESPONSE_TIMEOUT),
        Leaf(&HOLD_TIMEOUT),
    ],
};

pub(crate) static KIND: Key<PlatformKind> = Key::new(
    "kind",
    || PlatformKind::Process,
    "What tasks run as, and so which section of a service is in force: child `process`es, `docker` containers, or tasks on `ecs`. The sections of the \
     others are read and checked, so that one file serves every platform. On AWS Lambda it is `ecs`, whatever this says.",
)
.flag("--platform")
.variables(&[Variable::above("WHARF_PLATFORM")]);
pub(crate) static DYNAMIC_PORTS: Key<Option<PortRange>> = Key::new(
    "dynamic_ports",
    || None,
    "The ports that are leased to instances with a dynamic port. They lie outside the range from which the system takes ports \
     for outgoing connections (`net.ipv4.ip_local_port_range`), and outside every static range.",
)
.default_note("`\"20000-29999\"`, or the largest range that is free of the system's");

pub(crate) static CAPACITY_WAIT: Key<Duration> = Key::new(
    "capacity_wait",
    || Duration::from_mins(15),
    "How long a task waits for room, on the platform or among those of `limits`, before its start fails. The status says so meanwhile, with its place in the line.",
)
.between(&[Duration::ZERO, DAY]);

pub(crate) static PLATFORM: Section = Section {
    name: "platform",
    doc: "What the tasks run on.",
    presence: Always,
    children: &[Leaf(&KIND), Leaf(&DYNAMIC_PORTS), Leaf(&CAPACITY_WAIT)],
};

pub(crate) static OPEN: Key<Option<bool>> = Key::new(
    "open",
    || None,
    "Whether anybody may sign up. Without it, only the admin token provisions. Off loopback a sign-up has to confirm its e-mail \
     address before anything starts, which this version cannot do: there, `true` is refused.",
)
.default_note("`true` on loopback, `false` elsewhere");
pub(crate) static VERIFY_EMAIL: Key<Option<bool>> = Key::new(
    "verify_email",
    || None,
    "Whether a sign-up off loopback confirms its e-mail address first, which this version cannot do. A server's sign-up is closed off \
     loopback, whatever this says; on AWS Lambda, `false` together with `open = true` lets everybody who finds the API start tenants.",
)
.default_note("`true` off loopback");
pub(crate) static RATE: Key<Rate> = Key::new(
    "rate",
    || Rate { count: 20, per: HOUR },
    "How many sign-ups one client address may make, in what time. Requests with the admin token, and those from loopback \
     without a forwarded header, are not counted.",
);
pub(crate) static SIGNUP_SERVICE: Key<Option<ServiceName>> = Key::new(
    "service",
    || None,
    "The service that a sign-up gets if it names none. Needed only where several services have `tenant = true`.",
)
.default_note("the only service with `tenant = true`");

pub(crate) static SIGNUP: Section = Section {
    name: "signup",
    doc: "Who may become a tenant, and how often.",
    presence: Always,
    children: &[Leaf(&OPEN), Leaf(&VERIFY_EMAIL), Leaf(&RATE), Leaf(&SIGNUP_SERVICE)],
};

pub(crate) static REST: Key<Duration> = Key::new(
    "rest",
    || 30 * DAY,
    "How long the name of an ended tenant that was once ready rests before somebody else may have it.",
)
.between(&[Duration::ZERO, Duration::from_hours(10 * 365 * 24)]);
pub(crate) static RESERVED: Key<Vec<Label>> = Key::new(
    "reserved",
    Vec::new,
    "Subdomains that nobody may have, beside those that are always reserved (`www`, `api`, `admin`, …). The labels of \
     `console_host` and `services_host` below `tenant_domain` are reserved by themselves.",
);

pub(crate) static NAMES: Section = Section {
    name: "names",
    doc: "Which names tenants may have.",
    presence: Always,
    children: &[Leaf(&REST), Leaf(&RESERVED)],
};

pub(crate) static QUARANTINE: Key<Duration> = Key::new(
    "quarantine",
    || HOUR,
    "How long a port rests after its task has stopped, before another instance may have it. On ECS at least five minutes more than `repair.interval`.",
)
.between(&[Duration::ZERO, YEAR]);
pub(crate) static DIRECT_QUARANTINE: Key<Duration> = Key::new(
    "direct_quarantine",
    || DAY,
    "The same for a port that stood in a direct URL, which somebody may have kept.",
)
.between(&[Duration::ZERO, YEAR]);

pub(crate) static PORTS: Section = Section {
    name: "ports",
    doc: "How ports are used again.",
    presence: Always,
    children: &[Leaf(&QUARANTINE), Leaf(&DIRECT_QUARANTINE)],
};

pub(crate) static LIMIT: Key<u32> = Key::new(
    "limit",
    || 5,
    "How often the task of a ready instance may die within `within`. After one time more the instance is down, with its data \
     kept, until it is started again.",
)
.between(&[0, 1000]);
pub(crate) static WITHIN: Key<Duration> = Key::new(
    "within",
    || Duration::from_mins(10),
    "The time in which crashes are counted.",
)
.between(&[SECOND, Duration::from_hours(30 * 24)]);
pub(crate) static BACKOFF_FIRST: Key<Duration> = Key::new(
    "backoff_first",
    || Duration::from_millis(500),
    "The pause before the first new attempt; each further one is twice as long.",
)
.between(&[MILLISECOND, HOUR]);
pub(crate) static BACKOFF_MAX: Key<Duration> = Key::new(
    "backoff_max",
    || Duration::from_secs(30),
    "The longest pause before a new attempt.",
)
.between(&[MILLISECOND, HOUR]);

pub(crate) static HEAL: Section = Section {
    name: "heal",
    doc: "What happens when the task of a ready instance dies.",
    presence: Always,
    children: &[Leaf(&LIMIT), Leaf(&WITHIN), Leaf(&BACKOFF_FIRST), Leaf(&BACKOFF_MAX)],
};

pub(crate) static REPAIR_INTERVAL: Key<Interval> = Key::new(
    "interval",
    || Interval::Every(Duration::from_mins(10)),
    "How often registry and world are compared by themselves; `off`: only `wharf repair` does it. On AWS Lambda the stack's schedule \
     says how often.",
)
.between(&[Interval::Every(Duration::from_secs(10)), Interval::Every(DAY)]);
pub(crate) static REPAIR_APPLY: Key<RepairApply> = Key::new(
    "apply",
    || RepairApply::Safe,
    "What is done then. `safe`: what touches no customer's data is mended, and the rest is told. `nothing`: all of it is told.",
);

pub(crate) static REPAIR: Section = Section {
    name: "repair",
    doc: "Registry and world, compared now and then.",
    presence: Always,
    children: &[Leaf(&REPAIR_INTERVAL), Leaf(&REPAIR_APPLY)],
};

pub(crate) static ALLOWED_CLUSTERS: Key<Vec<Pattern>> =
    Key::new("clusters", Vec::new, "Names or ARNs, with `*` for any text.");
pub(crate) static ALLOWED_TASK_DEFINITIONS: Key<Vec<Pattern>> = Key::new(
    "task_definitions",
    Vec::new,
    "Families with their revisions (`team-*:*`), or ARNs.",
);
pub(crate) static ALLOWED_TARGET_GROUPS: Key<Vec<Pattern>> = Key::new("target_groups", Vec::new, "ARNs.");
pub(crate) static ALLOWED_SUBNETS: Key<Vec<Pattern>> = Key::new("subnets", Vec::new, "Ids.");
pub(crate) static ALLOWED_SECURITY_GROUPS: Key<Vec<Pattern>> = Key::new("security_groups", Vec::new, "Ids.");
pub(crate) static ALLOWED_CONTAINERS: Key<Vec<Pattern>> = Key::new("containers", Vec::new, "Names.");

pub(crate) static ALLOW: Section = Section {
    name: "allow",
    doc: "What a start event may name beyond what the service is configured with: patterns, kind by kind. Being allowed to put an \
          event is not being allowed to run anything anywhere.",
    presence: Always,
    children: &[
        Leaf(&ALLOWED_CLUSTERS),
        Leaf(&ALLOWED_TASK_DEFINITIONS),
        Leaf(&ALLOWED_TARGET_GROUPS),
        Leaf(&ALLOWED_SUBNETS),
        Leaf(&ALLOWED_SECURITY_GROUPS),
        Leaf(&ALLOWED_CONTAINERS),
    ],
};
pub(crate) static DEFAULT_SERVICE: Key<Option<ServiceName>> = Key::new(
    "default_service",
    || None,
    "The service that a start event starts which names none.",
)
.default_note(
    "`default`, where there is a service of this name; on ECS the variables of the environment can describe it",
);

pub(crate) static EVENTS: Section = Section {
    name: "events",
    doc: "What events may ask for.",
    presence: Always,
    children: &[Leaf(&DEFAULT_SERVICE), Sub(&ALLOW)],
};

pub(crate) static LEVEL: Key<LogLevel> = Key::new(
    "level",
    || LogLevel::Info,
    "The level of log lines that are written, and those above it.",
)
.flag("--log-level")
.variables(&[Variable::above("LOG_LEVEL")]);
pub(crate) static FORMAT: Key<LogFormat> = Key::new(
    "format",
    || LogFormat::Text,
    "How log lines are written: for people, or as JSON, one object a line.",
)
.flag("--log-format");

pub(crate) static LOG: Section = Section {
    name: "log",
    doc: "What Wharf says of itself, on standard error.",
    presence: Always,
    children: &[Leaf(&LEVEL), Leaf(&FORMAT)],
};
