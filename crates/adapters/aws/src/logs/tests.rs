//! Where output is looked for, and how it is read. Reading it from a service is tested against the simulator.

use super::*;
use crate::ecs::tests_support::definition;
use aws_sdk_ecs::types::{LogConfiguration, LogDriver};

fn with_logs(driver: LogDriver, options: &[(&str, &str)]) -> crate::ecs::Definition {
    let definition = definition(None, &[("web", true, &[(80, 0)])]);
    let mut source = *definition.source;
    let mut logs = LogConfiguration::builder().log_driver(driver);
    for (name, value) in options {
        logs = logs.options(*name, *value);
    }
    let logs = logs.build().expect("it has a driver");
    for container in source.container_definitions.iter_mut().flatten() {
        container.log_configuration = Some(logs.clone());
    }
    crate::ecs::Definition::read(source).expect("a definition")
}

#[test]
fn a_stream_is_named_by_prefix_container_and_task() {
    let definition = with_logs(
        LogDriver::Awslogs,
        &[
            ("awslogs-group", "/ecs/shop"),
            ("awslogs-region", "eu-west-1"),
            ("awslogs-stream-prefix", "ecs"),
        ],
    );
    assert_eq!(
        stream_of(&definition, None, "0123"),
        Ok(Stream {
            group: "/ecs/shop".into(),
            name: "ecs/web/0123".into(),
            region: Some("eu-west-1".into())
        })
    );
}

#[test]
fn output_that_goes_elsewhere_is_told_so() {
    let splunk = with_logs(LogDriver::Splunk, &[]);
    let without_prefix = with_logs(LogDriver::Awslogs, &[("awslogs-group", "/ecs/shop")]);
    let without_logs = definition(None, &[("web", true, &[(80, 0)])]);
    for (definition, why) in [
        (splunk, "splunk"),
        (without_prefix, "awslogs-stream-prefix"),
        (without_logs, "no log configuration"),
    ] {
        let failure = stream_of(&definition, None, "0123").expect_err("it cannot be read");
        assert_eq!(failure.code, Code::ConfigInvalid);
        assert!(failure.message.contains(why), "{}", failure.message);
        assert!(failure.hint.is_some());
    }
}

#[test]
fn a_long_line_is_cut_between_characters() {
    let page = Page {
        events: vec![Event {
            message: format!("x{}", "ä".repeat(LINE_MAX)),
        }],
        next_forward_token: None,
    };
    let cut = &lines(page)[0].text;
    assert_eq!(cut.len(), LINE_MAX - 1);
    assert!(cut.ends_with('ä'));
}

#[test]
fn what_a_task_prints_drives_nobodys_terminal() {
    let said = |message: &str| -> Vec<String> {
        let page = Page {
            events: vec![Event {
                message: message.to_owned(),
            }],
            next_forward_token: None,
        };
        lines(page).into_iter().map(|line| line.text).collect()
    };
    assert_eq!(said("\u{1b}]0;title\u{7}\u{1b}[31mred\u{1b}[0m \u{9b}2J"), ["red 2J"]);
    assert_eq!(said("one\ntwo\rthree"), ["one", "twothree"]);
    assert_eq!(said(""), [""]);
}
