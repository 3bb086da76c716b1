//! Ranges of ports: `8000-9000`.

use serde::Serialize;
use serde_json::{Value as Json, json};
use std::fmt;

use crate::setting::{Complaint, Text, shown};

/// Below it, only the superuser may listen.
const PRIVILEGED_MAX: u16 = 1023;

/// Ports from `first` to `last`, both included; `first` is not above `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    /// The range of static ports where none is given.
    pub(crate) const STATIC: Self = Self {
        first: *wharf_domain::service::PortRule::DEFAULT_STATIC.start(),
        last: *wharf_domain::service::PortRule::DEFAULT_STATIC.end(),
    };

    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether a port is in both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// How many ports it has.
    #[must_use]
    pub const fn count(self) -> u32 {
        (self.last - self.first) as u32 + 1
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl Text for PortRange {
    const TYPE: &'static str = "a range of ports";
    const EXAMPLE: &'static str = "\"8000-9000\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (Ok(first), Ok(last)) = (first.trim().parse::<u16>(), last.trim().parse::<u16>()) else {
            return Err(Complaint::new(format!("{} is not a range of ports", shown(text)))
                .hint("write the first and the last port, at most 65535: \"8000-9000\""));
        };
        if first > last {
            return Err(
                Complaint::new(format!("the range {} ends before it begins", shown(text)))
                    .hint(format!("write \"{last}-{first}\"")),
            );
        }
        if first <= PRIVILEGED_MAX {
            return Err(Complaint::new(format!(
                "the range {} has ports below 1024, which only the superuser may listen on",
                shown(text)
            ))
            .hint("begin at 1024 or above"));
        }
        Ok(Self { first, last })
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^[0-9]+( ?- ?[0-9]+)?$", "examples": ["8000-9000"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_ports_in_order() {
        assert_eq!(
            PortRange::parse("8000-9000").expect("a range"),
            PortRange {
                first: 8000,
                last: 9000
            }
        );
        assert_eq!(PortRange::parse("8000").expect("one port").count(), 1);
        for text in [
            "",
            "-",
            "8000-",
            "9000-8000",
            "80-90",
            "0-65535",
            "8000-70000",
            "8000..9000",
            "a-b",
        ] {
            assert!(PortRange::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_overlap_where_they_share_a_port() {
        let range = |first, last| PortRange { first, last };
        assert!(range(2000, 3000).overlaps(range(3000, 4000)));
        assert!(range(2000, 3000).overlaps(range(2500, 2600)));
        assert!(!range(2000, 2999).overlaps(range(3000, 4000)));
    }
}
