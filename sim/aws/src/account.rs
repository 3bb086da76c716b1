//! What is in the account: a cluster with hosts, a service for each kind of network and route, and things that are none of Wharf's.

use std::{sync::Arc, time::Duration};
use wharf_aws_simulator::{
    ContainerInstance, Options, SECURITY_GROUP, SUBNETS, Simulator, TargetGroup, TaskDefinition,
};
use wharf_domain::{
    Service,
    service::{EcsTask, Launch, ListenerRule, PortRule, RouteRule, RunSpec, SecretsAs},
};
use wharf_testkit::sim::{clock::START, services::plain};

const CLUSTER: &str = "wharf";
/// How long targets drain; longer than services let them.
const DEREGISTRATION_DELAY: Duration = Duration::from_mins(1);

/// Services with tenants.
pub(crate) const TENANTS: &[&str] = &["shop", "direct", "edge"];
/// Services without.
pub(crate) const OTHERS: &[&str] = &["auth", "web", "single"];

/// Others' targets, one in each group that takes addresses: (id, port).
pub(crate) const FOREIGN_TARGET: (&str, u16) = ("10.0.240.7", 8080);

/// Another deployment of Wharf's in the same account.
pub(crate) const FOREIGN_DEPLOYMENT: &str = "dep-of-others";

/// The account of one run.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) services: Vec<Service>,
    pub(crate) foreign: Foreign,
}

/// What is others', and has to be there at the end as at the beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Foreign {
    /// ARNs.
    pub(crate) tasks: Vec<String>,
    /// Group, id and port.
    pub(crate) targets: Vec<(String, String, u16)>,
    pub(crate) rules: Vec<String>,
}

impl Account {
    pub(crate) fn new(hosts: usize) -> Self {
        let simulator = Arc::new(Simulator::in_process(Options {
            starts_at: Duration::from_millis(START.0),
            ..Options::following(1.0)
        }));
        simulator.cluster(CLUSTER);
        for _ in 0..hosts {
            // Room for ten tasks or so: now and then there is none.
            simulator.container_instance(CLUSTER, &ContainerInstance::sized(4_096, 2_560).interfaces(3));
        }
        let listener = simulator.load_balancer("main").listener;
        let services = services(&simulator, &listener);
        Self {
            simulator,
            services,
            foreign: Foreign::default(),
        }
    }

    /// Somebody else's tasks, targets and rules.
    pub(crate) async fn plant_foreigners(&mut self) {
        let simulator = &self.simulator;
        let theirs = format!("wharf/{FOREIGN_DEPLOYMENT}/inst_00000000000000000000000000/1");
        for started_by in ["ecs-svc/1234567890", &theirs] {
            let task = foreign::run_task(simulator, CLUSTER, "others", started_by).await;
            self.foreign.tasks.extend(task);
        }
        for service in &self.services {
            let RouteRule::TargetGroups { arns, rule, .. } = &service.route else {
                continue;
            };
            // A rule of Wharf's stays as long as somebody is in its group, whoever that is.
            for arn in arns.iter().filter(|arn| arn.contains("/ip-") && rule.is_none()) {
                let (id, port) = FOREIGN_TARGET;
                foreign::register(simulator, arn, id, port).await;
                self.foreign.targets.push((arn.clone(), id.to_owned(), port));
            }
            if let (Some(rule), Some(arn)) = (rule, arns.first()) {
                let made = foreign::create_rule(simulator, &rule.listener, arn).await;
                self.foreign.rules.extend(made);
            }
        }
    }

    /// The groups in which instances of this service are.
    pub(crate) fn groups(service: &Service) -> (&[String], Option<&ListenerRule>) {
        match &service.route {
            RouteRule::TargetGroups { arns, rule, .. } => (arns, rule.as_ref()),
            _ => (&[], None),
        }
    }
}

fn services(simulator: &Simulator, listener: &str) -> Vec<Service> {
    let define = |definition: TaskDefinition| {
        simulator
            .task_definition(&definition)
            .expect("a definition that ECS takes");
    };
    define(TaskDefinition::fargate("auth").container("auth", 8080));
    define(TaskDefinition::fargate("web").container("web", 8080));
    define(TaskDefinition::awsvpc("single").container("single", 8080));
    define(TaskDefinition::bridge("shop").container("shop", 8000));
    define(TaskDefinition::bridge("direct").container("direct", 8000));
    define(TaskDefinition::host("edge").container("edge", 9000));
    define(TaskDefinition::fargate("others").container("others", 8080));
    let ip = |name: &str| group(simulator, TargetGroup::ip(&format!("ip-{name}"), 8080));
    let instance = |name: &str| group(simulator, TargetGroup::instance(&format!("in-{name}"), 8000));
    let unused = simulator.target_group(&shaped(TargetGroup::ip("ip-web", 8080)).unused());
    let rule = ListenerRule {
        listener: listener.to_owned(),
        host: None,
        path: Some("/web/*".to_owned()),
    };
    vec![
        on_ecs("auth", groups(vec![ip("auth")], None)),
        on_ecs("web", groups(vec![unused], Some(rule))),
        Service {
            singleton: true,
            ..on_ecs("single", groups(vec![ip("single")], None))
        },
        Service {
            tenant: true,
            database: true,
            ..on_ecs("shop", groups(vec![instance("shop-a"), instance("shop-b")], None))
        },
        Service {
            tenant: true,
            port: PortRule::Static {
                first: 8000,
                last: 8003,
            },
            identity_header: Some("x-wharf-instance".to_owned()),
            ..on_ecs(
                "direct",
                RouteRule::Direct {
                    url: "http://{subdomain}.{ip}.sslip.io:{port}".to_owned(),
                },
            )
        },
        Service {
            tenant: true,
            ..on_ecs("edge", groups(vec![instance("edge")], None))
        },
    ]
}

fn group(simulator: &Simulator, setup: TargetGroup) -> String {
    simulator.target_group(&shaped(setup))
}

fn shaped(setup: TargetGroup) -> TargetGroup {
    let setup = setup.health_check("/healthz", Duration::from_secs(5), 2);
    setup.healthy_threshold(2).deregistration_delay(DEREGISTRATION_DELAY)
}

const fn groups(arns: Vec<String>, rule: Option<ListenerRule>) -> RouteRule {
    RouteRule::TargetGroups { arns, rule, url: None }
}

fn on_ecs(name: &str, route: RouteRule) -> Service {
    let task = EcsTask {
        cluster: CLUSTER.to_owned(),
        task_definition: name.to_owned(),
        container: None,
        port: None,
        subnets: SUBNETS.map(str::to_owned).to_vec(),
        security_groups: vec![SECURITY_GROUP.to_owned()],
        assign_public_ip: true,
        launch: Launch::Auto,
        command: None,
        cpu: None,
        memory: None,
        execute_command: false,
        secrets: SecretsAs::Values,
        host_address: None,
    };
    Service {
        route,
        start_timeout: Duration::from_mins(3),
        drain_timeout: Duration::from_secs(20),
        sleep: None,
        run: RunSpec::Ecs(task),
        ..plain(name)
    }
}

/// What somebody does who is not Wharf: calls by hand, when all is well.
mod foreign {
    use http::Request;
    use serde_json::{Value, json};
    use wharf_aws_simulator::{SUBNETS, Simulator};

    async fn exchange(simulator: &Simulator, request: http::request::Builder, body: String) -> String {
        let request = request.body(body.into()).expect("a request");
        let answer = simulator.exchange(request).await.expect("nothing is lost yet");
        assert!(answer.status().is_success(), "{answer:?}");
        String::from_utf8_lossy(answer.body()).into_owned()
    }

    fn signed(simulator: &Simulator, service: &str) -> http::request::Builder {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=OTHER/20270115/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        Request::post(simulator.url()).header("authorization", authorization)
    }

    pub(super) async fn run_task(
        simulator: &Simulator,
        cluster: &str,
        definition: &str,
        started_by: &str,
    ) -> Option<String> {
        let request = signed(simulator, "ecs").header("x-amz-target", "AmazonEC2ContainerServiceV20141113.RunTask");
        let body = json!({
            "cluster": cluster, "taskDefinition": definition, "launchType": "FARGATE", "startedBy": started_by,
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": SUBNETS } },
        });
        let answer = exchange(simulator, request, body.to_string()).await;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        Some(answer["tasks"][0]["taskArn"].as_str()?.to_owned())
    }

    pub(super) async fn register(simulator: &Simulator, group: &str, id: &str, port: u16) {
        let body = format!(
            "Action=RegisterTargets&Version=2015-12-01&TargetGroupArn={group}&Targets.member.1.Id={id}&Targets.member.1.Port={port}"
        );
        exchange(simulator, signed(simulator, "elasticloadbalancing"), body).await;
    }

    /// One that leads to the same group, by a path of its own.
    pub(super) async fn create_rule(simulator: &Simulator, listener: &str, group: &str) -> Option<String> {
        let body = format!(
            "Action=CreateRule&Version=2015-12-01&ListenerArn={listener}&Priority=7&Conditions.member.1.Field=path-pattern\
             &Conditions.member.1.Values.member.1=/others/*&Actions.member.1.Type=forward&Actions.member.1.TargetGroupArn={group}"
        );
        let answer = exchange(simulator, signed(simulator, "elasticloadbalancing"), body).await;
        let (_, rest) = answer.split_once("<RuleArn>")?;
        Some(rest.split_once("</RuleArn>")?.0.to_owned())
    }
}
