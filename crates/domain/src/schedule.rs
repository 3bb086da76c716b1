//! Schedules: services that start or stop by the clock of a time zone. When they do is computed here; looking at the clock, and doing it, is
//! somebody else's business.
//!
//! A pattern is cron's (POSIX, with `L`, `W`, `#` and names of days and months), to the minute. A time that the clocks skip in spring is done at the first
//! moment after it, and one that they show twice in autumn the first time; a pattern that comes every so many minutes goes on evenly.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    Zoned,
    tz::{TimeZone, TimeZoneDatabase},
};
use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr, time::Duration};

use crate::{ScheduleName, ServiceName, Timestamp};

/// Longer patterns are no slip of anybody's hand.
const PATTERN_MAX: usize = 200;

/// When something happens: a pattern, read in a time zone.
#[derive(Clone, Serialize)]
pub struct Calendar {
    #[serde(rename = "cron")]
    pattern: Pattern,
    #[serde(rename = "time_zone")]
    zone: Zone,
}

/// A pattern of cron with five fields.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    cron: Cron,
}

/// A time zone of the IANA database, which is built in: every machine computes the same.
#[derive(Clone)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// Why a text is no pattern. `Display` says it to whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern has five fields (minute, hour, day of the month, month, day of the week), and this has {0}")]
    Fields(usize),
    #[error("a pattern has at most {PATTERN_MAX} characters")]
    Long,
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("no day is ever one that it means")]
    Never,
}

/// A name that is no time zone's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone of this name")]
pub struct UnknownZone;

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_MAX {
            return Err(PatternError::Long);
        }
        let fields = text.split_whitespace().count();
        let is_nickname = text.trim().starts_with('@');
        if fields != 5 && !(is_nickname && fields == 1) {
            return Err(PatternError::Fields(fields));
        }
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(text.trim())
            .map_err(|error| PatternError::Unreadable(error.to_string()))?;
        let pattern = Self {
            text: text.trim().to_owned(),
            cron,
        };
        // From any moment on: a pattern knows no years.
        match pattern.cron.find_next_occurrence(&Zoned::default(), false) {
            Ok(_) => Ok(pattern),
            Err(_) => Err(PatternError::Never),
        }
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| UnknownZone)?;
        Ok(Self {
            name: zone.iana_name().unwrap_or(name).to_owned(),
            zone,
        })
    }
}

impl Zone {
    #[must_use]
    pub fn utc() -> Self {
        Self {
            name: "UTC".to_owned(),
            zone: TimeZone::UTC,
        }
    }
}

/// The text, and nothing of what was computed from it.
macro_rules! as_text {
    ($name:ident, $field:ident) => {
        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.$field
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.$field)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.$field == other.$field
            }
        }

        impl Eq for $name {}

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.$field)
            }
        }
    };
}

as_text!(Pattern, text);
as_text!(Zone, name);

impl Pattern {
    /// The values of each field, for who has to say them otherwise; `None` where one has more than values in it (`L`, `W`, `#`, `+`).
    #[must_use]
    pub fn values(&self) -> Option<Fields> {
        let pattern = &self.cron.pattern;
        if pattern.days.has_modifiers() || pattern.days_of_week.has_modifiers() || pattern.matches_dom_and_dow() {
            return None;
        }
        Some(Fields {
            minutes: pattern.minutes.values(),
            hours: pattern.hours.values(),
            days: (!pattern.is_dom_wildcard()).then(|| pattern.days.values()),
            months: pattern.months.values(),
            weekdays: (!pattern.is_dow_wildcard()).then(|| pattern.days_of_week.values()),
        })
    }
}

/// What a pattern allows, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    pub minutes: Vec<u16>,
    pub hours: Vec<u16>,
    /// Of the month; `None`: any. Where weekdays are given as well, one of the two is enough.
    pub days: Option<Vec<u16>>,
    pub months: Vec<u16>,
    /// 0 is Sunday. `None`: any.
    pub weekdays: Option<Vec<u16>>,
}

impl Calendar {
    #[must_use]
    pub const fn new(pattern: Pattern, zone: Zone) -> Self {
        Self { pattern, zone }
    }

    #[must_use]
    pub const fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    #[must_use]
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The first time after this one; `None` at the end of all time.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self
            .pattern
            .cron
            .find_next_occurrence(&self.zoned(after)?, false)
            .ok()?;
        timestamp(&next)
    }

    /// The last time that is not after this one.
    #[must_use]
    pub fn last(&self, until: Timestamp) -> Option<Timestamp> {
        let last = self
            .pattern
            .cron
            .find_previous_occurrence(&self.zoned(until)?, true)
            .ok()?;
        timestamp(&last)
    }

    fn zoned(&self, at: Timestamp) -> Option<Zoned> {
        let at = jiff::Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
        Some(at.to_zoned(self.zone.zone.clone()))
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.pattern.text, self.zone.name)
    }
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        (&self.pattern, &self.zone) == (&other.pattern, &other.zone)
    }
}

impl Eq for Calendar {}

fn timestamp(at: &Zoned) -> Option<Timestamp> {
    u64::try_from(at.timestamp().as_millisecond()).ok().map(Timestamp)
}

/// A time as events have it: `2026-11-20T07:00:00Z`.
#[must_use]
pub fn text(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .unwrap_or(jiff::Timestamp::MAX)
        .to_string()
}

/// What is done to services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Start,
    Stop,
}

/// Services that start, or stop, at certain times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    pub name: ScheduleName,
    #[serde(flatten)]
    pub calendar: Calendar,
    pub action: Action,
    /// None of them is for tenants.
    pub services: Vec<ServiceName>,
    /// How late it may still be done, after nobody was there to do it. Zero: what was missed is passed over.
    pub catch_up: Duration,
}

/// A time at which a schedule is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    pub schedule: &'a Schedule,
    pub at: Timestamp,
}

/// How much later than its time a run counts as on time: a busy machine is no downtime.
pub const ON_TIME: Duration = Duration::from_mins(1);

/// What may still be done now, if it was not: of each schedule its last time at the most, the oldest first, and of what two of them do to one service only the
/// later. What is too late by the schedule's own word is not among them.
#[must_use]
pub fn due(schedules: &[Schedule], now: Timestamp) -> Vec<Run<'_>> {
    let mut runs: Vec<_> = schedules
        .iter()
        .filter_map(|schedule| {
            let at = schedule.calendar.last(now)?;
            (now.since(at) <= schedule.catch_up.max(ON_TIME)).then_some(Run { schedule, at })
        })
        .collect();
    runs.sort_by_key(|run| run.at);
    let later = runs.clone();
    runs.retain(|run| {
        let is_outdone = |service: &ServiceName| {
            later
                .iter()
                .any(|other| other.at > run.at && other.schedule.services.contains(service))
        };
        !run.schedule.services.iter().all(is_outdone)
    });
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let at: jiff::Timestamp = text.parse().expect("a time");
        Timestamp(u64::try_from(at.as_millisecond()).expect("after 1970"))
    }

    fn calendar(pattern: &str, zone: &str) -> Calendar {
        Calendar::new(pattern.parse().expect(pattern), zone.parse().expect(zone))
    }

    /// The times after one, for so many.
    fn times(calendar: &Calendar, after: &str, count: usize) -> Vec<Timestamp> {
        std::iter::successors(calendar.next(at(after)), |at| calendar.next(*at))
            .take(count)
            .collect()
    }

    fn schedule(name: &str, pattern: &str, action: Action, services: &[&str], catch_up: Duration) -> Schedule {
        Schedule {
            name: name.parse().expect("a name"),
            calendar: calendar(pattern, "UTC"),
            action,
            services: services.iter().map(|name| name.parse().expect("a name")).collect(),
            catch_up,
        }
    }

    #[test]
    fn a_pattern_is_read_in_its_time_zone() {
        let working_days = calendar("0 7 * * MON-FRI", "Europe/Berlin");
        // A Friday.
        assert_eq!(
            working_days.next(at("2026-11-20T05:59:59Z")),
            Some(at("2026-11-20T06:00:00Z"))
        );
        assert_eq!(
            working_days.next(at("2026-11-20T06:00:00Z")),
            Some(at("2026-11-23T06:00:00Z"))
        );
        assert_eq!(
            working_days.last(at("2026-11-23T05:59:59Z")),
            Some(at("2026-11-20T06:00:00Z"))
        );
        assert_eq!(
            working_days.last(at("2026-11-23T06:00:00Z")),
            Some(at("2026-11-23T06:00:00Z"))
        );
    }

    #[test]
    fn a_time_that_a_day_of_23_hours_has_not_is_done_at_the_first_moment_after_it() {
        // Clocks go from 02:00 to 03:00 on 2026-03-29.
        let times = times(&calendar("30 2 * * *", "Europe/Berlin"), "2026-03-27T12:00:00Z", 3);
        let expected = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        assert_eq!(times, expected.map(at));
    }

    #[test]
    fn a_time_that_a_day_of_25_hours_has_twice_is_done_once() {
        // Clocks go from 03:00 back to 02:00 on 2026-10-25.
        let times = times(&calendar("30 2 * * *", "Europe/Berlin"), "2026-10-24T12:00:00Z", 2);
        assert_eq!(times, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"].map(at));
    }

    #[test]
    fn what_comes_every_quarter_of_an_hour_goes_on_evenly_when_clocks_change() {
        for after in ["2026-03-28T23:00:00Z", "2026-10-24T23:00:00Z"] {
            let times = times(&calendar("*/15 * * * *", "Europe/Berlin"), after, 16);
            assert!(
                times
                    .windows(2)
                    .all(|two| two[1].since(two[0]) == Duration::from_mins(15)),
                "{times:?}"
            );
        }
    }

    #[test]
    fn what_never_happens_is_refused() {
        assert_eq!("0 0 30 2 *".parse::<Pattern>(), Err(PatternError::Never));
        assert!("0 0 29 2 *".parse::<Pattern>().is_ok(), "in a leap year");
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        assert_eq!("0 7 * *".parse::<Pattern>(), Err(PatternError::Fields(4)));
        assert_eq!(
            "0 0 7 * * *".parse::<Pattern>(),
            Err(PatternError::Fields(6)),
            "no seconds"
        );
        assert_eq!("".parse::<Pattern>(), Err(PatternError::Fields(0)));
        assert_eq!("0 ".repeat(200).parse::<Pattern>(), Err(PatternError::Long));
        for text in ["60 7 * * *", "0 24 * * *", "0 7 * * FUN", "a b c d e", "@never"] {
            assert!(
                matches!(text.parse::<Pattern>(), Err(PatternError::Unreadable(_))),
                "{text}"
            );
        }
        assert!("@daily".parse::<Pattern>().is_ok());
    }

    #[test]
    fn zones_are_those_of_the_database() {
        assert!("Europe/Berlin".parse::<Zone>().is_ok());
        assert!("UTC".parse::<Zone>().is_ok());
        for name in ["Europe/Atlantis", "", "../../etc/passwd", "+25:00"] {
            assert_eq!(name.parse::<Zone>(), Err(UnknownZone), "{name}");
        }
    }

    #[test]
    fn fields_are_told_as_values_where_they_are_nothing_else() {
        let pattern: Pattern = "0,30 7 * * MON-WED".parse().expect("a pattern");
        let fields = pattern.values().expect("values");
        assert_eq!(fields.minutes, [0, 30]);
        assert_eq!(fields.hours, [7]);
        assert_eq!(fields.days, None);
        assert_eq!(fields.weekdays, Some(vec![1, 2, 3]));
        for text in ["0 7 L * *", "0 7 * * 5#2", "0 7 1 * +MON", "0 7 15W * *"] {
            assert_eq!(text.parse::<Pattern>().expect(text).values(), None, "{text}");
        }
    }

    #[test]
    fn a_run_is_due_once_its_time_has_come_and_as_long_as_it_is_on_time() {
        let schedules = [schedule(
            "morning",
            "0 7 * * *",
            Action::Start,
            &["auth"],
            Duration::ZERO,
        )];
        let seven = at("2026-11-20T07:00:00Z");
        let run = Run {
            schedule: &schedules[0],
            at: seven,
        };
        assert_eq!(due(&schedules, at("2026-11-20T06:59:59Z")), []);
        assert_eq!(due(&schedules, seven), [run]);
        assert_eq!(due(&schedules, seven + ON_TIME), [run]);
        assert_eq!(due(&schedules, seven + ON_TIME + Duration::from_secs(1)), []);
    }

    #[test]
    fn what_was_missed_is_done_late_as_far_as_the_schedule_says() {
        let of = |hours| {
            [schedule(
                "morning",
                "0 7 * * *",
                Action::Start,
                &["auth"],
                Duration::from_hours(hours),
            )]
        };
        let up = at("2026-11-20T09:00:00Z");
        assert_eq!(due(&of(0), up), []);
        assert_eq!(due(&of(1), up), []);
        let schedules = of(2);
        let runs = due(&schedules, up);
        assert_eq!(runs.len(), 1, "of all that were missed the last");
        assert_eq!(runs[0].at, at("2026-11-20T07:00:00Z"));
    }

    #[test]
    fn of_a_start_and_a_stop_that_were_both_missed_the_later_counts() {
        let day = Duration::from_hours(24);
        let schedules = [
            schedule("evening", "0 20 * * *", Action::Stop, &["auth", "pdf"], day),
            schedule("morning", "0 7 * * *", Action::Start, &["auth"], day),
        ];
        let names = |now: &str| -> Vec<_> {
            let runs = due(&schedules, at(now));
            runs.iter().map(|run| run.schedule.name.to_string()).collect()
        };
        assert_eq!(names("2026-11-20T21:00:00Z"), ["evening"]);
        // Not all that the evening stops is started in the morning.
        assert_eq!(names("2026-11-20T08:00:00Z"), ["evening", "morning"]);
    }
}
