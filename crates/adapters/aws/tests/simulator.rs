//! That the simulator's answers are what the real SDK clients read: one walk through the main calls, and the errors that they tell apart.
//!
//! What the simulator does is tested in its own package, by requests written by hand; what the adapter does with AWS is not tested here.

use aws_sdk_ecs::error::ProvideErrorMetadata as _;
use aws_sdk_ecs::operation::run_task::RunTaskError;
use aws_sdk_ecs::operation::run_task::builders::RunTaskFluentBuilder;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, ContainerOverride, DesiredStatus, KeyValuePair, LaunchType,
    NetworkConfiguration, NetworkMode, Tag, TaskField, TaskOverride, TaskStopCode,
};
use aws_sdk_elasticloadbalancingv2::operation::create_rule::CreateRuleError;
use aws_sdk_elasticloadbalancingv2::operation::register_targets::RegisterTargetsError;
use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, RuleCondition, TargetDescription, TargetHealthReasonEnum, TargetHealthStateEnum,
    TargetTypeEnum,
};
use std::time::Duration;
use wharf_aws::{ClientOptions, Clients};
use wharf_aws_simulator::{
    Consistency, ContainerInstance, Fault, Mishap, Options, SECURITY_GROUP, SUBNETS, Simulator, TargetGroup,
    TaskDefinition,
};

const SECOND: Duration = Duration::from_secs(1);

struct Account {
    simulator: Simulator,
    ecs: aws_sdk_ecs::Client,
    elb: aws_sdk_elasticloadbalancingv2::Client,
}

async fn start() -> Account {
    start_with(Options {
        consistency: Consistency::STRONG,
        ..Options::default()
    })
    .await
}

/// A Fargate service and a bridge one.
async fn start_with(options: Options) -> Account {
    let simulator = Simulator::start(options).await.expect("loopback has a free port");
    simulator.cluster("auth-cluster");
    let auth = TaskDefinition::fargate("auth-api-task").container("auth", 8080);
    simulator.task_definition(&auth).expect("a definition");
    simulator.container_instance("poc", &ContainerInstance::default());
    let poc = TaskDefinition::bridge("poc-task").container("poc", 8000);
    simulator.task_definition(&poc).expect("a definition");
    let clients = Clients::new(ClientOptions::emulator(simulator.url()));
    Account {
        ecs: clients.ecs().await.clone(),
        elb: clients.elasticloadbalancingv2().await.clone(),
        simulator,
    }
}

fn on_fargate(account: &Account) -> RunTaskFluentBuilder {
    let network = AwsVpcConfiguration::builder()
        .set_subnets(Some(SUBNETS.map(str::to_owned).to_vec()))
        .security_groups(SECURITY_GROUP)
        .assign_public_ip(AssignPublicIp::Enabled)
        .build()
        .expect("subnets are given");
    let variable = KeyValuePair::builder()
        .name("WHARF_INSTANCE_ID")
        .value("inst_1")
        .build();
    let container = ContainerOverride::builder().name("auth").environment(variable).build();
    account
        .ecs
        .run_task()
        .cluster("auth-cluster")
        .task_definition("auth-api-task")
        .launch_type(LaunchType::Fargate)
        .network_configuration(NetworkConfiguration::builder().awsvpc_configuration(network).build())
        .overrides(TaskOverride::builder().container_overrides(container).build())
        .tags(Tag::builder().key("wharf:instance").value("inst_1").build())
        .started_by("wharf/d/inst_1/1")
        .client_token("token-1")
}

#[tokio::test]
async fn the_sdk_reads_a_task_from_its_start_to_its_end() {
    let account = start().await;
    let started = on_fargate(&account).send().await.expect("it starts");
    let task = &started.tasks()[0];
    let arn = task.task_arn().expect("an ARN").to_owned();
    assert_eq!((task.last_status(), task.version()), (Some("PROVISIONING"), 1));
    assert_eq!(account.simulator.tasks()[0].environment["WHARF_INSTANCE_ID"], "inst_1");

    account.simulator.advance(24 * SECOND);
    let describe = account
        .ecs
        .describe_tasks()
        .cluster("auth-cluster")
        .tasks(&arn)
        .include(TaskField::Tags);
    let described = describe.send().await.expect("an answer");
    let task = &described.tasks()[0];
    assert_eq!((task.last_status(), task.version()), (Some("RUNNING"), 3));
    assert_eq!(task.tags()[0].key(), Some("wharf:instance"));
    let seconds = |time: Option<&aws_smithy_types::DateTime>| time.map(aws_smithy_types::DateTime::secs);
    assert_eq!(
        seconds(task.started_at()),
        seconds(task.created_at()).map(|created| created + 24)
    );
    let interface = task.containers()[0].network_interfaces()[0].private_ipv4_address();
    let detail = task.attachments()[0]
        .details()
        .iter()
        .find(|detail| detail.name() == Some("privateIPv4Address"));
    assert_eq!(interface, detail.and_then(KeyValuePair::value));

    let list = account
        .ecs
        .list_tasks()
        .cluster("auth-cluster")
        .started_by("wharf/d/inst_1/1");
    let listed = list
        .desired_status(DesiredStatus::Running)
        .send()
        .await
        .expect("an answer");
    assert_eq!(listed.task_arns(), std::slice::from_ref(&arn));

    let stop = account
        .ecs
        .stop_task()
        .cluster("auth-cluster")
        .task(&arn)
        .reason("no longer wanted");
    stop.send().await.expect("it is told to stop");
    account.simulator.advance(12 * SECOND);
    let describe = account.ecs.describe_tasks().cluster("auth-cluster").tasks(&arn);
    let described = describe.send().await.expect("an answer");
    let task = &described.tasks()[0];
    assert_eq!(task.last_status(), Some("STOPPED"));
    assert_eq!(task.stop_code(), Some(&TaskStopCode::UserInitiated));
    assert_eq!(task.containers()[0].exit_code(), Some(143));
}

#[tokio::test]
async fn the_sdk_reads_definitions_hosts_and_bindings() {
    let account = start().await;
    let definition = account
        .ecs
        .describe_task_definition()
        .task_definition("poc-task")
        .send()
        .await
        .expect("an answer");
    let definition = definition.task_definition().expect("a definition");
    assert_eq!(
        (definition.network_mode(), definition.revision()),
        (Some(&NetworkMode::Bridge), 1)
    );
    assert_eq!(
        definition.container_definitions()[0].port_mappings()[0].container_port(),
        Some(8000)
    );
    let run = account
        .ecs
        .run_task()
        .cluster("poc")
        .task_definition("poc-task")
        .launch_type(LaunchType::Ec2);
    let started = run.send().await.expect("it starts");
    let arn = started.tasks()[0].task_arn().expect("an ARN");
    account.simulator.advance(3 * SECOND);
    let described = account
        .ecs
        .describe_tasks()
        .cluster("poc")
        .tasks(arn)
        .send()
        .await
        .expect("an answer");
    let task = &described.tasks()[0];
    assert_eq!(task.containers()[0].network_bindings()[0].host_port(), Some(32_768));
    let host = task.container_instance_arn().expect("a host");
    let hosts = account
        .ecs
        .describe_container_instances()
        .cluster("poc")
        .container_instances(host);
    let hosts = hosts.send().await.expect("an answer");
    let host = &hosts.container_instances()[0];
    assert!(host.ec2_instance_id().is_some_and(|id| id.starts_with("i-")));
    let memory = host
        .remaining_resources()
        .iter()
        .find(|resource| resource.name() == Some("MEMORY"));
    assert_eq!(memory.map(aws_sdk_ecs::types::Resource::integer_value), Some(904 - 256));
    let clusters = account
        .ecs
        .describe_clusters()
        .clusters("poc")
        .clusters("none")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (clusters.clusters().len(), clusters.failures()[0].reason()),
        (1, Some("MISSING"))
    );
}

#[tokio::test]
async fn the_sdk_tells_refusals_apart() {
    let account = start().await;
    on_fargate(&account).send().await.expect("it starts");
    let other = on_fargate(&account).started_by("wharf/d/inst_1/2").send().await;
    let RunTaskError::ConflictException(conflict) = other.expect_err("other parameters").into_service_error() else {
        panic!("no conflict");
    };
    assert_eq!(conflict.resource_ids(), [account.simulator.tasks()[0].arn.clone()]);
    let nowhere = on_fargate(&account)
        .cluster("nowhere")
        .send()
        .await
        .expect_err("no such cluster");
    assert!(matches!(
        nowhere.into_service_error(),
        RunTaskError::ClusterNotFoundException(_)
    ));
    account.simulator.fault(Fault::on("ecs:RunTask", Mishap::Denied).once());
    let denied = on_fargate(&account)
        .send()
        .await
        .expect_err("it is denied")
        .into_service_error();
    assert!(denied.is_access_denied_exception() && denied.message().is_some_and(|text| text.contains("ecs:RunTask")));
    account
        .simulator
        .fault(Fault::on("ecs:RunTask", Mishap::Throttled).once());
    let throttled = on_fargate(&account)
        .send()
        .await
        .expect_err("it is throttled")
        .into_service_error();
    assert_eq!(throttled.code(), Some("ThrottlingException"));
    account
        .simulator
        .fault(Fault::on("ecs:RunTask", Mishap::AnswerLost).once());
    let lost = on_fargate(&account)
        .client_token("token-2")
        .send()
        .await
        .expect_err("the answer is lost");
    assert!(lost.as_service_error().is_none(), "{lost:?}");
    assert_eq!(account.simulator.tasks().len(), 2);
}

#[tokio::test]
async fn the_sdk_reads_target_groups_and_their_targets() {
    let account = start().await;
    let group = account.simulator.target_group(&TargetGroup::ip("auth-tg", 8080));
    let described = account
        .elb
        .describe_target_groups()
        .target_group_arns(&group)
        .send()
        .await
        .expect("an answer");
    let described = &described.target_groups()[0];
    assert_eq!(
        (described.target_type(), described.port()),
        (Some(&TargetTypeEnum::Ip), Some(8080))
    );
    assert_eq!(described.load_balancer_arns().len(), 1);
    let target = TargetDescription::builder().id("10.0.0.9").port(8080).build();
    let register = account
        .elb
        .register_targets()
        .target_group_arn(&group)
        .targets(target.clone());
    register.send().await.expect("it is registered");
    account.simulator.advance(2 * SECOND);
    let health = account
        .elb
        .describe_target_health()
        .target_group_arn(&group)
        .send()
        .await
        .expect("an answer");
    let [health] = health.target_health_descriptions() else {
        panic!("one target")
    };
    assert_eq!(health.target().and_then(TargetDescription::port), Some(8080));
    let health = health.target_health().expect("its health");
    assert_eq!(health.state(), Some(&TargetHealthStateEnum::Initial));
    assert_eq!(health.reason(), Some(&TargetHealthReasonEnum::InitialHealthChecking));
    let deregister = account
        .elb
        .deregister_targets()
        .target_group_arn(&group)
        .targets(target.clone());
    deregister.send().await.expect("it is taken out");
    assert_eq!(account.simulator.targets()[0].state, "draining");
    let nowhere = group.replace("auth", "other");
    let refused = account
        .elb
        .register_targets()
        .target_group_arn(nowhere)
        .targets(target)
        .send()
        .await;
    let refused = refused.expect_err("no such group").into_service_error();
    assert!(matches!(refused, RegisterTargetsError::TargetGroupNotFoundException(_)));
    account
        .simulator
        .fault(Fault::on("DescribeTargetHealth", Mishap::Denied).once());
    let denied = account
        .elb
        .describe_target_health()
        .target_group_arn(&group)
        .send()
        .await;
    assert_eq!(denied.expect_err("it is denied").code(), Some("AccessDenied"));
}

#[tokio::test]
async fn the_sdk_reads_balancers_listeners_and_rules() {
    let account = start().await;
    let balancer = account.simulator.load_balancer("main");
    let group = account
        .simulator
        .target_group(&TargetGroup::ip("auth-tg", 8080).unused());
    let found = account
        .elb
        .describe_load_balancers()
        .names("main")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        found.load_balancers()[0].load_balancer_arn(),
        Some(balancer.arn.as_str())
    );
    let listeners = account
        .elb
        .describe_listeners()
        .load_balancer_arn(&balancer.arn)
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        listeners.listeners()[0].listener_arn(),
        Some(balancer.listener.as_str())
    );
    let create = || {
        let condition = RuleCondition::builder()
            .field("path-pattern")
            .values("/api/auth/*")
            .build();
        let action = Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .target_group_arn(&group)
            .build();
        let tag = aws_sdk_elasticloadbalancingv2::types::Tag::builder()
            .key("wharf:instance")
            .value("inst_1")
            .build();
        let create = account.elb.create_rule().listener_arn(&balancer.listener).priority(7);
        create.conditions(condition).actions(action).tags(tag).send()
    };
    let made = create().await.expect("it is made");
    let arn = made.rules()[0].rule_arn().expect("an ARN").to_owned();
    let taken = create().await.expect_err("the priority is taken").into_service_error();
    assert!(matches!(taken, CreateRuleError::PriorityInUseException(_)));
    let rules = account
        .elb
        .describe_rules()
        .listener_arn(&balancer.listener)
        .send()
        .await
        .expect("an answer");
    let priorities: Vec<_> = rules
        .rules()
        .iter()
        .filter_map(aws_sdk_elasticloadbalancingv2::types::Rule::priority)
        .collect();
    assert_eq!(priorities, ["7", "default"]);
    let condition = &rules.rules()[0].conditions()[0];
    assert_eq!(
        condition.path_pattern_config().map(|config| config.values().to_vec()),
        Some(vec!["/api/auth/*".to_owned()])
    );
    let tags = account
        .elb
        .describe_tags()
        .resource_arns(&arn)
        .send()
        .await
        .expect("an answer");
    assert_eq!(tags.tag_descriptions()[0].tags()[0].value(), Some("inst_1"));
    account
        .elb
        .delete_rule()
        .rule_arn(&arn)
        .send()
        .await
        .expect("it is removed");
    assert_eq!(account.simulator.rules(), []);
}

/// How a test lets minutes pass in no time: the simulator follows tokio's clock, which jumps to the next thing that is due.
#[tokio::test(start_paused = true)]
async fn what_takes_half_a_minute_takes_nothing_on_a_paused_clock() {
    let account = start_with(Options::following(1.0)).await;
    let started = on_fargate(&account).send().await.expect("it starts");
    let arn = started.tasks()[0].task_arn().expect("an ARN").to_owned();
    let before = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(5 * SECOND).await;
        let describe = account.ecs.describe_tasks().cluster("auth-cluster").tasks(&arn);
        let described = describe.send().await.expect("an answer");
        if described.tasks()[0].last_status() == Some("RUNNING") {
            break;
        }
    }
    assert_eq!(before.elapsed().as_secs(), 25);
}
