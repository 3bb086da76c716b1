//! `wharf deploy`: the plan as people and scripts read it, the folder that it renders, and the programs that it runs, played by scripts that write
//! down what they were given. AWS is the simulator, and for tables a server that knows none.

use axum::{Router, http::StatusCode};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use wharf_aws_simulator::{Inventory, Options, Simulator};

use crate::{
    cli::seen,
    harness::{Deployment, Setup},
};

const CONFIGURATION: &str = include_str!("../../../../../deploy/wharf.toml");
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");

/// Writes its words down, one a line, says something, and tells that a stack gives out nothing.
const SAM: &str = r#"#!/bin/sh
printf '%s\n' "$@" "" >> "$TEST_FOLDER/sam"
if [ "$1" = list ]; then echo '[]'; else echo "sam says something"; fi
"#;

/// Of a program for Linux, what says for which processor it is.
fn program_for(machine: u8) -> Vec<u8> {
    let mut head = vec![0; 64];
    head[..4].copy_from_slice(b"\x7fELF");
    head[18] = machine;
    head
}

const ARM: u8 = 0xb7;
const X86: u8 = 0x3e;

fn executable(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}

/// A deployment whose `PATH` has what the test puts there, and nothing else.
struct Place {
    deployment: Deployment,
    _aws: Simulator,
}

impl Place {
    async fn new(configuration: &str) -> Self {
        Self::with(configuration, &[]).await
    }

    async fn with(configuration: &str, variables: &[(&'static str, &str)]) -> Self {
        let options = Options {
            region: "us-east-2".to_owned(),
            ..Options::default()
        };
        let aws = Simulator::start(options).await.expect("it listens");
        let account = Inventory::parse(Inventory::DOCUMENTED).expect("an account");
        aws.put(&account).expect("it is taken");
        let setup = Setup::new().configured(configuration);
        let bin = setup.folder().join("bin").display().to_string();
        let url = aws.url();
        let mut setup = setup
            .with("PATH", &bin)
            .with("AWS_ENDPOINT_URL_STS", &url)
            .with("AWS_ENDPOINT_URL_ECS", &url)
            .with("AWS_ACCESS_KEY_ID", "test")
            .with("AWS_SECRET_ACCESS_KEY", "test")
            .with("AWS_EC2_METADATA_DISABLED", "true")
            .with("AWS_REGION", "us-east-2");
        for (name, value) in variables {
            setup = setup.with(name, value);
        }
        Self {
            deployment: setup.not_running(),
            _aws: aws,
        }
    }

    fn folder(&self) -> &Path {
        self.deployment.setup().folder()
    }

    fn sam(&self, script: &str) {
        executable(&self.folder().join("bin/sam"), script);
    }

    fn bootstrap(&self, machine: u8) -> PathBuf {
        let path = self.folder().join("built");
        fs::write(&path, program_for(machine)).expect("written");
        path
    }

    /// What `sam` was given, call by call; none where it was not called.
    fn calls(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.folder().join("sam")).unwrap_or_default();
        let calls = text.split("\n\n").filter(|call| !call.trim().is_empty());
        calls.map(|call| call.lines().map(str::to_owned).collect()).collect()
    }
}

#[tokio::test]
async fn the_plan_says_what_would_be_done_and_does_nothing() {
    let place = Place::new(CONFIGURATION).await;
    place.sam(SAM);
    place.bootstrap(ARM);
    let words = [
        "deploy",
        "--bootstrap",
        "built",
        "--morning-start",
        "07:30",
        "--evening-stop",
        "cron(0 19 ? * MON-FRI *)",
    ];
    let plan = place.deployment.wharf(&words).await.exits(0);
    seen("deploy-plan", &place.deployment, &plan);
    let plan = place
        .deployment
        .wharf(&["deploy", "--bootstrap", "built", "--json"])
        .await
        .exits(0);
    seen("deploy-plan-json", &place.deployment, &plan);
    assert_eq!(place.calls(), Vec::<Vec<String>>::new());
    assert!(!place.deployment.data().join("deploy").exists());
}

#[tokio::test]
async fn a_folder_is_rendered_and_nothing_is_deployed() {
    let place = Place::new(CONFIGURATION).await;
    place.sam(SAM);
    place.bootstrap(X86);
    let words = [
        "deploy",
        "--bootstrap",
        "built",
        "--arch",
        "x86_64",
        "--out",
        "rendered",
        "--json",
    ];
    let plan = place.deployment.wharf(&words).await.exits(0).json();
    assert_eq!(plan["done"], "rendered");
    let read = |name: &str| fs::read(place.folder().join("rendered").join(name)).expect(name);
    assert_eq!(read("bootstrap/bootstrap"), program_for(X86));
    assert_eq!(read("bootstrap/wharf.toml"), CONFIGURATION.as_bytes());
    let template = String::from_utf8(read("template.yaml")).expect("text");
    assert!(template.contains("CodeUri: bootstrap/\n") && template.contains("DefinitionUri: statemachine.asl.json"));
    serde_json::from_slice::<Value>(&read("statemachine.asl.json")).expect("JSON");
    assert!(!read("alb.yaml").is_empty() && !read("ec2-host.yaml").is_empty());
    let program = fs::metadata(place.folder().join("rendered/bootstrap/bootstrap")).expect("it is there");
    assert_eq!(program.permissions().mode() & 0o777, 0o755);
    assert_eq!(place.calls().len(), 0);
}

#[tokio::test]
async fn what_is_applied_is_what_was_planned() {
    let place = Place::with(
        CONFIGURATION,
        &[("SUBNETS", "subnet-1,subnet-2"), ("RESEND_API_KEY", "re_secret")],
    )
    .await;
    let outputs = json!([{"OutputKey": "Url", "OutputValue": "https://api.example.com", "Description": "The page"}]);
    place.sam(&SAM.replace("[]", &outputs.to_string()));
    place.bootstrap(ARM);
    let words = [
        "deploy",
        "--apply",
        "--bootstrap",
        "built",
        "--stage",
        "prod",
        "--stack-name",
        "shop",
        "--parameter",
        "ResendSecret=resend",
        "--morning-start",
        "07:30",
        "--morning-service",
        "auth",
        "--json",
    ];
    let ran = place.deployment.wharf(&words).await.exits(0);
    let done = ran.json();
    assert_eq!(done["done"], "applied");
    assert_eq!(done["outputs"], json!({"Url": "https://api.example.com"}));
    assert!(ran.stderr.contains("sam says something"), "{}", ran.stderr);
    let calls = place.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    let has = |call: &[String], word: &str| call.iter().any(|given| given == word);
    for word in [
        "deploy",
        "shop",
        "us-east-2",
        "CAPABILITY_NAMED_IAM",
        "Stage=\"prod\"",
        "Architecture=\"arm64\"",
        "Subnets=\"subnet-1,subnet-2\"",
        "MorningStart=\"cron(30 7 * * ? *)\"",
        "MorningService1=\"auth\"",
        "MorningService2=\"\"",
        "AllowedTargetGroups=\"auth-lb,batch-tg-dev,fa2-tg,pdf-lb,users-tg-dev\"",
    ] {
        assert!(has(&calls[0], word), "{word} in {:?}", calls[0]);
    }
    assert_eq!(&calls[1][..2], ["list", "stack-outputs"]);
    assert!(!format!("{calls:?}{ran:?}").contains("re_secret"));
    assert!(place.deployment.data().join("deploy/prod/bootstrap/bootstrap").exists());
}

#[tokio::test]
async fn the_function_is_built_from_the_source() {
    let place = Place::new(CONFIGURATION).await;
    place.sam(SAM);
    let built = place.bootstrap(ARM);
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$TEST_FOLDER/cargo-lambda\"\nwhile [ \"$1\" != --lambda-dir ]; do shift; done\nfor name in bootstrap databases; do /bin/cp '{}' \"$2/$name/bootstrap\"; done\n",
        built.display()
    );
    executable(&place.folder().join("bin/cargo-lambda"), &script);
    place
        .deployment
        .wharf(&["deploy", "--apply", "--source", SOURCE])
        .await
        .exits(0);
    let words = fs::read_to_string(place.folder().join("cargo-lambda")).expect("it was called");
    let words: Vec<_> = words.lines().collect();
    assert_eq!(&words[..5], ["lambda", "build", "--locked", "--profile", "lambda"]);
    assert!(
        words.contains(&"--arm64") && words.contains(&"wharf-lambda"),
        "{words:?}"
    );
    // What was built is for another processor than the stack: it is not deployed.
    let before = place.calls().len();
    let other = ["deploy", "--apply", "--source", SOURCE, "--arch", "x86_64"];
    let ran = place.deployment.wharf(&other).await.exits(1);
    assert!(ran.stderr.contains("was built for arm64"), "{}", ran.stderr);
    assert_eq!(place.calls().len(), before);
}

#[tokio::test]
async fn where_tenants_have_databases_the_function_that_makes_them_is_deployed_too() {
    let own_data = "[services.crownmercado.environment]\nDATABASE_URL = \"sqlite:///data/shop.db\"\n";
    assert!(CONFIGURATION.contains(own_data));
    let configuration = CONFIGURATION.replace(own_data, "").replace(
        "[services.crownmercado]\n",
        "[services.crownmercado]\ndatabase = true\n",
    );
    let place = Place::new(&configuration).await;
    place.sam(SAM);
    place.bootstrap(ARM);
    let nowhere = place
        .deployment
        .wharf(&["deploy", "--bootstrap", "built"])
        .await
        .exits(1);
    assert!(nowhere.stderr.contains("PostgresSecret"), "{}", nowhere.stderr);

    let configured = format!(
        "{configuration}\n[aws]\npostgres_secret = \"wharf/dev/postgres\"\npostgres_address = \"10.0.0.5:5432\"\n"
    );
    let place = Place::with(
        &configured,
        &[("WHARF_POSTGRES_URL", "postgresql://admin:hunter2@db/postgres")],
    )
    .await;
    place.sam(SAM);
    let built = place.bootstrap(ARM);
    let deploy = ["deploy", "--bootstrap", "built", "--out", "rendered", "--json"];
    let plan = place.deployment.wharf(&deploy).await.exits(0).json();
    let obstacles = plan["obstacles"].to_string();
    assert!(obstacles.contains("--databases FILE"), "{plan}");
    let set = |name: &str| {
        let parameters = plan["parameters"].as_array().expect("parameters");
        let found = parameters.iter().find(|parameter| parameter["name"] == name);
        found.map(|parameter| parameter["value"].clone()).unwrap_or_default()
    };
    assert_eq!(set("PostgresSecret"), "wharf/dev/postgres");
    assert_eq!(set("PostgresAddress"), "10.0.0.5:5432");
    assert!(!plan.to_string().contains("hunter2"), "{plan}");

    fs::copy(built, place.folder().join("databases")).expect("a program beside");
    let plan = place.deployment.wharf(&deploy).await.exits(0).json();
    assert_eq!(plan["obstacles"], json!([]), "{plan}");
    let read = |name: &str| fs::read(place.folder().join("rendered").join(name)).expect(name);
    assert_eq!(read("databases/bootstrap"), program_for(ARM));
    assert!(
        !place.folder().join("rendered/databases/wharf.toml").exists(),
        "it has no configuration"
    );
    let template = String::from_utf8(read("template.yaml")).expect("text");
    assert!(template.contains("CodeUri: databases/\n"));
}

#[tokio::test]
async fn what_is_missing_is_said_with_the_way_to_get_it() {
    let place = Place::new(CONFIGURATION).await;
    place.bootstrap(ARM);
    let apply = ["deploy", "--apply", "--bootstrap", "built"];
    seen(
        "error-deploy-no-sam",
        &place.deployment,
        &place.deployment.wharf(&apply).await.exits(1),
    );
    place.sam(SAM);
    let source = ["deploy", "--apply", "--source", SOURCE];
    let ran = place.deployment.wharf(&source).await.exits(1);
    assert!(
        ran.stderr.contains("cargo-lambda is in none") && ran.stderr.contains("pip install cargo-lambda"),
        "{}",
        ran.stderr
    );
    let nowhere = place.deployment.wharf(&["deploy", "--apply"]).await.exits(1);
    seen("error-deploy-no-source", &place.deployment, &nowhere);
    let other = place
        .deployment
        .wharf(&["deploy", "--apply", "--bootstrap", "built", "--arch", "x86_64"])
        .await
        .exits(1);
    assert!(other.stderr.contains("was built for arm64"), "{}", other.stderr);
    assert_eq!(place.calls().len(), 0);
}

#[tokio::test]
async fn a_deployment_that_fails_says_so() {
    let place = Place::new(CONFIGURATION).await;
    place.sam(&format!("{SAM}echo 'ROLLBACK_COMPLETE' >&2\nexit 3\n"));
    place.bootstrap(ARM);
    let ran = place
        .deployment
        .wharf(&["deploy", "--apply", "--bootstrap", "built"])
        .await
        .exits(1);
    assert!(
        ran.stderr.contains("ROLLBACK_COMPLETE") && ran.stderr.contains("deploy.failed"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout, "");
    assert_eq!(place.calls().len(), 1, "a stack that is not there gives nothing out");
}

#[tokio::test]
async fn a_wrong_configuration_is_told_before_anything_else() {
    let place =
        Place::new("[services.auth]\nroute = { kind = \"path\" }\nprocess = { command = [\"auth\"] }\nsize = 3\n")
            .await;
    place.sam(SAM);
    let ran = place.deployment.wharf(&["deploy", "--apply"]).await.exits(2);
    assert!(
        ran.stderr.contains("config.invalid") && ran.stderr.contains("size"),
        "{}",
        ran.stderr
    );
    place.deployment.configure("");
    let ran = place.deployment.wharf(&["deploy"]).await.exits(2);
    assert!(ran.stderr.contains("no service is configured"), "{}", ran.stderr);
    place.deployment.configure(CONFIGURATION);
    for words in [
        ["deploy", "--parameter", "Subnet=x"],
        ["deploy", "--parameter", "LogLevel=LOUD"],
        ["deploy", "--morning-start", "25:00"],
        ["deploy", "--stage", "NOT A STAGE"],
    ] {
        let ran = place.deployment.wharf(&words).await.exits(2);
        assert_eq!(ran.stdout, "", "{words:?}");
    }
    let words = ["deploy", "--evening-stop", "19:00", "--evening-service", "crownmercado"];
    let ran = place.deployment.wharf(&words).await.exits(4);
    assert!(ran.stderr.contains("service.tenant"), "{}", ran.stderr);
    assert_eq!(place.calls().len(), 0);
}

#[tokio::test]
async fn a_task_definition_that_is_not_there_is_an_obstacle() {
    let configuration = CONFIGURATION.replace("auth-api-task", "another-task");
    let place = Place::new(&configuration).await;
    place.sam(SAM);
    place.bootstrap(ARM);
    let plan = place
        .deployment
        .wharf(&["deploy", "--bootstrap", "built", "--json"])
        .await
        .exits(0)
        .json();
    assert!(
        plan["obstacles"][0]["message"]
            .as_str()
            .is_some_and(|text| text.contains("another-task")),
        "{plan}"
    );
    place
        .deployment
        .wharf(&["deploy", "--bootstrap", "built", "--apply"])
        .await
        .exits(2);
    assert_eq!(place.calls().len(), 0);
}

/// DynamoDB, in an account without a table.
async fn without_tables() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = || async {
        let body = json!({"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "Requested resource not found"});
        (
            StatusCode::BAD_REQUEST,
            [("content-type", "application/x-amz-json-1.0")],
            body.to_string(),
        )
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    url
}

#[tokio::test]
async fn a_server_without_its_tables_says_which_and_how_they_are_made() {
    let url = without_tables().await;
    let configuration = format!("{CONFIGURATION}\n[registry]\nkind = \"dynamodb\"\ntable = \"mine\"\n");
    let mut place = Place::with(&configuration, &[("AWS_ENDPOINT_URL_DYNAMODB", &url)]).await;
    let refused = place.deployment.try_up().await.expect_err("there is no table");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for text in [
        "mine, crownmercado-ports, UserPortRegistry",
        "us-east-2",
        "wharf deploy tables --apply",
    ] {
        assert!(refused.stderr.contains(text), "{text}: {}", refused.stderr);
    }
    let tables = place.deployment.wharf(&["deploy", "tables"]).await.exits(0);
    seen("deploy-tables", &place.deployment, &tables);
}
