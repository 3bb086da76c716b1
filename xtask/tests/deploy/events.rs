//! The ways in and between: rules, queues, schedules, the API. Nothing that arrives is lost without a trace.

use serde_json::{Value, json};

use crate::description::{Template, all_within};

fn arn(name: &str) -> Value {
    json!({"Fn::GetAtt": [name, "Arn"]})
}

#[test]
fn what_cannot_be_delivered_is_kept() {
    let template = Template::stack();
    let kept = json!({"Arn": arn("EventsDeadLetterQueue")});
    let rules = template.of_kind("AWS::Events::Rule");
    assert_eq!(rules.len(), 5);
    for rule in rules {
        let targets = rule.properties["Targets"].as_array().expect("targets");
        assert_eq!(targets.len(), 1, "{}", rule.name);
        assert_eq!(targets[0]["DeadLetterConfig"], kept, "{}", rule.name);
    }
    let schedules = template.of_kind("AWS::Scheduler::Schedule");
    assert_eq!(schedules.len(), 6);
    for schedule in schedules {
        assert_eq!(
            schedule.properties["Target"]["DeadLetterConfig"], kept,
            "{}",
            schedule.name
        );
    }
    let invocations = &template.properties("AsynchronousInvocations")["DestinationConfig"];
    assert_eq!(invocations["OnFailure"]["Destination"], arn("EventsDeadLetterQueue"));
    let redrive = &template.properties("WakeQueue")["RedrivePolicy"];
    assert_eq!(redrive["deadLetterTargetArn"], arn("WakeDeadLetterQueue"));
    assert!(
        redrive["maxReceiveCount"].as_u64() >= Some(5),
        "throttled receives count as well"
    );
}

#[test]
fn dead_letters_last_longer_than_what_they_come_from() {
    let template = Template::stack();
    let days = |queue: &str| {
        template.properties(queue)["MessageRetentionPeriod"]
            .as_u64()
            .expect("seconds")
            / 86_400
    };
    for dead in ["WakeDeadLetterQueue", "EventsDeadLetterQueue"] {
        assert_eq!(days(dead), 14, "as long as SQS keeps anything");
        assert!(days(dead) > days("WakeQueue"));
    }
}

#[test]
fn all_that_is_asynchronous_comes_through_one_bounded_queue_but_for_the_sweep_and_repair() {
    let template = Template::stack();
    for rule in template.of_kind("AWS::Events::Rule") {
        let target = if ["SweepRule", "RepairRule"].contains(&rule.name) {
            "Function"
        } else {
            "WakeQueue"
        };
        assert_eq!(rule.properties["Targets"][0]["Arn"], arn(target), "{}", rule.name);
    }
    for schedule in template.of_kind("AWS::Scheduler::Schedule") {
        assert_eq!(
            schedule.properties["Target"]["Arn"],
            arn("WakeQueue"),
            "{}",
            schedule.name
        );
    }
    let wakes = template.properties("Wakes");
    assert_eq!(wakes["EventSourceArn"], arn("WakeQueue"));
    assert_eq!(wakes["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
    assert!(wakes["ScalingConfig"]["MaximumConcurrency"].is_object());
}

#[test]
fn the_sweep_is_each_minute_and_cannot_be_turned_off() {
    let template = Template::stack();
    let sweep = template.resource("SweepRule");
    assert_eq!(sweep.properties["ScheduleExpression"], "rate(1 minute)");
    assert!(sweep.whole.get("Condition").is_none() && sweep.properties.get("State").is_none());
    let input = sweep.properties["Targets"][0]["Input"].as_str().expect("a payload");
    assert_eq!(
        serde_json::from_str::<Value>(input).expect("JSON"),
        json!({"wharf": "sweep"})
    );
}

#[test]
fn repair_comes_by_itself_unless_it_is_turned_off() {
    let template = Template::stack();
    let repair = template.resource("RepairRule");
    assert_eq!(
        repair.properties["ScheduleExpression"],
        json!({"Ref": "RepairSchedule"})
    );
    assert_eq!(repair.whole["Condition"], "Repairs");
    let input = repair.properties["Targets"][0]["Input"].as_str().expect("a payload");
    assert_eq!(
        serde_json::from_str::<Value>(input).expect("JSON"),
        json!({"wharf": "repair"})
    );
    let permission = template.resource("RepairPermission");
    assert_eq!(permission.whole["Condition"], "Repairs");
}

#[test]
fn rules_match_what_is_documented_and_of_tasks_only_our_own() {
    let template = Template::stack();
    let pattern = |rule: &str| template.properties(rule)["EventPattern"].clone();
    let sources = json!({"Ref": "EventSources"});
    assert_eq!(
        pattern("StartRule"),
        json!({"source": sources, "detail-type": ["Start ECS Task"]})
    );
    assert_eq!(
        pattern("StopRule"),
        json!({"source": sources, "detail-type": ["Stop ECS Tasks"]})
    );
    assert_eq!(template.default_list("EventSources"), ["custom.app", "custom.source"]);
    assert_eq!(
        pattern("TaskStateRule"),
        json!({
            "source": ["aws.ecs"],
            "detail-type": ["ECS Task State Change"],
            "detail": {"lastStatus": ["RUNNING", "STOPPED"], "startedBy": [{"prefix": {"Fn::Sub": "wharf/${Stage}/"}}]},
        })
    );
    assert_eq!(
        template.properties("Function")["Environment"]["Variables"]["WHARF_DEPLOYMENT"],
        json!({"Ref": "Stage"}),
        "what tasks are marked with is what the rule asks for"
    );
    assert!(
        template
            .of_kind("AWS::Events::Rule")
            .iter()
            .all(|rule| rule.properties.get("EventBusName").is_none()),
        "the default bus"
    );
}

#[test]
fn schedules_are_off_unless_a_time_is_given_and_start_nothing_twice() {
    let template = Template::stack();
    for schedule in template.of_kind("AWS::Scheduler::Schedule") {
        let condition = schedule.whole["Condition"].as_str().expect("a condition");
        let needs = all_within(&template.body["Conditions"][condition]);
        let parameter = if condition == "HasEvening" {
            "EveningStop"
        } else {
            "HasMorning"
        };
        assert!(
            needs
                .iter()
                .any(|need| *need == &json!({"Ref": parameter}) || *need == &json!({"Condition": parameter})),
            "{condition}"
        );
        let input = schedule.properties["Target"]["Input"]["Fn::Sub"]
            .as_str()
            .expect("an event");
        let filled = input.replace("${EveningServices}", "\"auth\",\"pdf\"");
        let event: Value = serde_json::from_str(&filled).unwrap_or_else(|error| panic!("{input}: {error}"));
        assert!(
            event["id"]
                .as_str()
                .is_some_and(|id| id.ends_with("<aws.scheduler.scheduled-time>")),
            "{input}"
        );
        assert!(["Start ECS Task", "Stop ECS Tasks"].contains(&event["detail-type"].as_str().expect("a type")));
    }
    for time in ["MorningStart", "EveningStop"] {
        assert_eq!(template.parameters()[time]["Default"], "");
    }
}

#[test]
fn queues_take_messages_from_this_stack_alone() {
    let template = Template::stack();
    let policies = template.of_kind("AWS::SQS::QueuePolicy");
    assert_eq!(policies.len(), 2);
    for policy in policies {
        for statement in policy.properties["PolicyDocument"]["Statement"]
            .as_array()
            .expect("statements")
        {
            let source = &statement["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"];
            assert!(
                source
                    .as_str()
                    .is_some_and(|arn| arn.ends_with(":rule/start-engines-*-${Stage}")),
                "{statement}"
            );
        }
    }
    for rule in template.of_kind("AWS::Events::Rule") {
        let name = rule.properties["Name"]["Fn::Sub"].as_str().expect("a name");
        assert!(
            name.starts_with("start-engines-") && name.ends_with("-${Stage}"),
            "{name} is one that the queues let in"
        );
    }
}

#[test]
fn the_api_takes_every_path_and_lets_fewer_sign_ups_in() {
    let template = Template::stack();
    let routes: Vec<_> = template
        .of_kind("AWS::ApiGatewayV2::Route")
        .iter()
        .map(|route| route.properties["RouteKey"].as_str().expect("a key").to_owned())
        .collect();
    assert!(routes.contains(&"$default".to_owned()));
    let stage = template.resource("ApiStage");
    let limits = stage.properties["RouteSettings"].as_object().expect("limits");
    for limited in ["POST /provision", "POST /signup", "POST /login"] {
        assert_eq!(
            limits[limited]["ThrottlingRateLimit"],
            json!({"Ref": "ProvisionRate"}),
            "{limited}"
        );
    }
    for route in limits.keys() {
        assert!(routes.contains(route), "{route} has a limit and is no route of its own");
    }
    let document: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).expect("JSON");
    for route in routes.iter().filter(|route| *route != "$default") {
        let (method, path) = route.split_once(' ').expect("a method and a path");
        assert!(
            document["paths"][path][method.to_lowercase()].is_object(),
            "{route} is nothing that the router knows"
        );
    }
}
