//! An account of AWS that the stack is deployed in: `deploy/template.yaml` as it is shipped, expanded as CloudFormation does it, the real `bootstrap`
//! behind its queue, rules, API and state machine. ECS, ELBv2 and EC2 are the simulator; all else is the emulator.
//!
//! The function may do what the stack's role says, and nothing else: the simulator is told of the role's policy, as it was deployed.

use http::{Method, Request};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;
use wharf_aws_simulator::{Inventory, Options, Simulator, Subscriber, TargetGroup, TargetPlan, TaskPlan};
use wharf_testkit::{emulator::Emulator, postgres::Postgres};

use crate::{
    api::{Answer, Api, decoded},
    mail::{KEY, Resend},
    wait::eventually,
};

/// Those of the documents, and of the ARNs in `deploy/wharf.toml`.
pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "us-east-2";
/// The stage that is deployed; it names everything.
pub(crate) const STAGE: &str = "dev";
pub(crate) const FUNCTION: &str = "start-engines-lambda-dev";
pub(crate) const AUTH_GROUP: &str =
    "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/auth-lb/0123456789abcdef";
const ROLE: &str = "start-engines-lambda-role-dev";
const WAKE_QUEUE: &str = "start-engines-wake-dev";
const WAKE_DEAD_LETTERS: &str = "start-engines-wake-dlq-dev";
const STATE_MACHINE: &str = "arn:aws:states:us-east-2:123456789012:stateMachine:start-engines-dev";
/// The secret with the key of the mail provider, which is there before the stack.
const RESEND_SECRET: &str = "resend";
/// The same with the administrator of the database server.
const POSTGRES_SECRET: &str = "wharf/dev/postgres";
/// The function that makes databases.
const DATABASES_FUNCTION: &str = "start-engines-databases-dev";
/// Where it is to be placed. The emulator does not mind.
const DATABASE_SUBNETS: &str = "subnet-0a1b2c3d4e5f60001,subnet-0a1b2c3d4e5f60002";
const DATABASE_SECURITY_GROUP: &str = "sg-0a1b2c3d4e5f60001";
/// Simulated seconds in a real one: a task on Fargate takes 24 s to run.
const SPEED: f64 = 10.0;
/// AWS checks a target's health each five seconds at most; the function waits in real time.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// The expanded template, by `cargo xtask test --suite aws`.
const TEMPLATE: &str = "WHARF_TEST_TEMPLATE";
/// The function's package, which holds `bootstrap` of this folder, by the same.
const PACKAGE: &str = "WHARF_TEST_PACKAGE";

pub(crate) struct Account {
    pub(crate) simulator: Simulator,
    pub(crate) resend: Resend,
    pub(crate) api: Api,
    /// The HTTP API's host name.
    host: String,
    admin_token: String,
    // The emulator ends before its sandboxes: it would make new ones.
    _emulator: Emulator,
    sandboxes: Sandboxes,
}

/// What a test wants otherwise.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    parameters: Vec<(&'static str, String)>,
    configuration: Option<String>,
    /// Whose the database server is, as Secrets Manager has it.
    administrator: Option<Value>,
}

impl Setup {
    pub(crate) fn with(mut self, parameter: &'static str, value: &str) -> Self {
        self.parameters.push((parameter, value.to_owned()));
        self
    }

    /// Tenants' databases are on this server, whose address the stack is told, and whose administrator a secret has.
    pub(crate) fn with_databases_on(mut self, server: &Postgres) -> Self {
        let (user, password) = server.administrator();
        self.administrator = Some(json!({"username": user, "password": password}));
        self.with("PostgresSecret", POSTGRES_SECRET)
            .with("PostgresAddress", &format!("127.0.0.1:{}", server.port()))
            .with("DatabaseSubnets", DATABASE_SUBNETS)
            .with("DatabaseSecurityGroups", DATABASE_SECURITY_GROUP)
    }

    /// `wharf.toml`, in place of the shipped one.
    pub(crate) fn configured(mut self, toml: String) -> Self {
        self.configuration = Some(toml);
        self
    }

    pub(crate) async fn deploy(self) -> Account {
        let resend = Resend::start().await;
        let simulator = simulated().await;
        let sandboxes = Sandboxes::new();
        let host = format!("{REGION}.amazonaws.com");
        let emulator = Emulator::start(&[
            ("MINISTACK_ACCOUNT_ID", ACCOUNT),
            ("MINISTACK_REGION", REGION),
            ("MINISTACK_HOST", &host),
            ("TMPDIR", sandboxes.path("").as_str()),
            // A state machine waits a second where the shipped one says five.
            ("SFN_WAIT_SCALE", "0.2"),
            ("WHARF_TEST_SANDBOX", sandboxes.path("sandbox").as_str()),
        ])
        .await;
        let api = Api::new(emulator.url());
        sandboxes.write(&api, &simulator, &resend, self.configuration.as_deref());
        simulator.publish(Subscriber::Queue(format!("{}/{ACCOUNT}/{WAKE_QUEUE}", api.url)));
        let mut account = Account {
            simulator,
            resend,
            api,
            host: String::new(),
            admin_token: String::new(),
            _emulator: emulator,
            sandboxes,
        };
        account.upload().await;
        account.secret(RESEND_SECRET, KEY).await;
        if let Some(administrator) = &self.administrator {
            account.secret(POSTGRES_SECRET, &administrator.to_string()).await;
        }
        account.create_stack(&self.parameters).await;
        let policy = account.policy("operations").await;
        account
            .simulator
            .allow_only(&policy)
            .expect("a policy that the simulator knows");
        account
    }
}

/// The account of the documents, whose load balancers look at their targets often.
async fn simulated() -> Simulator {
    let inventory = Inventory::parse(Inventory::DOCUMENTED).expect("the documented account");
    let options = Options {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        ..Options::following(SPEED)
    };
    let simulator = Simulator::start(options).await.expect("a simulator");
    simulator.put(&inventory).expect("the documented account");
    for (name, port) in [("auth-lb", 8080), ("pdf-lb", 9080)] {
        let group = TargetGroup::ip(name, port)
            .id("0123456789abcdef")
            .health_check("/healthz", HEALTH_INTERVAL, 2)
            .deregistration_delay(Duration::from_secs(2))
            .plan(TargetPlan::WhileTaskRuns(Duration::from_secs(10)));
        simulator.target_group(&group);
    }
    simulator
}

impl Account {
    pub(crate) async fn new() -> Self {
        Setup::default().deploy().await
    }

    async fn upload(&self) {
        let here = format!(
            "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
        );
        self.put("", here.into_bytes()).await;
        self.put("/code.zip", read(PACKAGE)).await;
        self.put("/template.json", read(TEMPLATE)).await;
        let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/statemachine.asl.json");
        self.put("/definition.json", fs::read(machine).expect("the state machine"))
            .await;
    }

    /// A secret that is there before the stack.
    async fn secret(&self, name: &str, value: &str) {
        let secret = json!({"Name": name, "SecretString": value, "ClientRequestToken": "before-0123456789-0123456789-0123456789"});
        self.api
            .call("secretsmanager", "secretsmanager.CreateSecret", &secret)
            .await;
    }

    async fn put(&self, key: &str, body: Vec<u8>) {
        let request = self.api.request("s3", Method::PUT, &format!("/deploy{key}"));
        self.api.send(request, body).await.is(200);
    }

    async fn create_stack(&mut self, parameters: &[(&str, String)]) {
        let url = format!("{}/deploy/template.json", self.api.url);
        // The shortest wait that the template knows, and what is particular to the account of the documents.
        let roles =
            "ecsTaskExecutionRole,auth-api-task,pdf-creator-task,fa-engine-task,users-api-task,batch-worker-task";
        let mut all = vec![
            ("Stage", STAGE),
            ("Architecture", "x86_64"),
            ("TaskWaitTimeout", "60"),
            ("TaskPollInterval", "1"),
            ("Subnets", wharf_aws_simulator::SUBNETS[0]),
            ("SecurityGroups", wharf_aws_simulator::SECURITY_GROUP),
            ("AllowedTaskRoles", roles),
            ("MailFrom", "Wharf <wharf@crownmercado.example>"),
            ("ResendSecret", RESEND_SECRET),
        ];
        for (name, value) in parameters {
            all.retain(|(known, _)| known != name);
            all.push((name, value));
        }
        let mut fields = vec![
            ("Action".to_owned(), "CreateStack".to_owned()),
            ("StackName".to_owned(), "wharf".to_owned()),
            ("TemplateURL".to_owned(), url),
            ("Capabilities.member.1".to_owned(), "CAPABILITY_NAMED_IAM".to_owned()),
        ];
        for (index, (name, value)) in (1..).zip(all) {
            fields.push((format!("Parameters.member.{index}.ParameterKey"), name.to_owned()));
            fields.push((format!("Parameters.member.{index}.ParameterValue"), value.to_owned()));
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.api.query("cloudformation", &fields).await;
        let described = eventually("the stack", async || {
            let fields = [("Action", "DescribeStacks"), ("StackName", "wharf")];
            let answer = self.api.query("cloudformation", &fields).await;
            let status = answer.element("StackStatus");
            (status != "CREATE_IN_PROGRESS").then_some((status, answer.text()))
        })
        .await;
        assert_eq!(described.0, "CREATE_COMPLETE", "{}", described.1);
        let request = self.api.request("apigateway", Method::GET, "/v2/apis");
        let apis = self.api.send(request, "").await.is(200).json();
        let id = apis["items"][0]["apiId"].as_str().expect("an API").to_owned();
        self.host = format!("{id}.execute-api.{REGION}.amazonaws.com");
        let name = json!({"SecretId": format!("wharf/{STAGE}/admin-token")});
        let secret = self
            .api
            .call("secretsmanager", "secretsmanager.GetSecretValue", &name)
            .await;
        secret["SecretString"]
            .as_str()
            .expect("a token")
            .clone_into(&mut self.admin_token);
    }

    /// A policy of the function's role, as it was deployed.
    pub(crate) async fn policy(&self, name: &str) -> Value {
        let fields = [("Action", "GetRolePolicy"), ("RoleName", ROLE), ("PolicyName", name)];
        let text = self.api.query("iam", &fields).await.element("PolicyDocument");
        serde_json::from_str(&text)
            .or_else(|_| serde_json::from_str(&decoded(&text)))
            .expect("a policy")
    }
}

/// Its ways in.
impl Account {
    /// An event on the default bus; its id.
    pub(crate) async fn put_event(&self, source: &str, detail_type: &str, detail: &Value) -> String {
        let entry = json!({"Source": source, "DetailType": detail_type, "Detail": detail.to_string()});
        let answer = self
            .api
            .call("events", "AWSEvents.PutEvents", &json!({"Entries": [entry]}))
            .await;
        assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
        answer["Entries"][0]["EventId"].as_str().expect("an id").to_owned()
    }

    /// A message in the wake queue.
    pub(crate) async fn message(&self, body: &str) {
        let input = json!({"QueueUrl": self.queue(WAKE_QUEUE), "MessageBody": body});
        self.api.call("sqs", "AmazonSQS.SendMessage", &input).await;
    }

    /// Several at once, so that they come together.
    pub(crate) async fn messages(&self, bodies: &[&str]) {
        let entries: Vec<_> = (0..)
            .zip(bodies)
            .map(|(id, body): (u32, _)| json!({"Id": id.to_string(), "MessageBody": body}))
            .collect();
        let input = json!({"QueueUrl": self.queue(WAKE_QUEUE), "Entries": entries});
        self.api.call("sqs", "AmazonSQS.SendMessageBatch", &input).await;
    }

    /// The function is invoked, and waited for.
    pub(crate) async fn invoke(&self, payload: &Value) -> Value {
        let answer = self.invocation(payload).await;
        assert_eq!(answer.header("x-amz-function-error"), None, "{}", answer.text());
        answer.json()
    }

    /// Its schedule's turn. One that meets a sandbox which was just killed fails with it, and the next one is what counts.
    pub(crate) async fn sweep(&self) {
        self.invocation(&json!({"wharf": "sweep"})).await;
    }

    async fn invocation(&self, payload: &Value) -> Answer {
        let path = format!("/2015-03-31/functions/{FUNCTION}/invocations");
        let request = self.api.request("lambda", Method::POST, &path);
        self.api.send(request, payload.to_string()).await.is(200)
    }

    /// An execution of the state machine, once it is over.
    pub(crate) async fn execute(&self, input: &Value) -> Value {
        let start = json!({"stateMachineArn": STATE_MACHINE, "input": input.to_string()});
        let execution = self.api.call("states", "AWSStepFunctions.StartExecution", &start).await;
        let describe = json!({"executionArn": execution["executionArn"]});
        eventually("the end of an execution", async || {
            let answer = self
                .api
                .call("states", "AWSStepFunctions.DescribeExecution", &describe)
                .await;
            (answer["status"] != "RUNNING").then_some(answer)
        })
        .await
    }

    /// A request to the HTTP API, by nobody in particular.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.api
            .send(
                self.over_http(method, path),
                body.map_or_else(String::new, Value::to_string),
            )
            .await
    }

    /// The same by the operator.
    pub(crate) async fn operate(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self
            .over_http(method, path)
            .header("authorization", format!("Bearer {}", self.admin_token));
        self.api
            .send(request, body.map_or_else(String::new, Value::to_string))
            .await
    }

    pub(crate) fn over_http(&self, method: Method, path: &str) -> http::request::Builder {
        let port = self.api.url.rsplit(':').next().unwrap_or_default();
        Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{port}{path}"))
            .header("host", &self.host)
            .header("content-type", "application/json")
    }
}

/// What there is.
impl Account {
    pub(crate) fn queue(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.api.url)
    }

    /// What the operator sees.
    pub(crate) async fn instances(&self) -> Vec<Value> {
        let answer = self.operate(Method::GET, "/instances", None).await.is(200).json();
        answer["instances"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"))
            .clone()
    }

    /// All instances, as soon as there are so many and each is in this state for good.
    pub(crate) async fn all_in_state(&self, count: usize, state: &str) -> Vec<Value> {
        eventually(&format!("{count} instances that are {state}"), async || {
            let instances = self.instances().await;
            let all = instances
                .iter()
                .all(|its| its["status"] == state && its["moving"] == false);
            (all && instances.len() == count).then_some(instances)
        })
        .await
    }

    /// Items of a table.
    pub(crate) async fn items(&self, table: &str) -> Vec<Value> {
        let answer = self
            .api
            .call("dynamodb", "DynamoDB_20120810.Scan", &json!({"TableName": table}))
            .await;
        answer["Items"].as_array().expect("items").clone()
    }

    /// Those of task definitions too that are not in the documents.
    pub(crate) fn every_task_answers(&self) {
        self.simulator.plan_all(TaskPlan {
            serves: true,
            ..TaskPlan::container_instance()
        });
    }

    /// As soon as no task lives, and no target is left.
    pub(crate) async fn nothing_is_left(&self) {
        eventually("an empty world", async || {
            (self.simulator.live_tasks().is_empty() && self.simulator.targets().is_empty()).then_some(())
        })
        .await;
    }

    /// As soon as nothing waits in the wake queue, and nothing that was taken out of it is under way.
    pub(crate) async fn queue_is_empty(&self) {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let input = json!({"QueueUrl": self.queue(WAKE_QUEUE), "AttributeNames": names});
        eventually("an empty queue", async || {
            let answer = self.api.call("sqs", "AmazonSQS.GetQueueAttributes", &input).await;
            names.iter().all(|name| answer["Attributes"][name] == "0").then_some(())
        })
        .await;
    }

    /// The emulator keeps what the template says of CORS in CloudFormation's spelling (`AllowOrigins`), and looks for the API's own.
    pub(crate) async fn spell_cors_as_the_api_does(&self) {
        let (id, _) = self.host.split_once('.').expect("an API");
        let path = format!("/v2/apis/{id}");
        let api = self
            .api
            .send(self.api.request("apigateway", Method::GET, &path), "")
            .await
            .is(200)
            .json();
        let deployed = api["corsConfiguration"].as_object().expect("a configuration");
        let spelled: serde_json::Map<_, _> = deployed
            .iter()
            .map(|(name, value)| (format!("{}{}", name[..1].to_lowercase(), &name[1..]), value.clone()))
            .collect();
        let change = json!({"corsConfiguration": spelled});
        let request = self.api.request("apigateway", Method::PATCH, &path);
        self.api.send(request, change.to_string()).await.is(200);
    }

    /// Whether a message waits for its time.
    pub(crate) async fn has_delayed_messages(&self) -> bool {
        let name = "ApproximateNumberOfMessagesDelayed";
        let input = json!({"QueueUrl": self.queue(WAKE_QUEUE), "AttributeNames": [name]});
        let answer = self.api.call("sqs", "AmazonSQS.GetQueueAttributes", &input).await;
        answer["Attributes"][name] != "0"
    }

    /// What the schedule of the evening puts into the queue: the emulator knows the schedule, and the time does not come.
    pub(crate) async fn evening(&self) {
        let path = "/schedules/start-engines-evening-dev";
        let request = self.api.request("scheduler", Method::GET, path);
        let schedule = self.api.send(request, "").await.is(200).json();
        let input = schedule["Target"]["Input"].as_str().expect("an input");
        self.message(&input.replace("<aws.scheduler.scheduled-time>", "2026-11-21T19:00:00Z"))
            .await;
    }

    /// A message of the wake queue goes to the dead letters when it has failed so often, in place of the template's number.
    pub(crate) async fn give_up_after(&self, receives: u32) {
        let dead_letters = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{WAKE_DEAD_LETTERS}");
        let policy = json!({"deadLetterTargetArn": dead_letters, "maxReceiveCount": receives}).to_string();
        let input = json!({"QueueUrl": self.queue(WAKE_QUEUE), "Attributes": {"RedrivePolicy": policy}});
        self.api.call("sqs", "AmazonSQS.SetQueueAttributes", &input).await;
    }

    /// The next message that was given up.
    pub(crate) async fn dead_letter(&self) -> String {
        let input = json!({"QueueUrl": self.queue(WAKE_DEAD_LETTERS)});
        eventually("a dead letter", async || {
            let answer = self.api.call("sqs", "AmazonSQS.ReceiveMessage", &input).await;
            answer["Messages"][0]["Body"].as_str().map(str::to_owned)
        })
        .await
    }

    /// What both functions have logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.sandboxes.path("log")).expect("a log")
    }

    /// The sandbox that is at work is killed, whatever it does.
    pub(crate) fn kill_sandboxes(&self) {
        self.sandboxes.kill();
    }
}

/// The shipped configuration.
pub(crate) fn shipped() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/wharf.toml");
    fs::read_to_string(path).expect("the shipped configuration")
}

fn read(variable: &str) -> Vec<u8> {
    let path = env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run these tests by `cargo xtask test --suite aws`"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", PathBuf::from(path).display()))
}

/// The processes that the function runs in. None of them outlives this.
#[derive(Debug)]
struct Sandboxes {
    folder: TempDir,
}

impl Sandboxes {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    /// What Lambda gives a function, and where AWS is for it.
    fn write(&self, api: &Api, simulator: &Simulator, resend: &Resend, configuration: Option<&str>) {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy");
        let root = match configuration {
            None => shipped,
            Some(toml) => {
                fs::write(self.path("wharf.toml"), toml).expect("written");
                self.folder.path().to_owned()
            }
        };
        let simulated = simulator.url();
        let script = [
            "#!/bin/sh".to_owned(),
            format!("echo $$ >> {}", self.path("processes")),
            // It is told nothing of AWS: where it is nobody else is reached.
            format!("if [ \"$AWS_LAMBDA_FUNCTION_NAME\" = {DATABASES_FUNCTION} ]; then"),
            format!(
                "    exec {} >> {} 2>&1",
                env!("CARGO_BIN_EXE_databases"),
                self.path("log")
            ),
            "fi".to_owned(),
            format!("export LAMBDA_TASK_ROOT={}", root.display()),
            format!("export AWS_ENDPOINT_URL={}", api.url),
            format!("export AWS_ENDPOINT_URL_ECS={simulated} AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2={simulated}"),
            format!("export AWS_ENDPOINT_URL_EC2={simulated} AWS_ENDPOINT_URL_CLOUDWATCH_LOGS={simulated}"),
            format!("export AWS_ENDPOINT_URL_STS={simulated}"),
            format!("export WHARF_MAIL_RESEND_URL={}", resend.url),
            format!("exec {} >> {} 2>&1", env!("CARGO_BIN_EXE_bootstrap"), self.path("log")),
        ];
        let path = self.path("sandbox");
        fs::write(&path, script.join("\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// Those that live still, and are what was started.
    fn living(&self) -> BTreeSet<u32> {
        let started = fs::read_to_string(self.path("processes")).unwrap_or_default();
        let started = started.lines().filter_map(|line| line.parse().ok());
        let programs = [env!("CARGO_BIN_EXE_bootstrap"), env!("CARGO_BIN_EXE_databases")];
        let is_ours = |id: &u32| {
            fs::read_link(format!("/proc/{id}/exe"))
                .is_ok_and(|program| programs.iter().any(|ours| program == Path::new(ours)))
        };
        started.filter(is_ours).collect()
    }

    fn kill(&self) {
        for id in self.living() {
            let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        }
    }
}

impl Drop for Sandboxes {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.path("log")).unwrap_or_default());
        }
    }
}
