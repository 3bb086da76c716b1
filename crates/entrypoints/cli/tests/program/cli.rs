//! What people and scripts read: help, listings, errors, exit codes. Snapshots of the real program's output, with what differs
//! from run to run taken out.

use serde_json::Value;

use crate::harness::{Deployment, Ran, Setup, text};

/// Compares with the snapshot of this name.
pub(crate) fn seen(name: &str, deployment: &Deployment, ran: &Ran) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let literal = |text: &str| regex_escape(text);
    settings.add_filter(&literal(&deployment.setup().folder().display().to_string()), "[folder]");
    settings.add_filter(&literal(&deployment.setup().ports.dynamic()), "[ports]");
    settings.add_filter(&format!(r"\b{}\b", deployment.listen().port()), "[port]");
    settings.add_filter(r"inst_[0-9a-z]{26}", "[instance]");
    settings.add_filter(r"\b1[78]\d{11}\b", "[time]");
    settings.add_filter(r#""millis": \d+"#, r#""millis": [millis]"#);
    settings.add_filter(r"127\.0\.0\.1:\d{5}", "[endpoint]");
    settings.add_filter(r#""port": \d{5}"#, r#""port": [port]"#);
    settings.add_filter(r#""task": "\d+:\d+""#, r#""task": "[task]""#);
    settings.add_filter(r"(?m)^task {7}\d+:\d+$", "task       [task]");
    settings.add_filter(r"pid \d+", "pid [pid]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(\d+s ago\)", "[date] ([age] ago)");
    settings.add_filter(r"replaced-\d{8}T\d{6}Z", "replaced-[date]");
    settings.add_filter(r"dep_[0-9a-z]{16}", "[deployment]");
    settings.add_filter(r"\d+ KiB", "[size] KiB");
    settings.add_filter(r#""bytes": \d+"#, r#""bytes": [bytes]"#);
    settings.add_filter(r"\d+ MiB free", "[space] MiB free");
    settings.add_filter(r"\d+ at the most", "[files] at the most");
    settings.add_filter(
        r"in none of the folders of PATH \([^)]*\)",
        "in none of the folders of PATH ([path])",
    );
    // Columns of times: as wide as what is in them.
    settings.add_filter(r" +\+\d[\d.]* (ms|s) +\d[\d.]* (ms|s)", "  +[time]  [time]");
    settings.add_filter(r"AT +TOOK", "AT  TOOK");
    settings.add_filter(r"(?m)^(acme .* ready) +\d+s ", "$1  [age] ");
    settings.bind(|| insta::assert_snapshot!(name, ran.shown()));
}

fn regex_escape(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '/' {
                c.to_string()
            } else {
                format!("\\{c}")
            }
        })
        .collect()
}

const COMMANDS: &[&str] = &[
    "",
    "up",
    "provision",
    "start",
    "stop",
    "delete",
    "list",
    "list schedules",
    "show",
    "logs",
    "send-event",
    "mail",
    "mail list",
    "mail resend",
    "mail preview",
    "repair",
    "resume",
    "abandon",
    "extend",
    "backup",
    "restore",
    "doctor",
    "config",
    "config check",
    "config explain",
    "config schema",
    "deploy",
    "deploy tables",
    "cost",
    "completions",
    "storefront",
];

#[tokio::test]
async fn every_command_helps() {
    let deployment = Setup::new().not_running();
    for command in COMMANDS {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        words.push("--help");
        let ran = deployment.wharf(&words).await.exits(0);
        let name = if command.is_empty() {
            "help".to_owned()
        } else {
            format!("help-{}", command.replace(' ', "-"))
        };
        seen(&name, &deployment, &ran);
    }
}

#[tokio::test]
async fn every_command_is_among_those_that_help() {
    let deployment = Setup::new().not_running();
    let help = deployment.wharf(&["--help"]).await.exits(0).stdout;
    let (_, rest) = help.split_once("Commands:\n").expect("commands");
    let listed = rest.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        line.strip_prefix("  ")?
            .split(' ')
            .next()
            .filter(|word| !word.is_empty())
    });
    for command in listed.filter(|command| *command != "help") {
        assert!(COMMANDS.contains(&command), "{command}");
    }
}

#[tokio::test]
async fn a_tenant_is_listed_and_shown() {
    let deployment = Deployment::new().await;
    seen("list-empty", &deployment, &deployment.wharf(&["list"]).await.exits(0));
    let provision = [
        "provision",
        "acme",
        "--email",
        "admin@acme.example",
        "--company",
        "Acme Inc.",
    ];
    seen("provision", &deployment, &deployment.wharf(&provision).await.exits(0));
    seen("list", &deployment, &deployment.wharf(&["list"]).await.exits(0));
    seen(
        "list-json",
        &deployment,
        &deployment.wharf(&["list", "--json"]).await.exits(0),
    );
    seen("show", &deployment, &deployment.wharf(&["show", "acme"]).await.exits(0));
    seen("repair", &deployment, &deployment.wharf(&["repair"]).await.exits(0));
    seen(
        "repair-json",
        &deployment,
        &deployment.wharf(&["repair", "--json"]).await.exits(0),
    );
    let shown: Value = deployment.wharf(&["show", "acme", "--json"]).await.exits(0).json();
    assert_eq!(shown, deployment.show("acme").await, "what the API says");
    seen("stop", &deployment, &deployment.wharf(&["stop", "acme"]).await.exits(0));
    seen(
        "start",
        &deployment,
        &deployment.wharf(&["start", "acme"]).await.exits(0),
    );
    seen(
        "delete",
        &deployment,
        &deployment.wharf(&["delete", "acme"]).await.exits(0),
    );
    assert_eq!(
        deployment.wharf(&["list", "--json"]).await.exits(0).json(),
        serde_json::json!([])
    );
    let all = deployment.wharf(&["list", "--all", "--json"]).await.exits(0).json();
    assert_eq!(all[0]["status"], "ended");
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words_and_by_exit_code() {
    let deployment = Deployment::new().await;
    deployment.ready("acme").await;
    let cases: &[(&str, i32, &[&str])] = &[
        ("no-command", 2, &[]),
        ("unknown-command", 2, &["lst"]),
        ("unknown-option", 2, &["list", "--al"]),
        ("state-that-is-none", 2, &["list", "--state", "fine"]),
        ("show-nobody", 4, &["show", "nobody"]),
        ("show-nonsense", 4, &["show", "../../etc/passwd?x=1#y"]),
        ("stop-nobody", 4, &["stop", "nobody"]),
        ("start-nobody", 4, &["start", "nobody"]),
        ("start-a-tenants-service", 4, &["start", "storefront"]),
        ("delete-nobody", 4, &["delete", "nobody"]),
        ("resume-ready", 4, &["resume", "acme"]),
        (
            "provision-bad-fields",
            4,
            &["provision", "Acme Inc", "--email", "nobody", "--company", ""],
        ),
        (
            "provision-taken",
            4,
            &["provision", "acme", "--email", "b@acme.example", "--company", "Acme"],
        ),
        (
            "provision-taken-json",
            4,
            &[
                "provision",
                "acme",
                "--email",
                "b@acme.example",
                "--company",
                "Acme",
                "--json",
            ],
        ),
        ("env-that-is-none", 4, &["start", "storefront", "--env", "novalue"]),
        ("event-file-missing", 4, &["send-event", "no-such-file.json"]),
        ("server-elsewhere", 3, &["list", "--server", "http://127.0.0.1:1"]),
        ("server-with-tls", 2, &["list", "--server", "https://wharf.example.com"]),
    ];
    for (name, code, arguments) in cases {
        let ran = deployment.wharf(arguments).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (*code, ""), "{name}: {ran:#?}");
        seen(&format!("error-{name}"), &deployment, &ran);
    }
}

#[tokio::test]
async fn without_a_server_a_client_says_how_to_start_one() {
    let mut deployment = Setup::new().not_running();
    seen(
        "error-no-server",
        &deployment,
        &deployment.wharf(&["list"]).await.exits(3),
    );
    seen(
        "error-no-server-json",
        &deployment,
        &deployment.wharf(&["list", "--json"]).await.exits(3),
    );
    // One that was killed leaves word of itself behind, and is not taken for one that runs.
    deployment.up().await;
    deployment.kill().await;
    let ran = deployment.wharf(&["list"]).await.exits(3);
    assert!(ran.stderr.contains("no server runs"), "{ran:?}");
}

#[tokio::test]
async fn logs_are_printed_and_followed() {
    let mut deployment = Deployment::new().await;
    deployment.ready("acme").await;
    let ran = deployment.wharf(&["logs", "acme"]).await.exits(0);
    assert!(ran.stdout.contains("listening on"), "{ran:?}");
    let lines = deployment
        .wharf(&["logs", "acme", "-n", "1", "--json"])
        .await
        .exits(0)
        .json();
    assert_eq!(lines.as_array().map(Vec::len), Some(1), "{lines}");

    let mut follower = deployment.following(&["logs", "acme", "--follow"]);
    follower.prints("listening on", 1).await;
    deployment.tasks()[0].kill();
    follower.prints("listening on", 2).await;
    deployment.end().await;
    assert_eq!(follower.ends().await.0, Some(0));
}

#[tokio::test]
async fn completions_are_there_for_every_shell() {
    let deployment = Setup::new().not_running();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = deployment.wharf(&["completions", shell]).await.exits(0);
        assert!(
            ran.stdout.contains("wharf") && ran.stdout.contains("provision") && ran.stderr.is_empty(),
            "{shell}"
        );
    }
    seen(
        "error-completions-unknown",
        &deployment,
        &deployment.wharf(&["completions", "tcsh"]).await.exits(2),
    );
}

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:9999"

[services.auth]
route = { kind = "path", prefix = "/api/auth" }
process = { command = ["./auth", "--port", "{port}"] }
"#;

#[tokio::test]
async fn the_configuration_is_checked_explained_and_described() {
    let deployment = Setup::new().configured(CONFIG).not_running();
    seen(
        "config-check",
        &deployment,
        &deployment.wharf(&["config", "check"]).await.exits(0),
    );
    seen(
        "config-check-json",
        &deployment,
        &deployment.wharf(&["config", "check", "--json"]).await.exits(0),
    );
    seen(
        "config-explain",
        &deployment,
        &deployment.wharf(&["config", "explain", "server.listen"]).await.exits(0),
    );
    seen(
        "config-explain-json",
        &deployment,
        &deployment
            .wharf(&["config", "explain", "platform.dynamic_ports", "--json"])
            .await
            .exits(0),
    );
    seen(
        "error-config-explain-unknown",
        &deployment,
        &deployment.wharf(&["config", "explain", "server.lisen"]).await,
    );
    let schema = deployment.wharf(&["config", "schema"]).await.exits(0).json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["services"].is_object());

    deployment.configure("[server]\nlisen = \"x\"\n[names]\nrest = 30\n");
    seen(
        "config-check-bad",
        &deployment,
        &deployment.wharf(&["config", "check"]).await.exits(2),
    );
    seen(
        "config-check-bad-json",
        &deployment,
        &deployment.wharf(&["config", "check", "--json"]).await.exits(2),
    );
    seen(
        "error-config-missing",
        &deployment,
        &deployment
            .wharf(&["config", "check", "--config", "elsewhere.toml"])
            .await
            .exits(2),
    );
}

#[tokio::test]
async fn doctor_says_what_is_fine_and_what_is_not() {
    let listen =
        |deployment: &Deployment, rest: &str| format!("[server]\nlisten = \"{}\"\n{rest}", deployment.listen());
    let mut deployment = Setup::new().not_running();
    deployment.configure(&listen(&deployment, ""));
    seen("doctor", &deployment, &deployment.wharf(&["doctor"]).await.exits(0));
    deployment.up().await;
    seen(
        "doctor-while-it-runs",
        &deployment,
        &deployment.wharf(&["doctor"]).await.exits(0),
    );
    deployment.end().await;
    deployment.configure(&listen(
        &deployment,
        "[services.auth]\nprocess = { command = [\"no-such-program\"] }\n",
    ));
    seen("doctor-bad", &deployment, &deployment.wharf(&["doctor"]).await.exits(5));
    let checks = deployment.wharf(&["doctor", "--json"]).await.exits(5).json();
    let bad: Vec<&Value> = checks["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .filter(|check| check["grade"] == "failed")
        .collect();
    assert_eq!(bad.len(), 1, "{checks:#}");
    assert!(text(&bad[0]["what"]).contains("auth"));
}
