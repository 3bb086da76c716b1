//! Whatever a text says, loading it ends with a configuration or with problems that have places, and never panics.

use crate::common::{FIVE, load, load_with};
use proptest::prelude::*;
use std::path::Path;
use wharf_config::{Config, Machine, Overrides, Source};

const DESIGN: &str = include_str!("../fixtures/design.toml");
const MANY: &str = include_str!("../fixtures/many-errors.toml");

/// Loads, and checks what holds of every outcome.
fn check(text: &str) {
    if let Err(problems) = load(text) {
        assert!(!problems.is_empty());
        let lines = text.lines().count() + 1;
        for problem in &problems {
            if let Source::File { line, column, .. } = &problem.source {
                assert!((1..=lines).contains(line) && *column >= 1, "{problem}");
            }
            assert!(!problem.to_string().contains(['\n', '\r', '\u{1b}']), "{problem:?}");
        }
    }
}

/// Values of all kinds, right and wrong.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("TOML", |number| number.is_finite())
            .prop_map(|number| format!("{number:?}")),
        "[ -~]{0,12}".prop_map(|text| serde_json::Value::from(text).to_string()),
        "[0-9]{0,6}(ms|s|m|h|d|MiB|/1h|-[0-9]{1,6})?".prop_map(|text| format!("\"{text}\"")),
        "\\{[a-z_]{0,12}\\}".prop_map(|text| format!("\"{text}\"")),
        Just("1979-05-27".to_owned()),
        Just("0xffffffffffffffffffff".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4).prop_map(|pairs| {
                let pairs: Vec<_> = pairs
                    .into_iter()
                    .map(|(key, value)| format!("{key} = {value}"))
                    .collect();
                format!("{{ {} }}", pairs.join(", "))
            }),
        ]
    })
}

/// Paths of the table, and a few that are not in it.
fn key() -> impl Strategy<Value = String> {
    let config = load(DESIGN).expect("the design's");
    let known: Vec<_> = config.explanations().map(|explanation| explanation.key).collect();
    prop_oneof![8 => prop::sample::select(known), 1 => "[a-z]{1,8}(\\.[a-z\"-]{1,8}){0,4}"]
}

/// The documented variables, of all services and of one.
fn variable() -> impl Strategy<Value = String> {
    let names = [
        "ECS_CLUSTER",
        "CLUSTER_NAME",
        "TASK_DEFINITION",
        "TARGET_GROUP_ARN",
        "SUBNETS",
        "SECURITY_GROUPS",
        "CONTAINER_PORT",
        "TASK_WAIT_TIMEOUT",
        "LOG_LEVEL",
        "TABLE_NAME",
        "EC2_IP",
        "EC2_PUBLIC_IP",
        "REGISTRY_TABLE_NAME",
        "TASK_POLL_INTERVAL",
        "LAUNCH_TYPE",
        "ASSIGN_PUBLIC_IP",
        "RESEND_API_KEY",
        "AUTH_CLUSTER",
        "AUTH_TASK_DEF",
        "AUTH_TARGET_GROUP_ARN",
        "AUTH_SUBNETS",
        "AUTH_SECURITY_GROUPS",
    ];
    prop::sample::select(names.map(str::to_owned).to_vec())
}

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn a_file_that_was_cut_and_mended(at in 0..MANY.len(), len in 0..60_usize, patch in "[ -~\n]{0,8}", text in prop::sample::select(vec![MANY, DESIGN, FIVE])) {
        let start = text.floor_char_boundary(at.min(text.len()));
        let end = text.floor_char_boundary((start + len).min(text.len())).max(start);
        check(&format!("{}{patch}{}", &text[..start], &text[end..]));
    }

    #[test]
    fn any_value_of_any_key(pairs in prop::collection::btree_map(key(), value(), 1..8)) {
        let lines: Vec<_> = pairs.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        check(&lines.join("\n"));
    }

    #[test]
    fn any_environment_and_any_option(name in "(WHARF_)?[A-Z]{1,8}(_[A-Z]{1,8}){0,4}", text in any::<String>(), key in key()) {
        let named = format!("WHARF_{}", key.to_uppercase().replace(['.', '-'], "_"));
        let overrides = Overrides { listen: Some(text.clone()), data_dir: Some(text.clone().into()), ..Overrides::default() };
        if let Err(problems) = load_with(DESIGN, &[(&name, &text), (&named, &text)], &overrides) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn any_documented_variable_on_lambda(pairs in prop::collection::btree_map(variable(), any::<String>(), 0..10), with_file in any::<bool>()) {
        let file = with_file.then_some((Path::new("wharf.toml"), FIVE));
        match Config::load(file, &pairs, &Overrides::default(), Machine::lambda()) {
            Ok(config) => prop_assert!(config.events.template.is_some()),
            Err(problems) => prop_assert!(!problems.to_string().is_empty()),
        }
    }

    #[test]
    fn any_question(key in any::<String>()) {
        let _ = load("").expect("nothing is wrong").explain(&key);
    }
}
