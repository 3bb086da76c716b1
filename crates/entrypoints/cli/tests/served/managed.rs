//! A server that Wharf runs.

use crate::harness::{Customer, Setup, eventually, text};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};
use wharf_testkit::postgres::programs;

fn setup() -> Setup {
    let setup = Setup::new().configured("[databases]\nmanaged = true\nspare = 1\n");
    // The server's own user has to come through it where the test is root.
    fs::set_permissions(setup.folder(), Permissions::from_mode(0o755)).expect("an open folder");
    setup
}

/// The server's first process, by its own word.
fn pid(data: &Path) -> i32 {
    try_pid(data).expect("a server that runs")
}

/// `None` where it is not ready: one that meets what a killed one had in common with its children ends again, and is followed by another.
fn try_pid(data: &Path) -> Option<i32> {
    let file = fs::read_to_string(data.join("postgres/cluster/postmaster.pid")).ok()?;
    let is_ready = file.lines().nth(7).is_some_and(|status| status.trim() == "ready");
    file.lines().next()?.trim().parse().ok().filter(|_| is_ready)
}

fn signal(signal: &str, pid: i32) {
    let sent = std::process::Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .expect("kill");
    assert!(sent.success());
}

fn is_there(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn wharf_and_its_server_are_killed_in_turn_and_no_order_is_lost() {
    let mut deployment = setup().up().await;
    let before = deployment.ready("acme").await;
    let order = Customer::of(deployment.tenant("acme")).order("Robin").await;
    let first = pid(&deployment.data());

    deployment.kill().await;
    assert!(is_there(first), "it outlives a kill of Wharf");
    deployment.up().await;
    deployment.back("acme", &before).await;
    assert_eq!(pid(&deployment.data()), first, "it is taken over");
    Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;

    signal("-KILL", first);
    // What the shop is connected to outlives its first process by a moment.
    eventually("there is another server", async || {
        try_pid(&deployment.data()).filter(|pid| *pid != first)
    })
    .await;
    eventually("the shop finds its order again", async || {
        Customer::of(deployment.tenant("acme"))
            .try_find(&order, "Robin")
            .await
            .ok()
    })
    .await;
    let second = pid(&deployment.data());
    deployment.ready("bolt").await;

    deployment.end().await;
    assert!(!is_there(second), "it ends with Wharf");
    deployment.up().await;
    deployment.becomes("acme", "ready").await;
    Customer::of(deployment.tenant("acme")).finds(&order, "Robin").await;
    deployment.wharf(&["delete", "acme"]).await.exits(0);
    deployment.agrees().await;
    deployment.end().await;
}

/// One of PostgreSQL's programs as its administrator runs it, who comes in as docs/backup.md says.
fn administer(data: &Path, program: &str, words: &[&str]) -> String {
    let port = fs::read_to_string(data.join("postgres/port")).expect("the server's port");
    let ran = std::process::Command::new(programs().join(program))
        .arg("-h")
        .arg(data.join("postgres/socket"))
        .args(["-p", port.trim(), "-U", "wharf"])
        .args(words)
        .output()
        .expect("PostgreSQL's programs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).trim().to_owned()
}

fn ask(data: &Path, statement: &str) -> String {
    administer(data, "psql", &["-XqAt", "-d", "postgres", "-c", statement])
}

#[tokio::test]
async fn a_checkpoint_finds_the_way_to_its_folder_whoever_started_meanwhile() {
    let mut deployment = setup().up().await;
    deployment.ready("acme").await;
    let first = pid(&deployment.data());
    assert_eq!(ask(&deployment.data(), "CHECKPOINT"), "");
    deployment.kill().await;
    deployment.up().await;
    assert_eq!(ask(&deployment.data(), "CHECKPOINT"), "");
    assert_eq!(pid(&deployment.data()), first);
    deployment.end().await;
}

#[tokio::test]
async fn it_is_backed_up_whole_and_as_statements_while_it_runs() {
    let mut deployment = setup().up().await;
    deployment.ready("acme").await;
    let (data, copy) = (deployment.data(), deployment.setup().folder().join("copy"));
    let to = copy.to_str().expect("UTF-8");
    administer(&data, "pg_basebackup", &["--checkpoint=fast", "-D", to]);
    assert!(copy.join("PG_VERSION").exists() && copy.join("backup_manifest").exists());
    let dump = administer(&data, "pg_dumpall", &[]);
    assert!(dump.contains("CREATE DATABASE user_acme") && dump.contains("CREATE TABLE public.orders"));
    deployment.end().await;
}

#[tokio::test]
async fn tenants_reach_it_and_nobody_else_does() {
    let mut deployment = setup().up().await;
    let acme = deployment.ready("acme").await;
    let [task] = <[_; 1]>::try_from(deployment.tasks_of(text(&acme["id"]))).expect("one process");
    let url = task.variable("DATABASE_URL").expect("a database").to_owned();
    assert!(url.starts_with("postgresql://user_acme:") && url.contains("@127.0.0.1:"));
    let mode = |path: &str| {
        fs::metadata(deployment.data().join(path))
            .expect("there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("postgres/cluster"), mode("postgres/socket")), (0o700, 0o700));
    assert_eq!(mode(".") & 0o067, 0, "nobody reads or lists the data directory");
    let found = deployment.wharf(&["doctor"]).await;
    assert!(found.stdout.contains("managed database server"), "{found:?}");
    deployment.end().await;
}
