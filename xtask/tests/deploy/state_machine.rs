//! The state machine: that it asks for what the function answers, and ends. Whether it is one, asl-validator says.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use wharf_domain::State;

use crate::{description::Template, files::json};

fn states() -> Value {
    json("statemachine.asl.json")["States"].clone()
}

#[test]
fn it_starts_once_waits_and_looks() {
    let states = states();
    let payload = |state: &str| states[state]["Parameters"]["Payload"].clone();
    assert_eq!(
        payload("Start"),
        json!({"wharf": "start", "key.$": "$$.Execution.Id", "event.$": "$"})
    );
    assert_eq!(payload("Advance"), json!({"wharf": "status", "id.$": "$.id"}));
    assert_eq!(states["Wait"]["Seconds"], 5);
    assert_eq!(states["Wait"]["Next"], "Advance");
}

#[test]
fn a_call_that_fails_is_tried_again_and_then_fails_the_execution() {
    let states = states();
    for (name, state) in states.as_object().expect("states") {
        if state["Type"] != "Task" {
            continue;
        }
        assert_eq!(state["Parameters"]["FunctionName"], "${FunctionArn}", "{name}");
        let retry = &state["Retry"][0];
        assert!(
            retry["MaxAttempts"]
                .as_u64()
                .is_some_and(|attempts| (2..=10).contains(&attempts)),
            "{name}"
        );
        let caught = &state["Catch"][0];
        assert_eq!(caught["ErrorEquals"], json!(["States.ALL"]), "{name}");
        assert_eq!(
            states[caught["Next"].as_str().expect("a state")]["Type"],
            "Fail",
            "{name}"
        );
        assert!(state["TimeoutSeconds"].is_u64(), "{name}");
    }
    assert!(
        json("statemachine.asl.json")["TimeoutSeconds"].is_u64(),
        "it ends whatever comes of the task"
    );
}

#[test]
fn it_goes_on_in_the_states_that_change_by_themselves_and_in_no_other() {
    let states = states();
    let mut choices = BTreeSet::new();
    for choice in states["Choose"]["Choices"].as_array().expect("choices") {
        let parts = choice
            .get("Or")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_else(|| vec![choice.clone()]);
        for part in parts {
            let state = part["StringEquals"].as_str().expect("a state").to_owned();
            choices.insert((state, choice["Next"].as_str().expect("a state").to_owned()));
        }
    }
    let expected = [
        ("provisioning", "Wait"),
        ("queued", "Wait"),
        ("ready", "Ready"),
        ("restoring", "Wait"),
    ];
    assert_eq!(
        choices,
        expected.map(|(state, next)| (state.to_owned(), next.to_owned())).into()
    );
    for (state, _) in expected {
        assert!(State::NAMES.contains(&state), "{state}");
    }
    assert_eq!(states["Choose"]["Default"], "Failed");
    assert_eq!(states["Failed"]["Type"], "Fail");
}

#[test]
fn the_stack_fills_in_what_it_leaves_open() {
    let template = Template::stack();
    let machine = template.properties("StateMachine");
    assert_eq!(machine["DefinitionUri"], "statemachine.asl.json");
    assert_eq!(
        machine["DefinitionSubstitutions"],
        json!({"FunctionArn": {"Fn::GetAtt": ["Function", "Arn"]}})
    );
    assert_eq!(
        crate::files::text("statemachine.asl.json").matches("${").count(),
        2,
        "the function, twice"
    );
}
