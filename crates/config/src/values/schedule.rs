//! Patterns of cron, and time zones.

use wharf_domain::schedule::{Pattern, Zone};

use crate::setting::{Complaint, Text, shown};

impl Text for Pattern {
    const TYPE: &'static str = "a pattern of cron";
    const EXAMPLE: &'static str = "\"0 7 * * MON-FRI\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|error| {
            Complaint::new(format!("{} is never a time: {error}", shown(text)))
                .hint("write minute, hour, day of the month, month and day of the week: \"0 7 * * MON-FRI\"")
        })
    }

    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Text for Zone {
    const TYPE: &'static str = "a time zone";
    const EXAMPLE: &'static str = "\"Europe/Berlin\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|_| {
            Complaint::new(format!("{} is no time zone", shown(text)))
                .hint("write its name in the IANA database: \"Europe/Berlin\", \"America/New_York\", \"UTC\"")
        })
    }

    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}
