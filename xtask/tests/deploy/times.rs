//! Times that have to fit together: what waits lasts longer than what it waits for.

use serde_json::{Value, json};

use crate::description::Template;

/// What a target group takes to call a target healthy unless told otherwise: five checks, 30 seconds apart.
const HEALTH_SECONDS: u64 = 150;
/// Lambda's and SQS's own limits.
const FUNCTION_MAX: u64 = 900;
const VISIBILITY_MAX: u64 = 43_200;

#[test]
fn what_follows_from_the_wait_for_a_task_is_right_for_each_of_its_values() {
    let template = Template::stack();
    let rows = template.body["Mappings"]["Waits"].as_object().expect("rows");
    for (wait, row) in rows {
        let wait: u64 = wait.parse().expect("seconds");
        let number = |name: &str| row[name].as_u64().expect(name);
        assert!(
            number("Function") > wait + HEALTH_SECONDS,
            "{wait}: the function outlasts task and health"
        );
        assert!(number("Function") <= FUNCTION_MAX, "{wait}");
        assert!(
            number("Visibility") >= 6 * number("Function"),
            "{wait}: as Lambda wants it"
        );
        assert!(number("Visibility") <= VISIBILITY_MAX, "{wait}");
        assert_eq!(
            number("Alarm"),
            number("Function") * 900,
            "{wait}: nine tenths, in milliseconds"
        );
    }
    let parameter = &template.parameters()["TaskWaitTimeout"];
    let allowed: Vec<String> = parameter["AllowedValues"]
        .as_array()
        .expect("values")
        .iter()
        .map(Value::to_string)
        .collect();
    assert_eq!(allowed.len(), rows.len());
    assert!(allowed.iter().all(|wait| rows.contains_key(wait)));
    assert_eq!(parameter["Default"], 300, "as documented");
}

#[test]
fn function_queue_and_alarm_take_their_times_from_there() {
    let template = Template::stack();
    let of = |column: &str| json!({"Fn::FindInMap": ["Waits", {"Ref": "TaskWaitTimeout"}, column]});
    assert_eq!(template.properties("Function")["Timeout"], of("Function"));
    assert_eq!(template.properties("WakeQueue")["VisibilityTimeout"], of("Visibility"));
    assert_eq!(template.properties("DurationAlarm")["Threshold"], of("Alarm"));
}

#[test]
fn the_bound_of_drivers_is_the_same_as_text_and_as_number() {
    let template = Template::stack();
    let rows = template.body["Mappings"]["Drivers"].as_object().expect("rows");
    let allowed = template.parameters()["DriverConcurrency"]["AllowedValues"]
        .as_array()
        .expect("values");
    assert_eq!(allowed.len(), rows.len());
    for value in allowed {
        assert_eq!(&rows[&value.to_string()]["Concurrency"], value);
    }
}

#[test]
fn an_alarm_on_old_wakes_allows_for_those_that_were_put_off() {
    const DELAY_MAX: u64 = 900;
    let template = Template::stack();
    assert!(template.properties("OldestWakeAlarm")["Threshold"].as_u64() > Some(DELAY_MAX));
}

#[test]
fn nothing_behind_the_api_may_take_longer_than_it_waits() {
    let template = Template::stack();
    assert_eq!(template.properties("ApiIntegration")["TimeoutInMillis"], 30_000);
}

#[test]
fn a_load_balancer_drains_as_long_as_wharf_waits() {
    let services = crate::files::configuration()["services"].clone();
    for group in Template::read("alb.yaml").of_kind("AWS::ElasticLoadBalancingV2::TargetGroup") {
        let seconds = group.properties["TargetGroupAttributes"][0]["Value"]
            .as_str()
            .expect("seconds");
        let service = group.name.trim_end_matches("TargetGroup").to_lowercase();
        assert_eq!(
            services[&service]["drain_timeout"].as_str(),
            Some(format!("{seconds}s").as_str()),
            "{service}"
        );
    }
}
