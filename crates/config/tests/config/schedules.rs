//! Schedules as the file says them.

use crate::common::{each_is_refused, load, loaded};
use std::time::Duration;
use wharf_domain::schedule::Action;

const SERVICES: &str = "services.auth.process.command = [\"./x\"]\nservices.pdf.process.command = [\"./x\"]\nservices.shop = { tenant = true, process = { command = [\"./x\"] } }\n";

#[test]
fn a_schedule_starts_or_stops_services_by_a_clock() {
    let text = "[schedules.morning]\ncron = \"0 7 * * MON-FRI\"\ntime_zone = \"europe/berlin\"\nstart = [\"auth\", \"pdf\"]\n\
                [schedules.evening]\ncron = \"@daily\"\nstop = [\"auth\"]\ncatch_up = \"0s\"\n";
    let config = loaded(&format!("{SERVICES}{text}"), &[]);
    let [evening, morning] = config.schedules.as_slice() else {
        panic!("{:?}", config.schedules)
    };
    assert_eq!(morning.name.as_str(), "morning");
    assert_eq!(morning.action, Action::Start);
    assert_eq!(morning.calendar.pattern().as_str(), "0 7 * * MON-FRI");
    assert_eq!(
        morning.calendar.zone().as_str(),
        "Europe/Berlin",
        "as the database writes it"
    );
    assert_eq!(morning.services.len(), 2);
    assert_eq!(morning.catch_up, Duration::from_hours(12));
    assert_eq!(evening.action, Action::Stop);
    assert_eq!(evening.calendar.zone().as_str(), "UTC");
    assert_eq!(evening.catch_up, Duration::ZERO);
}

#[test]
fn what_a_schedule_cannot_mean_is_refused() {
    let cases = [
        (
            "cron = \"0 7 * *\"\nstart = [\"auth\"]",
            "schedules.a.cron",
            "five fields",
        ),
        (
            "cron = \"0 0 30 2 *\"\nstart = [\"auth\"]",
            "schedules.a.cron",
            "no day is ever one",
        ),
        (
            "cron = \"61 7 * * *\"\nstart = [\"auth\"]",
            "schedules.a.cron",
            "cannot be read",
        ),
        ("start = [\"auth\"]", "schedules.a.cron", "is missing"),
        (
            "cron = \"0 7 * * *\"\ntime_zone = \"CET-DST\"\nstart = [\"auth\"]",
            "schedules.a.time_zone",
            "is no time zone",
        ),
        ("cron = \"0 7 * * *\"", "schedules.a", "nothing is started or stopped"),
        (
            "cron = \"0 7 * * *\"\nstart = [\"auth\"]\nstop = [\"pdf\"]",
            "schedules.a.stop",
            "make two schedules",
        ),
        (
            "cron = \"0 7 * * *\"\nstart = [\"atuh\"]",
            "schedules.a.start",
            "services without tenants are: auth, pdf",
        ),
        (
            "cron = \"0 7 * * *\"\nstop = [\"shop\"]",
            "schedules.a.stop",
            "is for tenants",
        ),
        (
            "cron = \"0 7 * * *\"\nstart = [\"auth\"]\ncatch_up = \"2d\"",
            "schedules.a.catch_up",
            "is not from",
        ),
        (
            "cron = \"0 7 * * *\"\nstart = [\"auth\"]\nzone = \"UTC\"",
            "schedules.a.zone",
            "known here: cron, time_zone",
        ),
    ];
    for (text, key, part) in cases {
        each_is_refused(&[(&format!("{SERVICES}[schedules.a]\n{text}\n"), key, part)]);
    }
    each_is_refused(&[(
        &format!("{SERVICES}[schedules.Morning]\ncron = \"0 7 * * *\"\nstart = [\"auth\"]\n"),
        "schedules.Morning",
        "use \"morning\"",
    )]);
}

#[test]
fn a_key_of_a_schedule_is_explained_by_its_name() {
    let text = format!("{SERVICES}[schedules.morning]\ncron = \"0 7 * * *\"\nstart = [\"auth\"]\n");
    let config = load(&text).expect("a configuration");
    let told = config.explain("schedules.morning.cron").expect("known");
    assert_eq!(told.value.as_deref(), Some("\"0 7 * * *\""));
    assert!(
        config.explain("schedules.noon.cron").is_err(),
        "there is no such schedule"
    );
    assert!(config.explain("schedules.NAME.catch_up").is_ok());
}
