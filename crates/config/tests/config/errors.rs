//! What users see of a wrong configuration: everything at once, with places and remedies.

use crate::common::{load, load_with};
use wharf_config::Overrides;
use wharf_domain::{Code, Failure};

const MANY: &str = include_str!("../fixtures/many-errors.toml");

#[test]
fn every_problem_of_a_file_is_reported_at_once() {
    let problems = load(MANY).expect_err("nearly nothing in it is right");
    insta::assert_snapshot!(problems);
}

#[test]
fn problems_have_a_machine_readable_form() {
    let text = "[server]\nlisen = \"127.0.0.1:9000\"\n";
    let environment = [("WHARF_LOG_LEVEL", "loud")];
    let overrides = Overrides {
        listen: Some("localhost".into()),
        ..Overrides::default()
    };
    let problems = load_with(text, &environment, &overrides).expect_err("three problems");
    insta::assert_json_snapshot!(problems);
}

#[test]
fn a_text_that_is_not_toml_is_reported_for_that_alone() {
    let problems =
        load("[server\nlisten = \n\n[log]\nlevel = \"info\"\nlevel = \"warn\"\ncolour = 1\n").expect_err("no TOML");
    insta::assert_snapshot!(problems);
}

#[test]
fn problems_become_one_failure() {
    let failure = Failure::from(load("[log]\nlevle = \"info\"\n").expect_err("a slip"));
    assert_eq!(failure.code, Code::ConfigInvalid);
    assert_eq!(failure.message, "wharf.toml:2:1: log.levle: unknown key");
    assert_eq!(failure.hint.as_deref(), Some("did you mean \"level\"?"));
}
