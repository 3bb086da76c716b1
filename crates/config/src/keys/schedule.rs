//! The keys of a schedule.

use std::time::Duration;
use wharf_domain::{
    ServiceName,
    schedule::{Pattern, Zone},
};

use crate::table::{Key, Node::Leaf, Presence::Named, Section};

/// What was done is remembered for two days, and no run may be done twice.
const CATCH_UP_MAX: Duration = Duration::from_hours(24);

pub(crate) static CRON: Key<Option<Pattern>> = Key::new(
    "cron",
    || None,
    "When: minute, hour, day of the month, month and day of the week, as cron reads them, with names (`MON-FRI`), `L`, `W` and `#`. A time that the clocks \
     skip in spring is done at the first moment after it.",
)
.required("\"0 7 * * MON-FRI\"")
.file_only();
pub(crate) static TIME_ZONE: Key<Zone> =
    Key::new("time_zone", Zone::utc, "Whose clock, by its name in the IANA database.").file_only();
pub(crate) static START: Key<Vec<ServiceName>> = Key::new(
    "start",
    Vec::new,
    "The services that are started then, each as `wharf start` does it. Services without tenants only.",
)
.file_only();
pub(crate) static STOP: Key<Vec<ServiceName>> = Key::new(
    "stop",
    Vec::new,
    "The services of which every instance is stopped then. A schedule starts or stops, and has one of the two.",
)
.file_only();
pub(crate) static CATCH_UP: Key<Duration> = Key::new(
    "catch_up",
    || Duration::from_hours(12),
    "How late it is still done where Wharf was down at its time; `\"0s\"` passes over what was missed. Of several times that were missed only the last \
     counts, and of a start and a stop of one service the later. On AWS, where nothing is down, EventBridge Scheduler tries for a day.",
)
.between(&[Duration::ZERO, CATCH_UP_MAX])
.file_only();

pub(crate) static SCHEDULES: Section = Section {
    name: "schedules",
    doc: "Services that start and stop by the clock, each schedule below its name. `wharf list schedules` shows them; `wharf deploy` makes those of EventBridge \
          Scheduler from them.",
    presence: Named,
    children: &[
        Leaf(&CRON),
        Leaf(&TIME_ZONE),
        Leaf(&START),
        Leaf(&STOP),
        Leaf(&CATCH_UP),
    ],
};
