//! Chaos with seeds that stay the same, and faults that are planted so that it shows its teeth. Both run the program as a developer does.
//!
//! `cargo xtask test --suite chaos` runs these. `wharf` has to have been built beside `wharf-chaos`; a build of the workspace's tests does that.
#![cfg(target_os = "linux")]

use std::process::Command;

struct Ran {
    code: Option<i32>,
    said: String,
}

fn chaos(words: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_wharf-chaos"))
        .args(words)
        .output()
        .expect("the program starts");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ran {
        code: output.status.code(),
        said,
    }
}

fn nothing_is_wrong(words: &[&str]) {
    let ran = chaos(words);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(
        ran.said.contains("nothing is wrong") || ran.said.contains("nothing lost, nothing left"),
        "{}",
        ran.said
    );
}

/// A planted fault is found, and the account says what and with which seed.
fn is_found(bug: &str, words: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let ran = chaos(&["--seed", "1", "--rounds", "1", "--plant", bug, "--folder", path]);
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(
        ran.said.lines().next().is_some_and(|line| line.contains("seed 1;")),
        "{}",
        ran.said
    );
    let (_, account) = ran
        .said
        .split_once("VIOLATIONS with seed 1:")
        .unwrap_or_else(|| panic!("no account: {}", ran.said));
    assert!(account.contains(words), "{words:?} is not in {account}\n{}", ran.said);
}

#[test]
fn nothing_is_wrong_after_rounds_with_the_first_seed() {
    nothing_is_wrong(&["--seed", "1", "--rounds", "10", "--for", "45s"]);
}

#[test]
fn nothing_is_wrong_after_rounds_with_the_second_seed() {
    nothing_is_wrong(&["--seed", "2", "--rounds", "10", "--for", "45s"]);
}

#[test]
fn nothing_is_wrong_after_rounds_with_the_third_seed() {
    nothing_is_wrong(&["--seed", "3", "--rounds", "10", "--for", "45s"]);
}

#[test]
fn nothing_is_wrong_where_a_limit_of_files_sizes_stands_for_a_full_disk() {
    nothing_is_wrong(&["--seed", "4", "--rounds", "5", "--for", "30s", "--disk", "limited"]);
}

#[test]
fn kills_anywhere_in_a_sign_up_lose_nothing_and_leave_nothing() {
    nothing_is_wrong(&["kills", "--times", "25", "--seed", "1"]);
}

#[test]
fn an_orphan_with_the_deployments_marks_is_found() {
    is_found("orphan", "runs, and there is no such instance");
}

#[test]
fn a_second_task_of_an_instance_is_found() {
    is_found("twin", "it has more than one task");
}

#[test]
fn a_listener_on_a_port_of_nobodys_is_found() {
    is_found("port", "which is nobody's");
}

#[test]
fn a_lost_database_is_found() {
    is_found("database", "its database is gone");
}

#[test]
fn secrets_of_what_is_over_are_found() {
    is_found("secrets", "which is over");
}

#[test]
fn a_mail_that_was_never_sent_is_found() {
    is_found("mail", "nobody was told that it is ready");
}

#[test]
fn a_mail_that_was_sent_twice_is_found() {
    is_found("second-mail", "2 mails say that it is ready");
}

#[test]
fn a_registry_that_forgot_the_last_round_is_found() {
    is_found("registry", "is not known any more");
}
