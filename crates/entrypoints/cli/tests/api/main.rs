//! The API as its document describes it: schemathesis makes requests from `docs/openapi.json`, good ones and bad ones, sends them to the
//! real program, and holds every answer against the document. No answer may be a server error, or one that the document does not have.
//!
//! `cargo xtask test --suite api` installs schemathesis and says by `WHARF_TEST_SCHEMATHESIS` where it is.
//!
//! What must not be here: what can be said of a single operation without making requests up. The tests of `wharf-http` say that.
#![cfg(target_os = "linux")]

#[path = "../program/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests of the program use all of it, these a part"
)]
mod harness;

use std::{env, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

use harness::{Deployment, Setup, text};

/// By this variable of the environment the program is found.
const SCHEMATHESIS: &str = "WHARF_TEST_SCHEMATHESIS";
/// What holds for every run: which checks there are, and what each is told.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/schemathesis.toml");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/openapi.json");
/// The same requests each time: what a run finds, the next one finds too.
const SEED: &str = "4";
/// Longer than a run takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);

/// A tenant's application, and a service without tenants; more of both than a run makes.
const CONFIGURATION: &str = r#"
[server]
max_instances = 1000

[signup]
service = "storefront"

[services.storefront]
tenant = true
database = true
start_timeout = "20s"
process = { command = ["wharf", "storefront"] }

[services.auth]
start_timeout = "20s"
route = { kind = "path", prefix = "/api/auth" }
health = { path = "/healthz" }
environment = { DATABASE_URL = "sqlite://FOLDER/auth.db" }
process = { command = ["wharf", "storefront"] }
"#;

/// Who sends the requests, and what they are made of.
struct Run<'a> {
    /// Lines of the header.
    headers: &'a [String],
    /// Further words of the command line.
    words: &'a [&'a str],
    /// Settings of this run, beside the rules.
    settings: String,
}

impl Run<'_> {
    /// Every answer was documented, and the server is as well as before.
    async fn must_be_good(self, deployment: &Deployment) {
        let program = env::var_os(SCHEMATHESIS).unwrap_or_else(|| {
            panic!("{SCHEMATHESIS} does not say where schemathesis is: run `cargo xtask test --suite api`")
        });
        let folder = deployment.setup().folder();
        let rules = std::fs::read_to_string(RULES).expect("the rules") + &self.settings;
        let settings = folder.join("schemathesis.toml");
        std::fs::write(&settings, rules).expect("the settings");
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .arg("--config-file")
            .arg(&settings)
            .args(["run", DOCUMENT, "--url"])
            .arg(format!("http://{}", deployment.listen()))
            .args(["--seed", SEED, "--no-color", "--workers", "1"])
            .args(self.words);
        for header in self.headers {
            command.args(["--header", header]);
        }
        let ran = timeout(PATIENCE, command.output())
            .await
            .expect("it ends in time")
            .expect("schemathesis starts");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{said}");
        assert!(said.contains(" passed"), "it has tried nothing: {said}");
        println!("{said}");
        deployment.console().get("/healthz").await.is(200);
        let log = deployment.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

async fn deployment() -> Deployment {
    let setup = Setup::new();
    let configuration = CONFIGURATION.replace("FOLDER", setup.folder().to_str().expect("a text"));
    setup.configured(&configuration).up().await
}

fn token(deployment: &Deployment) -> String {
    format!("Authorization: Bearer {}", deployment.admin_token())
}

#[tokio::test]
async fn what_nobody_in_particular_is_answered_is_documented() {
    let deployment = deployment().await;
    let run = Run {
        headers: &[],
        words: &["--max-examples", "12"],
        settings: String::new(),
    };
    run.must_be_good(&deployment).await;
}

#[tokio::test]
async fn what_the_operator_is_answered_is_documented() {
    let deployment = deployment().await;
    let run = Run {
        headers: &[token(&deployment)],
        words: &["--max-examples", "12"],
        settings: String::new(),
    };
    run.must_be_good(&deployment).await;
}

/// Requests that are made up are for nobody mostly. These are for an instance that is there.
#[tokio::test]
async fn what_is_answered_about_what_is_there_is_documented() {
    let deployment = deployment().await;
    let accepted = deployment.provision("acme").await;
    deployment.becomes(text(&accepted["id"]), "ready").await;
    let status = text(&accepted["status_url"]).rsplit('/').next().expect("a token");
    let run = Run {
        headers: &[token(&deployment)],
        words: &["--max-examples", "8"],
        settings: format!(
            "\n[parameters]\n\"path.id\" = \"acme\"\n\"path.name\" = \"auth\"\n\"path.token\" = {status:?}\n\"path.code\" = \"name.taken\"\n"
        ),
    };
    run.must_be_good(&deployment).await;
}
