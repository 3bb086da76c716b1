//! Durations: `500ms`, `10s`, `5m`, `24h`, `30d`, and sums of them, `1h30m`.

use serde_json::{Value as Json, json};
use std::{fmt::Write as _, time::Duration};

use crate::setting::{Complaint, Text, shown};

/// From the longest to the shortest, in milliseconds.
const UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// The sum that a text says, in milliseconds.
fn millis(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// The shortest text for a duration, to the millisecond.
pub(super) fn text(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if rest >= *factor {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}{unit}", rest / factor);
            rest %= factor;
        }
    }
    text
}

impl Text for Duration {
    const TYPE: &'static str = "a duration";
    const EXAMPLE: &'static str = "\"30s\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        millis(text.trim()).map(Self::from_millis).ok_or_else(|| {
            let complaint = Complaint::new(format!("{} is not a duration", shown(text)));
            match text.trim().parse::<u32>() {
                Ok(number) => complaint.hint(format!("say the unit: \"{number}s\", \"{number}ms\"")),
                Err(_) => complaint.hint("write numbers with ms, s, m, h or d: \"500ms\", \"30s\", \"1h30m\""),
            }
        })
    }

    fn text(&self) -> String {
        text(*self)
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$", "examples": ["30s"]})
    }

    fn is_between(&self, least: &Self, most: &Self) -> bool {
        (least..=most).contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let cases = [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("30d", 2_592_000_000),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(Duration::parse(text).expect(text), Duration::from_millis(millis));
            assert_eq!(Duration::from_millis(millis).text(), text);
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused_with_the_remedy() {
        for text in [
            "",
            "s",
            "1",
            "1.5s",
            "-1s",
            "1 s",
            "1S",
            "1week",
            "99999999999999999999s",
            "18446744073709551615d",
            "٣s",
        ] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
        let complaint = Duration::parse("60").expect_err("no unit");
        assert_eq!(complaint.hint.as_deref(), Some("say the unit: \"60s\", \"60ms\""));
    }
}
