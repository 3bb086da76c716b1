//! Whatever a text says, loading it ends with a configuration or with problems that have places, and never panics.

use crate::common::{load, load_with};
use proptest::prelude::*;
use wharf_config::{Overrides, Source};

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

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn a_file_that_was_cut_and_mended(at in 0..MANY.len(), len in 0..60_usize, patch in "[ -~\n]{0,8}", of_many in any::<bool>()) {
        let text = if of_many { MANY } else { DESIGN };
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
    fn any_question(key in any::<String>()) {
        let _ = load("").expect("nothing is wrong").explain(&key);
    }
}
