//! How often something comes by itself: a duration, or `off`.

use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};
use std::time::Duration;

use crate::setting::{Complaint, Text};

const OFF: &str = "off";

/// How often something comes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    Off,
    Every(Duration),
}

impl Interval {
    /// `None`: never.
    #[must_use]
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::Every(duration) => Some(duration),
        }
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl Text for Interval {
    const TYPE: &'static str = "a duration or \"off\"";
    const EXAMPLE: &'static str = "\"10m\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        if text.trim() == OFF {
            return Ok(Self::Off);
        }
        let complain = |complaint: Complaint| complaint.hint("write a duration, as in \"10m\", or \"off\"");
        Duration::parse(text).map(Self::Every).map_err(complain)
    }

    fn text(&self) -> String {
        match self {
            Self::Off => OFF.to_owned(),
            Self::Every(duration) => duration.text(),
        }
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^(off|([0-9]+(ms|s|m|h|d))+)$", "examples": ["10m", "off"]})
    }

    fn is_between(&self, least: &Self, most: &Self) -> bool {
        match (self, least, most) {
            (Self::Every(this), Self::Every(least), Self::Every(most)) => (least..=most).contains(&this),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_duration_or_off() {
        for (text, interval) in [
            ("off", Interval::Off),
            ("10m", Interval::Every(Duration::from_mins(10))),
        ] {
            assert_eq!(Interval::parse(text).expect(text), interval);
            assert_eq!(interval.text(), text);
        }
        let complaint = Interval::parse("never").expect_err("refused");
        assert!(complaint.hint.is_some_and(|hint| hint.contains("off")));
    }

    #[test]
    fn off_is_within_any_bounds() {
        let minutes = |minutes| Interval::Every(Duration::from_mins(minutes));
        assert!(Interval::Off.is_between(&minutes(1), &minutes(2)));
        assert!(minutes(2).is_between(&minutes(1), &minutes(2)));
        assert!(!minutes(3).is_between(&minutes(1), &minutes(2)));
    }
}
