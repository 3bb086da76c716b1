//! Every operation of AWS's APIs that this crate calls: what its IAM action is, on which resources it has to be allowed, which
//! throttling bucket it draws from, and whether it may be said again without knowing what became of the first time.
//!
//! A call names its operation ([`Governor::call`](crate::Governor::call), [`Call`]), so that none is made that does not stand
//! here, and the IAM policy (`policy.rs`) is made from here, so that none is made that is not allowed. Nothing is called from here.
//!
//! Actions, their resource types and condition keys are those of AWS's Service Authorization Reference.

use crate::failure::Call;

/// What a deployment uses: a policy leaves out what it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Tasks on ECS: needed by every deployment.
    Tasks,
    /// Services with static host ports, which need task definitions of their own.
    StaticPorts,
    /// Addresses of container instances and public addresses of tasks.
    Addresses,
    /// Targets in target groups.
    Targets,
    /// Listener rules that Wharf makes by itself.
    ListenerRules,
    /// The registry's tables.
    Registry,
    /// Making those tables, where no stack does.
    Setup,
    /// Messages to the wake queue.
    Queue,
    /// Messages from the wake queue, where nobody hands them over as Lambda does.
    QueueReader,
    /// Instances' secrets, and Wharf's own.
    Secrets,
    /// The function that makes databases.
    Databases,
    /// Reading what tasks print.
    Logs,
    /// `wharf doctor`.
    Doctor,
}

/// On which resources an action has to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Clusters,
    /// The configured task definitions and those derived from them, in the configured clusters.
    TaskDefinitions,
    /// Task definitions that are derived for a static port.
    DerivedTaskDefinitions,
    /// The same, while they are registered.
    NewTaskDefinitions,
    /// Tasks of the configured clusters.
    Tasks,
    /// The same, while they are started.
    NewTasks,
    /// Container instances of the configured clusters.
    ContainerInstances,
    /// The action takes no narrower resource than `*`, and a condition holds it to the configured clusters.
    AnyInClusters,
    /// The task definitions' roles, handed to tasks and to nothing else.
    TaskRoles,
    TargetGroups,
    Listeners,
    /// Rules of the configured listeners.
    ListenerRules,
    /// The same, while they are made.
    NewListenerRules,
    Tables,
    /// The tables' indexes.
    Indexes,
    Queues,
    SecretsOfInstances,
    /// Secrets that are only read: the admin token, the mail provider's key.
    SecretsOfWharf,
    /// The function that makes databases.
    DatabasesFunction,
    LogStreams,
    /// The action is for all resources or for none: AWS has no resource type for it.
    Everything,
}

/// An API's token bucket: AWS counts by account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    EcsRunAndStopTask,
    /// Tasks on Fargate have a bucket beside that of RunTask.
    EcsFargateRunTask,
    EcsReadTasks,
    EcsRegisterTaskDefinition,
    EcsReadTaskDefinitions,
    EcsReadClusters,
    ElbRead,
    ElbRegisterTargets,
    ElbChange,
    Ec2Read,
    LogsGetLogEvents,
    LogsDescribe,
}

/// A bucket's size and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    pub burst: f64,
    pub per_second: f64,
}

impl Bucket {
    pub const ALL: &[Self] = &[
        Self::EcsRunAndStopTask,
        Self::EcsFargateRunTask,
        Self::EcsReadTasks,
        Self::EcsRegisterTaskDefinition,
        Self::EcsReadTaskDefinitions,
        Self::EcsReadClusters,
        Self::ElbRead,
        Self::ElbRegisterTargets,
        Self::ElbChange,
        Self::Ec2Read,
        Self::LogsGetLogEvents,
        Self::LogsDescribe,
    ];

    /// As documented under "Request throttling" of each API, for a region's standard quota.
    #[must_use]
    pub const fn limit(self) -> Limit {
        let (burst, per_second) = match self {
            Self::EcsRunAndStopTask => (100.0, 40.0),
            Self::EcsFargateRunTask => (100.0, 20.0),
            Self::EcsReadTasks => (100.0, 20.0),
            Self::EcsRegisterTaskDefinition => (20.0, 1.0),
            Self::EcsReadTaskDefinitions | Self::EcsReadClusters => (50.0, 20.0),
            Self::ElbRead => (40.0, 10.0),
            Self::ElbRegisterTargets => (20.0, 4.0),
            Self::ElbChange => (20.0, 3.0),
            Self::Ec2Read => (50.0, 10.0),
            Self::LogsGetLogEvents | Self::LogsDescribe => (10.0, 10.0),
        };
        Limit { burst, per_second }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcsRunAndStopTask => "ECS RunTask and StopTask",
            Self::EcsFargateRunTask => "ECS RunTask on Fargate",
            Self::EcsReadTasks => "ECS DescribeTasks, ListTasks and DescribeContainerInstances",
            Self::EcsRegisterTaskDefinition => "ECS RegisterTaskDefinition",
            Self::EcsReadTaskDefinitions => "ECS DescribeTaskDefinition",
            Self::EcsReadClusters => "ECS DescribeClusters",
            Self::ElbRead => "ELBv2 Describe…",
            Self::ElbRegisterTargets => "ELBv2 RegisterTargets and DeregisterTargets",
            Self::ElbChange => "ELBv2 changes",
            Self::Ec2Read => "EC2 Describe…",
            Self::LogsGetLogEvents => "CloudWatch Logs GetLogEvents",
            Self::LogsDescribe => "CloudWatch Logs Describe…",
        }
    }
}

/// Whether an operation changes something: changes have their turn before looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    Write,
    Read,
}

/// What has to be allowed for an operation to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `ecs:RunTask`.
    pub action: &'static str,
    pub scope: Scope,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub part: Part,
    pub effect: Effect,
    /// Whether the same request again does no harm when nobody knows what became of the first: it is a look, or it has a token, or it says how things shall be.
    pub repeatable: bool,
    /// All of these are drawn from, in this order. None: the service has room enough, and the SDK's own retries do.
    pub buckets: &'static [Bucket],
    /// The first one is the operation's own.
    pub grants: &'static [Grant],
}

macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        $operation:ident: $part:ident, $effect:ident $repeat:ident, [$($bucket:ident),*], [$($action:literal on $scope:ident),+];
    )*) => {
        /// An operation of an AWS API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $($(#[$doc])* $operation,)*
        }

        impl Operation {
            pub const ALL: &[Self] = &[$(Self::$operation),*];

            #[must_use]
            pub const fn row(self) -> Row {
                match self {
                    $(Self::$operation => Row {
                        part: Part::$part,
                        effect: Effect::$effect,
                        repeatable: is_repeatable!($repeat),
                        buckets: &[$(Bucket::$bucket),*],
                        grants: &[$(Grant { action: $action, scope: Scope::$scope }),+],
                    },)*
                }
            }
        }
    };
}

macro_rules! is_repeatable {
    (repeatable) => {
        true
    };
    (once) => {
        false
    };
}

operations! {
    /// With a token, it says how things shall be.
    EcsRunTask: Tasks, Write repeatable, [EcsRunAndStopTask],
        ["ecs:RunTask" on TaskDefinitions, "ecs:TagResource" on NewTasks, "iam:PassRole" on TaskRoles];
    EcsRunTaskOnFargate: Tasks, Write repeatable, [EcsFargateRunTask, EcsRunAndStopTask],
        ["ecs:RunTask" on TaskDefinitions, "ecs:TagResource" on NewTasks, "iam:PassRole" on TaskRoles];
    EcsStopTask: Tasks, Write repeatable, [EcsRunAndStopTask], ["ecs:StopTask" on Tasks];
    EcsDescribeTasks: Tasks, Read repeatable, [EcsReadTasks], ["ecs:DescribeTasks" on Tasks];
    EcsListTasks: Tasks, Read repeatable, [EcsReadTasks], ["ecs:ListTasks" on AnyInClusters];
    EcsDescribeContainerInstances: Addresses, Read repeatable, [EcsReadTasks],
        ["ecs:DescribeContainerInstances" on ContainerInstances];
    EcsDescribeTaskDefinition: Tasks, Read repeatable, [EcsReadTaskDefinitions], ["ecs:DescribeTaskDefinition" on Everything];
    /// Each call makes one more revision.
    EcsRegisterTaskDefinition: StaticPorts, Write once, [EcsRegisterTaskDefinition],
        ["ecs:RegisterTaskDefinition" on DerivedTaskDefinitions, "ecs:TagResource" on NewTaskDefinitions, "iam:PassRole" on TaskRoles];
    EcsDescribeClusters: Doctor, Read repeatable, [EcsReadClusters], ["ecs:DescribeClusters" on Clusters];
    EcsListContainerInstances: Doctor, Read repeatable, [EcsReadTasks], ["ecs:ListContainerInstances" on Clusters];

    ElbRegisterTargets: Targets, Write repeatable, [ElbRegisterTargets], ["elasticloadbalancing:RegisterTargets" on TargetGroups];
    ElbDeregisterTargets: Targets, Write repeatable, [ElbRegisterTargets], ["elasticloadbalancing:DeregisterTargets" on TargetGroups];
    ElbDescribeTargetHealth: Targets, Read repeatable, [ElbRead], ["elasticloadbalancing:DescribeTargetHealth" on Everything];
    ElbDescribeTargetGroups: Targets, Read repeatable, [ElbRead], ["elasticloadbalancing:DescribeTargetGroups" on Everything];
    ElbDescribeTargetGroupAttributes: Targets, Read repeatable, [ElbRead],
        ["elasticloadbalancing:DescribeTargetGroupAttributes" on Everything];
    ElbDescribeRules: ListenerRules, Read repeatable, [ElbRead], ["elasticloadbalancing:DescribeRules" on Everything];
    ElbDescribeTags: ListenerRules, Read repeatable, [ElbRead], ["elasticloadbalancing:DescribeTags" on Everything];
    /// A rule that was made without an answer is found by its tags.
    ElbCreateRule: ListenerRules, Write once, [ElbChange],
        ["elasticloadbalancing:CreateRule" on Listeners, "elasticloadbalancing:AddTags" on NewListenerRules];
    ElbDeleteRule: ListenerRules, Write repeatable, [ElbChange], ["elasticloadbalancing:DeleteRule" on ListenerRules];
    ElbDescribeListeners: Doctor, Read repeatable, [ElbRead], ["elasticloadbalancing:DescribeListeners" on Everything];
    ElbDescribeLoadBalancers: Doctor, Read repeatable, [ElbRead], ["elasticloadbalancing:DescribeLoadBalancers" on Everything];

    Ec2DescribeInstances: Addresses, Read repeatable, [Ec2Read], ["ec2:DescribeInstances" on Everything];
    Ec2DescribeNetworkInterfaces: Addresses, Read repeatable, [Ec2Read], ["ec2:DescribeNetworkInterfaces" on Everything];
    Ec2DescribeSubnets: Doctor, Read repeatable, [Ec2Read], ["ec2:DescribeSubnets" on Everything];
    Ec2DescribeSecurityGroups: Doctor, Read repeatable, [Ec2Read], ["ec2:DescribeSecurityGroups" on Everything];
    Ec2DescribeRouteTables: Doctor, Read repeatable, [Ec2Read], ["ec2:DescribeRouteTables" on Everything];

    DynamoGetItem: Registry, Read repeatable, [], ["dynamodb:GetItem" on Tables];
    DynamoBatchGetItem: Registry, Read repeatable, [], ["dynamodb:BatchGetItem" on Tables];
    DynamoQuery: Registry, Read repeatable, [], ["dynamodb:Query" on Tables, "dynamodb:Query" on Indexes];
    DynamoScan: Registry, Read repeatable, [], ["dynamodb:Scan" on Tables];
    /// Its own condition tells whether it was here before; so it is with the next two. A transaction has no action of its own: it is
    /// allowed by those of its parts, and has a token.
    DynamoPutItem: Registry, Write repeatable, [], ["dynamodb:PutItem" on Tables];
    DynamoUpdateItem: Registry, Write repeatable, [], ["dynamodb:UpdateItem" on Tables];
    DynamoDeleteItem: Registry, Write repeatable, [], ["dynamodb:DeleteItem" on Tables];

    /// Said again it finds the table that it made; the next four say how things shall be.
    DynamoCreateTable: Setup, Write repeatable, [], ["dynamodb:CreateTable" on Tables];
    DynamoDescribeTableBeingMade: Setup, Read repeatable, [], ["dynamodb:DescribeTable" on Tables];
    DynamoUpdateTable: Setup, Write repeatable, [], ["dynamodb:UpdateTable" on Tables];
    DynamoDescribeTimeToLive: Setup, Read repeatable, [], ["dynamodb:DescribeTimeToLive" on Tables];
    DynamoUpdateTimeToLive: Setup, Write repeatable, [], ["dynamodb:UpdateTimeToLive" on Tables];
    DynamoUpdateContinuousBackups: Setup, Write repeatable, [], ["dynamodb:UpdateContinuousBackups" on Tables];

    SqsSendMessage: Queue, Write repeatable, [], ["sqs:SendMessage" on Queues];
    SqsChangeMessageVisibility: Queue, Write repeatable, [], ["sqs:ChangeMessageVisibility" on Queues];
    SqsReceiveMessage: QueueReader, Read repeatable, [], ["sqs:ReceiveMessage" on Queues];
    SqsDeleteMessage: QueueReader, Write repeatable, [], ["sqs:DeleteMessage" on Queues];

    /// Said again it finds the one that it made.
    SecretsCreateSecret: Secrets, Write repeatable, [],
        ["secretsmanager:CreateSecret" on SecretsOfInstances, "secretsmanager:TagResource" on SecretsOfInstances];
    SecretsGetSecretValue: Secrets, Read repeatable, [], ["secretsmanager:GetSecretValue" on SecretsOfInstances];
    SecretsGetSecretValueOfWharf: Secrets, Read repeatable, [], ["secretsmanager:GetSecretValue" on SecretsOfWharf];
    SecretsRestoreSecret: Secrets, Write repeatable, [], ["secretsmanager:RestoreSecret" on SecretsOfInstances];
    SecretsDeleteSecret: Secrets, Write repeatable, [], ["secretsmanager:DeleteSecret" on SecretsOfInstances];
    SecretsListSecrets: Secrets, Read repeatable, [], ["secretsmanager:ListSecrets" on Everything];

    /// Whatever it is asked says how things shall be.
    LambdaInvokeFunction: Databases, Write repeatable, [], ["lambda:InvokeFunction" on DatabasesFunction];

    LogsGetLogEvents: Logs, Read repeatable, [LogsGetLogEvents], ["logs:GetLogEvents" on LogStreams];
    LogsDescribeLogGroups: Doctor, Read repeatable, [LogsDescribe], ["logs:DescribeLogGroups" on Everything];
    StsGetCallerIdentity: Doctor, Read repeatable, [], ["sts:GetCallerIdentity" on Everything];
    IamSimulatePrincipalPolicy: Doctor, Read repeatable, [], ["iam:SimulatePrincipalPolicy" on Everything];
    DynamoDescribeTable: Doctor, Read repeatable, [], ["dynamodb:DescribeTable" on Tables];
    SqsGetQueueAttributes: Doctor, Read repeatable, [], ["sqs:GetQueueAttributes" on Queues];
}

impl Operation {
    /// Its own IAM action.
    #[must_use]
    pub const fn action(self) -> &'static str {
        self.row().grants[0].action
    }

    #[must_use]
    pub const fn service(self) -> &'static str {
        self.action().split_at(colon(self.action())).0
    }

    /// As the API calls it: `RunTask`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.action().split_at(colon(self.action()) + 1).1
    }

    /// The call of it on a resource, for a failure.
    #[must_use]
    pub const fn on(self, resource: &str) -> Call<'_> {
        Call::new(self.action(), resource)
    }
}

const fn colon(action: &str) -> usize {
    let bytes = action.as_bytes();
    let mut at = 0;
    while bytes[at] != b':' {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs, path::Path};

    /// All code of this crate, but for this table, what is made from it, and what a call is.
    fn code(folder: &Path, into: &mut String) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                code(&path, into);
            } else if !["operations.rs", "policy.rs", "failure.rs"]
                .iter()
                .any(|name| path.ends_with(name))
            {
                into.push_str(&fs::read_to_string(path).expect("text"));
            }
        }
    }

    #[test]
    fn every_operation_that_is_called_stands_here_and_no_other() {
        let mut all = String::new();
        code(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
        assert!(
            !all.contains("Call::new("),
            "an operation has a row, and the call is made from it"
        );
        let names: BTreeSet<&str> = all
            .split("Operation::")
            .skip(1)
            .filter_map(|rest| rest.split(|char: char| !char.is_alphanumeric()).next())
            .collect();
        // What only `wharf doctor` looks at aside.
        for operation in Operation::ALL
            .iter()
            .filter(|operation| operation.row().part != Part::Doctor)
        {
            assert!(
                names.contains(format!("{operation:?}").as_str()),
                "{operation:?} is never called"
            );
        }
    }

    #[test]
    fn an_operation_is_what_its_name_says() {
        assert_eq!(Operation::EcsRunTask.service(), "ecs");
        assert_eq!(Operation::EcsRunTask.name(), "RunTask");
        for operation in Operation::ALL {
            let written = format!("{operation:?}");
            assert!(written.contains(operation.name()), "{written} is {}", operation.name());
        }
    }

    #[test]
    fn a_look_may_be_repeated_and_every_bucket_has_its_operation() {
        let mut used = BTreeSet::new();
        for operation in Operation::ALL {
            let row = operation.row();
            used.extend(row.buckets);
            assert!(row.repeatable || row.effect == Effect::Write, "{operation:?}");
        }
        assert_eq!(used, Bucket::ALL.iter().copied().collect());
        for bucket in Bucket::ALL {
            let limit = bucket.limit();
            assert!(limit.burst >= 1.0 && limit.per_second > 0.0, "{bucket:?}");
        }
    }
}
