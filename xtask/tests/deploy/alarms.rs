//! Alarms: that those are there which are asked for, and that somebody hears them.

use serde_json::json;
use std::collections::BTreeSet;

use crate::{description::Template, files::text};

#[test]
fn what_is_asked_for_is_watched() {
    let template = Template::stack();
    let watched: BTreeSet<_> = template
        .of_kind("AWS::CloudWatch::Alarm")
        .iter()
        .map(|alarm| {
            let text = |key: &str| alarm.properties[key].as_str().expect(key).to_owned();
            (text("Namespace"), text("MetricName"))
        })
        .collect();
    let expected = [
        ("AWS/Lambda", "Duration"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("Wharf", "RegisteredWithin60s"),
        ("Wharf", "TaskStartFailed"),
        ("Wharf", "TaskStartSucceeded"),
    ];
    let expected: BTreeSet<_> = expected
        .map(|(space, metric)| (space.to_owned(), metric.to_owned()))
        .into();
    assert_eq!(watched, expected);
}

#[test]
fn both_dead_letter_queues_are_watched() {
    let template = Template::stack();
    for (alarm, queue) in [
        ("WakeDeadLettersAlarm", "WakeDeadLetterQueue"),
        ("EventsDeadLettersAlarm", "EventsDeadLetterQueue"),
    ] {
        let alarm = template.properties(alarm);
        assert_eq!(
            alarm["Dimensions"][0]["Value"],
            json!({"Fn::GetAtt": [queue, "QueueName"]})
        );
        assert_eq!(alarm["Threshold"], 0);
    }
}

#[test]
fn the_requirements_99_percent_is_the_threshold() {
    let template = Template::stack();
    for name in ["StartSuccessAlarm", "RegisteredWithin60sAlarm"] {
        let alarm = template.properties(name);
        assert_eq!(alarm["Statistic"], "Average", "{name}: of zeroes and ones");
        assert_eq!(alarm["ComparisonOperator"], "LessThanThreshold", "{name}");
        assert_eq!(alarm["Threshold"], 0.99, "{name}");
    }
}

#[test]
fn an_alarm_goes_to_whoever_wants_it_and_silence_is_none() {
    let template = Template::stack();
    let none = json!({"Ref": "AWS::NoValue"});
    let actions = json!([
        {"Fn::If": ["HasAlarmEmail", {"Ref": "AlarmTopic"}, none]},
        {"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopicArn"}, none]},
    ]);
    for alarm in template.of_kind("AWS::CloudWatch::Alarm") {
        assert_eq!(alarm.properties["AlarmActions"], actions, "{}", alarm.name);
        assert_eq!(alarm.properties["TreatMissingData"], "notBreaching", "{}", alarm.name);
        let dimensions = alarm.properties["Dimensions"].as_array().expect("dimensions");
        assert_eq!(dimensions.len(), 1, "{}: of this deployment alone", alarm.name);
    }
}

/// A person who gets the mail looks for the alarm's name.
#[test]
fn the_documentation_says_of_each_alarm_what_to_do() {
    let documentation = text("../docs/aws.md");
    let (_, section) = documentation.split_once("\n## Alarms\n").expect("a section for alarms");
    let section = section.split("\n## ").next().expect("a section");
    let headings: BTreeSet<_> = section.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let template = Template::stack();
    let alarms: BTreeSet<_> = template
        .of_kind("AWS::CloudWatch::Alarm")
        .iter()
        .map(|alarm| {
            let name = alarm.properties["AlarmName"]["Fn::Sub"].as_str().expect("a name");
            name.replace("${Stage}", "STAGE")
        })
        .collect();
    assert_eq!(headings, alarms.iter().map(String::as_str).collect());
}
