//! How often something may happen: `20/1h`.

use serde::Serialize;
use serde_json::{Value as Json, json};
use std::time::Duration;

use crate::setting::{Complaint, Text, shown};

/// So many times within any stretch of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

impl Text for Rate {
    const TYPE: &'static str = "a rate";
    const EXAMPLE: &'static str = "\"20/1h\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let parsed = text.split_once('/').and_then(|(count, per)| {
            Some(Self {
                count: count.trim().parse().ok()?,
                per: Duration::parse(per).ok()?,
            })
        });
        match parsed {
            Some(rate) if rate.count > 0 && !rate.per.is_zero() => Ok(rate),
            _ => Err(Complaint::new(format!("{} is not a rate", shown(text)))
                .hint("write how often in how long, both more than nothing: \"20/1h\"")),
        }
    }

    fn text(&self) -> String {
        format!("{}/{}", self.count, super::duration::text(self.per))
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^[1-9][0-9]* ?/ ?([0-9]+(ms|s|m|h|d))+$", "examples": ["20/1h"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_in_a_time() {
        let rate = Rate::parse("10/1m").expect("a rate");
        assert_eq!((rate.count, rate.per), (10, Duration::from_mins(1)));
        assert_eq!(rate.text(), "10/1m");
        for text in [
            "", "10", "10/", "/1m", "0/1m", "10/0s", "10/60", "-1/1m", "ten/1m", "1/1m/1m",
        ] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }
}
