//! The configuration's `[schedules]`, as schedules of EventBridge: resources that a rendered stack has beside its own. What they put on the queue are
//! the events that a server sends itself, with the scheduled time as their key.

use std::fmt::Write as _;
use wharf_domain::{Code, Failure, Schedule, schedule::Fields};
use wharf_provisioning::schedules::events;

/// EventBridge fills it in.
const SCHEDULED_TIME: &str = "<aws.scheduler.scheduled-time>";
/// What a schedule's name there may have (API reference), less what the stack puts around it.
const NAME_MAX: usize = 40;
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The resources, as YAML that fits below `Resources:`; empty where nothing is scheduled.
pub(super) fn resources(schedules: &[Schedule]) -> Result<String, Failure> {
    let mut resources = String::new();
    for schedule in schedules {
        let name = schedule.name.as_str();
        let refused = |message: String, hint: &str| Err(Failure::new(Code::ConfigInvalid, message).hint(hint));
        if name.len() > NAME_MAX {
            let message = format!(
                "the schedule {name} has more than {NAME_MAX} characters in its name, more than EventBridge Scheduler takes"
            );
            return refused(message, "give it a shorter name");
        }
        let pattern = schedule.calendar.pattern();
        let Some(fields) = pattern.values() else {
            let message = format!(
                "schedules.{name}.cron {pattern:?} has L, W, # or +, which are not carried over to EventBridge Scheduler"
            );
            return refused(
                message,
                "write the days as numbers or names, or take the schedule out of what is deployed",
            );
        };
        let events = events(schedule, SCHEDULED_TIME);
        let mut number = 0;
        for expression in expressions(&fields) {
            for event in &events {
                number += 1;
                put(&mut resources, schedule, number, &expression, &event.to_string());
            }
        }
    }
    Ok(resources)
}

fn put(resources: &mut String, schedule: &Schedule, number: usize, expression: &str, event: &str) {
    let name = schedule.name.as_str();
    // A resource's name has letters and digits; a name of ours has small letters, so that this stays apart from every other.
    let id = name.replace('-', "Dash");
    // Writing to a string cannot fail.
    let _ = write!(
        resources,
        "  Schedule{id}{number}:
    Type: AWS::Scheduler::Schedule
    Properties:
      Name: !Sub start-engines-{name}-{number}-${{Stage}}
      Description: The schedule {name} of the configuration
      ScheduleExpression: {expression}
      ScheduleExpressionTimezone: {zone}
      FlexibleTimeWindow: {{ Mode: \"OFF\" }}
      Target:
        Arn: !GetAtt WakeQueue.Arn
        RoleArn: !GetAtt ScheduleRole.Arn
        DeadLetterConfig: {{ Arn: !GetAtt EventsDeadLetterQueue.Arn }}
        Input: '{event}'

",
        zone = schedule.calendar.zone().as_str(),
    );
}

/// A pattern in EventBridge's words. Days of the month or of the week are one too many for one expression: where either is enough there are two.
fn expressions(fields: &Fields) -> Vec<String> {
    let list = |values: &[u16], all: usize| {
        if values.len() == all {
            return "*".to_owned();
        }
        let values: Vec<_> = values.iter().map(u16::to_string).collect();
        values.join(",")
    };
    let (minutes, hours) = (list(&fields.minutes, 60), list(&fields.hours, 24));
    let months = list(&fields.months, 12);
    let cron = |days: &str, weekdays: &str| format!("cron({minutes} {hours} {days} {months} {weekdays} *)");
    let days = fields.days.as_ref().map(|days| cron(&list(days, 31), "?"));
    let weekdays = fields.weekdays.as_ref().map(|weekdays| {
        let names: Vec<_> = weekdays.iter().map(|day| WEEKDAYS[usize::from(*day) % 7]).collect();
        cron("?", &names.join(","))
    });
    match (days, weekdays) {
        (None, None) => vec![cron("*", "?")],
        (days, weekdays) => days.into_iter().chain(weekdays).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use wharf_domain::schedule::{Action, Calendar, Pattern, Zone};

    fn schedule(name: &str, cron: &str, action: Action) -> Schedule {
        Schedule {
            name: name.parse().expect("a name"),
            calendar: Calendar::new(cron.parse().expect(cron), "Europe/Berlin".parse().expect("a zone")),
            action,
            services: ["auth", "pdf"].map(|name| name.parse().expect("a name")).into(),
            catch_up: Duration::ZERO,
        }
    }

    #[test]
    fn patterns_are_said_in_the_words_of_eventbridge() {
        let of = |cron: &str| expressions(&cron.parse::<Pattern>().expect(cron).values().expect(cron));
        assert_eq!(of("0 7 * * MON-FRI"), ["cron(0 7 ? * MON,TUE,WED,THU,FRI *)"]);
        assert_eq!(of("*/30 * * * *"), ["cron(0,30 * * * ? *)"]);
        assert_eq!(of("0 0 1 1,7 *"), ["cron(0 0 1 1,7 ? *)"]);
        assert_eq!(of("@daily"), ["cron(0 0 * * ? *)"]);
        assert_eq!(
            of("0 7 1 * 7"),
            ["cron(0 7 1 * ? *)", "cron(0 7 ? * SUN *)"],
            "either day is one"
        );
    }

    #[test]
    fn each_service_has_a_start_of_its_own_and_all_have_one_stop() {
        let text = resources(&[
            schedule("morning-shift", "0 7 * * *", Action::Start),
            schedule("evening", "0 20 * * *", Action::Stop),
        ])
        .expect("resources");
        for part in [
            "  SchedulemorningDashshift1:\n",
            "  SchedulemorningDashshift2:\n",
            "  Scheduleevening1:\n",
            "\"id\":\"schedule/morning-shift/pdf/<aws.scheduler.scheduled-time>\"",
            "\"detail\":{\"services\":[\"auth\",\"pdf\"]}",
            "ScheduleExpressionTimezone: Europe/Berlin\n",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert_eq!(text.matches("Type: AWS::Scheduler::Schedule").count(), 3);
        assert_eq!(resources(&[]).expect("nothing"), "");
    }

    #[test]
    fn what_eventbridge_cannot_be_told_is_refused() {
        for cron in ["0 7 L * *", "0 7 * * FRI#2", "0 7 15W * *"] {
            let failure = resources(&[schedule("a", cron, Action::Stop)]).expect_err(cron);
            assert_eq!(failure.code, Code::ConfigInvalid);
        }
        assert!(resources(&[schedule(&"a".repeat(41), "0 7 * * *", Action::Stop)]).is_err());
        assert_eq!(Zone::utc().as_str(), "UTC", "EventBridge knows it by this name too");
    }
}
