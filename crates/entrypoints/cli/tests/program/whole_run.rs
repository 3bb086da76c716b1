//! A whole run, as talkative as it can be: sign-ups, a failure, a crash, stop, start, repair, an end, restarts. Afterwards no secret is
//! anywhere but where it has to be: not in a log, an answer, a page, a mail, a file, a command line, nor in the environment of a process
//! that has no use for it.

use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{
    harness::{Deployment, Setup, eventually, password_link, text},
    planted::{Search, Secret},
};

/// What the operator's environment has, and nobody else's.
const RESEND: &str = "re_QmFkZ2VyX29mX3RoZV9tb3VudGFpbg";
const AWS_SECRET: &str = "vX9/planted+secret+access+key/0123456789AB";
const AWS_SESSION: &str = "FwoGZXIvYXdzEPlantedSessionToken0123456789";

/// A tenant's application, one that never comes, and a service without tenants.
const CONFIGURATION: &str = r#"
[mail]
kind = "folder"

[signup]
service = "storefront"

[services.storefront]
tenant = true
database = true
process = { command = ["wharf", "storefront"] }

[services.broken]
tenant = true
database = true
process = { command = ["sh", "-c", "echo it cannot start; exit 3"] }

[services.auth]
route = { kind = "path", prefix = "/api/auth" }
process = { command = ["wharf", "storefront"] }
"#;

/// What was printed and answered, by what was asked.
type Said = Vec<(String, Vec<u8>)>;

/// Everything below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all
}

async fn commands(deployment: &Deployment, said: &mut Said, commands: &[&[&str]]) {
    for words in commands {
        let ran = deployment.wharf(words).await;
        said.push((
            format!("what `wharf {}` prints", words.join(" ")),
            (ran.stdout + &ran.stderr).into_bytes(),
        ));
    }
}

async fn pages(deployment: &Deployment, said: &mut Said) {
    let admin = deployment.admin();
    for path in [
        "/instances",
        "/instances?state=failed",
        "/instances/acme",
        "/instances/acme/logs",
        "/metrics",
        "/console",
        "/openapi.json",
        "/names/acme",
        "/healthz",
        "/readyz",
        "/nothing",
        "/errors/task.crashed",
    ] {
        let answer = admin.get(path).await;
        said.push((format!("the answer to GET {path}"), answer.body.to_vec()));
        let page = admin.page(path).await;
        said.push((format!("the page {path}"), page.body.to_vec()));
    }
    for path in ["/", "/login", "/console", "/instances"] {
        let page = deployment.console().page(path).await;
        said.push((format!("a visitor's page {path}"), page.body.to_vec()));
    }
    for path in ["/", "/admin/login", "/nothing"] {
        let page = deployment.tenant("acme").page(path).await;
        said.push((format!("the tenant's page {path}"), page.body.to_vec()));
    }
}

/// Credentials in wrong places: what is done with them there must not be to write them down.
async fn mistakes(deployment: &Deployment, said: &mut Said) {
    let token = deployment.admin_token();
    let console = deployment.console();
    for (what, client, path) in [
        ("in a query", console.clone(), format!("/instances?token={token}")),
        (
            "as a password",
            console.clone().with("authorization", format!("Basic {token}")),
            "/instances".to_owned(),
        ),
        (
            "of another's",
            console.clone().with("authorization", format!("Bearer {token}x")),
            "/instances".to_owned(),
        ),
        (
            "as a cookie",
            console.clone().with("cookie", format!("wharf_session={token}")),
            "/console".to_owned(),
        ),
        (
            "to a tenant",
            deployment
                .tenant("acme")
                .with("authorization", format!("Bearer {token}")),
            "/".to_owned(),
        ),
        (
            "to nobody",
            deployment
                .tenant("nobody")
                .with("authorization", format!("Bearer {token}")),
            "/".to_owned(),
        ),
    ] {
        let answer = client.get(&path).await;
        said.push((format!("the answer to a token {what}"), answer.body.to_vec()));
    }
    let garbled = deployment
        .console()
        .post_form("/login", &format!("token={token}%20x&other=1"))
        .await;
    said.push(("the answer to a garbled login".to_owned(), garbled.body.to_vec()));
}

/// Logs in and out, and gives the session's cookie.
async fn visit_the_console(deployment: &Deployment, said: &mut Said) -> String {
    let token = deployment.admin_token();
    let answer = deployment
        .console()
        .post_form("/login", &format!("token={token}"))
        .await;
    let cookie = answer.header("set-cookie").expect("a session").to_owned();
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let console = deployment.console().with("cookie", pair.clone());
    said.push((
        "the console in a session".to_owned(),
        console.page("/console").await.is(200).body.to_vec(),
    ));
    let out = console.post_form("/logout", "").await;
    assert_eq!(out.status, 303);
    console.get("/instances").await.is(401);
    pair.split_once('=').expect("a value").1.to_owned()
}

#[tokio::test]
async fn after_a_whole_run_no_secret_is_anywhere_but_in_its_place() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut deployment = Setup::new()
        .configured(CONFIGURATION)
        .with("LOG_LEVEL", "trace")
        .with("RESEND_API_KEY", RESEND)
        .with("AWS_ACCESS_KEY_ID", "AKIAPLANTEDPLANTED00")
        .with("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
        .with("AWS_SESSION_TOKEN", AWS_SESSION)
        .with("TMPDIR", temporary.path().to_str().expect("a text"))
        .up()
        .await;
    let mut said: Said = Vec::new();

    let accepted = deployment.provision("acme").await;
    let id = text(&accepted["id"]).to_owned();
    let status_path = text(&accepted["status_url"]).to_owned();
    let status = status_path.rsplit('/').next().expect("a token").to_owned();
    let first = deployment.becomes(&id, "ready").await;
    let own: Value = serde_json::from_slice(&fs::read(deployment.secrets_of(&id)).expect("secrets")).expect("JSON");
    let link = password_link(&deployment.mail("admin@acme.example").await);
    let reveal = link.rsplit('/').next().expect("a token").to_owned();
    let key = fs::read(deployment.data().join("token-key")).expect("a key");
    let token = deployment.admin_token();
    let session = visit_the_console(&deployment, &mut said).await;

    let secrets_file = format!("the file data/secrets/{id}");
    let its_tasks = format!("the environment of a task of {id}");
    let link_mail = "the file data/mail/";
    let secrets = [
        Secret::new("the admin token", token.as_bytes(), &["the file data/admin-token"]),
        Secret::new("the token key", &key, &["the file data/token-key"]),
        Secret::new("the console's session", session.as_bytes(), &[]),
        Secret::new(
            "the application's password",
            text(&own["APP_PASSWORD"]).as_bytes(),
            &[&secrets_file, &its_tasks, "the revealed password"],
        ),
        Secret::new(
            "the database's password",
            text(&own["DATABASE_PASSWORD"]).as_bytes(),
            &[&secrets_file, &its_tasks],
        ),
        // Whoever signs up is told the link, and the operator's console leads there.
        Secret::new(
            "the status token",
            status.as_bytes(),
            &[
                "the answer to the sign-up",
                "the status page",
                "the page /console",
                "the answer to GET /console",
                "the console in a session",
            ],
        ),
        Secret::new(
            "the password link",
            reveal.as_bytes(),
            &[link_mail, "the page of the password link"],
        ),
        Secret::new(
            "the key for Resend",
            RESEND.as_bytes(),
            &["the environment of the server", "the environment of a client"],
        ),
        Secret::new(
            "the secret key for AWS",
            AWS_SECRET.as_bytes(),
            &["the environment of the server", "the environment of a client"],
        ),
        Secret::new(
            "the session token for AWS",
            AWS_SESSION.as_bytes(),
            &["the environment of the server", "the environment of a client"],
        ),
    ];
    let mut search = Search::new(&secrets);
    search.look("the answer to the sign-up", accepted.to_string().as_bytes());
    for path in [format!("/provision/{status}"), format!("/provision/{status}/events")] {
        let answer = deployment.console().get(&path).await;
        search.look(&format!("the status page, {}", answer.status), &answer.body);
    }
    let page = deployment.console().page(&format!("/provision/{status}")).await;
    search.look("the status page", &page.body);

    // Whatever may print them is made to.
    mistakes(&deployment, &mut said).await;
    let lost =
        json!({"subdomain": "lost", "admin_email": "admin@lost.example", "company_name": "Lost", "service": "broken"});
    let lost = deployment.console().post("/provision", &lost).await.is(202).json();
    let lost = text(&lost["id"]);
    deployment.becomes(lost, "failed").await;
    commands(
        &deployment,
        &mut said,
        &[&["start", "auth"], &["show", lost], &["show", lost, "--json"]],
    )
    .await;
    deployment.tasks_of(&id)[0].kill();
    let healed = deployment.back("acme", &first).await;
    deployment.ask("acme", "stop").await;
    deployment.becomes("acme", "stopped").await;
    deployment.ask("acme", "start").await;
    deployment.becomes("acme", "ready").await;
    assert_ne!(healed["attempt"], first["attempt"]);
    pages(&deployment, &mut said).await;
    let show: &[&[&str]] = &[
        &["list"],
        &["list", "--json"],
        &["show", "acme"],
        &["show", "acme", "--json"],
        &["logs", "acme"],
        &["repair"],
        &["repair", "--apply"],
        &["doctor"],
        &["doctor", "--json"],
        &["backup", "copy.db"],
        &["config", "show"],
        &["config", "explain", "mail.kind"],
        &["provision", "nonsense--name", "--email", "x", "--company", "x"],
        &["--help"],
    ];
    commands(&deployment, &mut said, show).await;

    // While everything runs: who has what in its environment, and who was started by what.
    look_at_processes(&deployment, &id, &mut search);
    let page = deployment.console().page(&format!("/password/{reveal}")).await;
    search.look("the page of the password link", &page.body);
    let shown = deployment
        .console()
        .post(&format!("/password/{reveal}"), &json!({}))
        .await
        .is(200);
    search.look("the revealed password", &shown.body);
    let again = deployment
        .console()
        .post(&format!("/password/{reveal}"), &json!({}))
        .await;
    search.look("the password link when it is used up", &again.body);

    // Restarts, in order and not; then the end.
    deployment.end().await;
    look_at_files(&deployment, temporary.path(), &mut search);
    deployment.up().await;
    deployment.becomes("acme", "ready").await;
    deployment.kill().await;
    deployment.up().await;
    eventually("acme is back", async || {
        (deployment.rests("acme").await["status"] == "ready" && !deployment.tasks_of(&id).is_empty()).then_some(())
    })
    .await;
    look_at_processes(&deployment, &id, &mut search);
    commands(
        &deployment,
        &mut said,
        &[&["delete", "acme"], &["show", &id], &["repair"]],
    )
    .await;
    eventually("acme is over", async || {
        (deployment.show(&id).await["status"] == "ended").then_some(())
    })
    .await;
    assert!(!deployment.secrets_of(&id).exists(), "its secrets went with it");
    said.push(("the server's log".to_owned(), deployment.log().into_bytes()));
    said.push(("what `up` prints".to_owned(), deployment.up.to_string().into_bytes()));
    look_at_files(&deployment, temporary.path(), &mut search);
    for (place, bytes) in &said {
        search.look(place, bytes);
    }
    let log = deployment.log();
    assert!(
        log.contains("TRACE") && log.len() > 10_000,
        "the log is as talkative as it can be"
    );
    let seen: Vec<_> = search.seen.iter().copied().collect();
    // All but the session, which nobody keeps.
    assert_eq!(
        seen.len(),
        secrets.len() - 1,
        "what is looked for was seen in its own places: {seen:?}"
    );
    let places = search.must_be_clean(80);
    println!("{} secrets were looked for in {places} places", secrets.len());
}

/// Every file that the run has written, its name too, and whether others may read it.
fn look_at_files(deployment: &Deployment, temporary: &Path, search: &mut Search<'_>) {
    let folder = deployment.setup().folder();
    for root in [folder, temporary] {
        for path in files(root) {
            let name = path.strip_prefix(root).expect("below").display().to_string();
            // A file of SQLite's may go away between the look and the reading.
            let Ok(bytes) = fs::read(&path) else { continue };
            search.look(&format!("the file {name}"), &bytes);
            search.look("the names of files", name.as_bytes());
            let mode = fs::metadata(&path).map_or(0o600, |found| found.permissions().mode() & 0o777);
            let is_ours = name.starts_with("data/") || name == "copy.db";
            assert!(
                !is_ours || matches!(mode, 0o600 | 0o700),
                "others may read {name}: {mode:o}"
            );
        }
    }
}

fn look_at_processes(deployment: &Deployment, id: &str, search: &mut Search<'_>) {
    let server = deployment.pid();
    let own: Vec<u32> = deployment.tasks_of(id).iter().map(|task| task.pid).collect();
    assert!(!own.is_empty());
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Ok(command) = fs::read(entry.path().join("cmdline")) {
            search.look("a command line", &command);
        }
        let Ok(environment) = fs::read(entry.path().join("environ")) else {
            continue;
        };
        let place = if pid == server {
            "the environment of the server".to_owned()
        } else if own.contains(&pid) {
            format!("the environment of a task of {id}")
        } else {
            "the environment of another process".to_owned()
        };
        search.look(&place, &environment);
    }
}
