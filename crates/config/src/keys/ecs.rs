//! The keys of a service's `ecs` section. Most of them can come from documented variables too: those with the service's name outrank the
//! file, the general ones fill in what it leaves out.

use std::net::IpAddr;

use super::service::{OWN_HEALTH, ROUTE_PREFIX};
use crate::{
    table::{
        Key,
        Node::{Leaf, Section as Sub},
        Presence::Optional,
        Section, Variable,
    },
    values::{
        CapacityProviders, EcsPort, EcsRouteKind, HostPattern, LaunchType, Mebibytes, PathPattern, PublicIp,
        SecretsForm,
    },
};

/// The most CPU units and memory that a machine of EC2 has, rounded up.
const CPU_MAX: u32 = 196_608;
const MEMORY_MIN: Mebibytes = Mebibytes(4);
const MEMORY_MAX: Mebibytes = Mebibytes(32 * 1024 * 1024);

pub(crate) static CLUSTER: Key<Option<String>> = Key::new("cluster", || None, "The name or the ARN of the cluster.")
    .variables(&[
        Variable::of_service("CLUSTER"),
        Variable::below("ECS_CLUSTER"),
        Variable::below("CLUSTER_NAME"),
    ]);
pub(crate) static TASK_DEFINITION: Key<Option<String>> = Key::new(
    "task_definition",
    || None,
    "The family of the task definition, with or without a revision, or its ARN.",
)
.variables(&[Variable::of_service("TASK_DEF"), Variable::below("TASK_DEFINITION")]);
pub(crate) static CONTAINER: Key<Option<String>> = Key::new(
    "container",
    || None,
    "The container that is told who it is, and whose port is routed to.",
)
.default_note("the only essential one of the task definition");
pub(crate) static PORT: Key<Option<EcsPort>> = Key::new(
    "port",
    || None,
    "A number is `container_port`, written shorter. A table is the rule for the host's port, as in `[services.NAME.port]`, in \
     place of the service's own: `{ kind = \"static\", range = \"8000-9000\" }`.",
);
pub(crate) static CONTAINER_PORT: Key<Option<u16>> = Key::new(
    "container_port",
    || None,
    "The port that the application listens on within its container.",
)
.between(&[Some(1), Some(u16::MAX)])
.variables(&[Variable::below("CONTAINER_PORT")])
.default_note("the first one that the container maps");
pub(crate) static SUBNETS: Key<Vec<String>> = Key::new(
    "subnets",
    Vec::new,
    "The subnets of tasks in the network mode `awsvpc`.",
)
.variables(&[Variable::of_service("SUBNETS"), Variable::below("SUBNETS")]);
pub(crate) static SECURITY_GROUPS: Key<Vec<String>> = Key::new(
    "security_groups",
    Vec::new,
    "The security groups of such tasks; without any, they are in the VPC's own.",
)
.variables(&[
    Variable::of_service("SECURITY_GROUPS"),
    Variable::below("SECURITY_GROUPS"),
]);
pub(crate) static ASSIGN_PUBLIC_IP: Key<PublicIp> = Key::new(
    "assign_public_ip",
    || PublicIp(true),
    "Whether such tasks get a public address on Fargate. In subnets without a NAT gateway they need one to pull their image.",
)
.variables(&[Variable::below("ASSIGN_PUBLIC_IP")]);
pub(crate) static LAUNCH: Key<LaunchType> = Key::new(
    "launch",
    || LaunchType::Auto,
    "Where ECS places the tasks. `auto`: on Fargate where the task definition has the network mode `awsvpc` and allows it, \
     otherwise on EC2.",
)
.variables(&[Variable::below("LAUNCH_TYPE")]);
pub(crate) static CAPACITY_PROVIDERS: Key<CapacityProviders> = Key::new(
    "capacity_providers",
    CapacityProviders::default,
    "A capacity provider strategy in place of `launch`: each with its share of the tasks, `weight`, and how many there are to be \
     of it first, `base`.",
);
pub(crate) static COMMAND: Key<Option<Vec<String>>> = Key::new(
    "command",
    || None,
    "The container's command, in place of its own. Everybody who may describe tasks can read it: no secret belongs here.",
)
.file_only();
pub(crate) static CPU: Key<Option<u32>> = Key::new(
    "cpu",
    || None,
    "CPU units of the container, 1024 for each processor, in place of its own.",
)
.between(&[Some(1), Some(CPU_MAX)]);
pub(crate) static MEMORY: Key<Option<Mebibytes>> = Key::new(
    "memory",
    || None,
    "The container's hard limit of memory, in place of its own. A bare number counts MiB.",
)
.between(&[Some(MEMORY_MIN), Some(MEMORY_MAX)]);
pub(crate) static EXECUTE_COMMAND: Key<bool> = Key::new(
    "execute_command",
    || false,
    "Whether operators may run commands in the containers (`aws ecs execute-command`).",
);
pub(crate) static SECRETS: Key<SecretsForm> = Key::new(
    "secrets",
    || SecretsForm::Values,
    "How the container is given its secrets. `values`: each in the variable of its name. `arn`: it reads them itself, from Secrets \
     Manager, under the ARN in `WHARF_SECRETS_ARN`; `DATABASE_URL` has no password in it then, which is `DATABASE_PASSWORD` there.",
);
pub(crate) static HOST_ADDRESS: Key<Option<IpAddr>> = Key::new(
    "host_address",
    || None,
    "The address of the machine that tasks in the network modes `bridge` and `host` run on, used where AWS cannot be asked for it.",
)
.variables(&[Variable::below("EC2_IP"), Variable::below("EC2_PUBLIC_IP")]);

const TARGET_GROUPS: &str = "target_groups";

pub(crate) static ROUTE_KIND: Key<Option<EcsRouteKind>> = Key::new(
    "kind",
    || None,
    "As of the service's own route, and `target_groups`: the task is registered in the target groups of `arns`.",
)
.default_note("as the service's own route")
.variables(&[
    Variable::of_service("TARGET_GROUP_ARN").implies(TARGET_GROUPS),
    Variable::below("TARGET_GROUP_ARN").implies(TARGET_GROUPS),
]);
pub(crate) static ROUTE_URL: Key<Option<String>> = Key::new(
    "url",
    || None,
    "Of a direct route the address of an instance; `{ip}`, `{port}` and, for tenants, `{subdomain}` are filled in. Of target groups \
     the address at which their load balancer brings requests to the service, as it is told to people.",
)
.default_note("of a direct route `\"http://{ip}:{port}\"`")
.when("kind", &["direct", TARGET_GROUPS]);
pub(crate) static ROUTE_ARNS: Key<Vec<String>> = Key::new(
    "arns",
    Vec::new,
    "The ARNs of the target groups, joined and left together.",
)
.when("kind", &[TARGET_GROUPS])
.variables(&[
    Variable::of_service("TARGET_GROUP_ARN"),
    Variable::below("TARGET_GROUP_ARN"),
]);

pub(crate) static RULE_LISTENER: Key<Option<String>> = Key::new(
    "listener",
    || None,
    "The ARN of the listener that the rule is added to.",
);
pub(crate) static RULE_HOST: Key<Option<HostPattern>> = Key::new(
    "host",
    || None,
    "The host that requests have to be for; `*` stands for any text, `?` for one character.",
);
pub(crate) static RULE_PATH: Key<Option<PathPattern>> = Key::new(
    "path",
    || None,
    "The path that requests have to be for, in the same way.",
);

pub(crate) static RULE: Section = Section {
    name: "rule",
    doc: "A rule that Wharf adds to a listener of the load balancer, with a free priority, so that requests reach the first of the \
          target groups. Without it, that is up to you.",
    presence: Optional,
    children: &[Leaf(&RULE_LISTENER), Leaf(&RULE_HOST), Leaf(&RULE_PATH)],
};

pub(crate) static ROUTE: Section = Section {
    name: "route",
    doc: "What brings a request to an instance.",
    presence: Optional,
    children: &[
        Leaf(&ROUTE_KIND),
        Leaf(&ROUTE_PREFIX),
        Leaf(&ROUTE_URL),
        Leaf(&ROUTE_ARNS),
        Sub(&RULE),
    ],
};

pub(crate) static ECS: Section = Section {
    name: "ecs",
    doc: "The service as a task on Amazon ECS. What it leaves out is found from the task definition. What it says of `port` (as a \
          table), `route` and `health` stands, each as a whole, in place of what the service says.",
    presence: Optional,
    children: &[
        Leaf(&CLUSTER),
        Leaf(&TASK_DEFINITION),
        Leaf(&CONTAINER),
        Leaf(&PORT),
        Leaf(&CONTAINER_PORT),
        Leaf(&SUBNETS),
        Leaf(&SECURITY_GROUPS),
        Leaf(&ASSIGN_PUBLIC_IP),
        Leaf(&LAUNCH),
        Leaf(&CAPACITY_PROVIDERS),
        Leaf(&COMMAND),
        Leaf(&CPU),
        Leaf(&MEMORY),
        Leaf(&EXECUTE_COMMAND),
        Leaf(&SECRETS),
        Leaf(&HOST_ADDRESS),
        Sub(&ROUTE),
        Sub(&OWN_HEALTH),
    ],
};
