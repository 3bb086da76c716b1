//! Amounts of memory and of data: `256MiB`.

use serde_json::{Value as Json, json};

use crate::setting::{Complaint, Text, shown};

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const UNITS: &[(&str, u64)] = &[
    ("GiB", GIB),
    ("MiB", MIB),
    ("KiB", KIB),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub(crate) u64);

impl Text for ByteSize {
    const TYPE: &'static str = "an amount of memory";
    const EXAMPLE: &'static str = "\"256MiB\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let trimmed = text.trim();
        let (number, unit) = trimmed.split_at(trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len()));
        let factor = UNITS
            .iter()
            .find(|(name, _)| *name == unit.trim())
            .map(|(_, factor)| *factor);
        let bytes = number
            .parse::<u64>()
            .ok()
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| {
            Complaint::new(format!("{} is not an amount of memory", shown(text)))
                .hint("write a number with B, kB, MB, GB, KiB, MiB or GiB: \"256MiB\"")
        })
    }

    fn text(&self) -> String {
        let unit = UNITS
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        unit.map_or_else(
            || format!("{}B", self.0),
            |(name, factor)| format!("{}{name}", self.0 / factor),
        )
    }

    fn schema() -> Json {
        json!({"type": "string", "pattern": "^[0-9]+ ?(B|kB|MB|GB|KiB|MiB|GiB)$", "examples": ["256MiB"]})
    }

    fn is_between(&self, least: &Self, most: &Self) -> bool {
        (least..=most).contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_show_alike() {
        for (text, bytes) in [
            ("256MiB", 256 * MIB),
            ("1GiB", GIB),
            ("64KiB", 65_536),
            ("500MB", 500_000_000),
            ("7B", 7),
            ("0B", 0),
        ] {
            assert_eq!(ByteSize::parse(text).expect(text), ByteSize(bytes));
            assert_eq!(ByteSize(bytes).text(), text);
        }
        for text in [
            "",
            "256",
            "MiB",
            "256Mi",
            "256 mib",
            "-1MiB",
            "1.5GiB",
            "99999999999999999999GiB",
            "18446744073709551615GiB",
        ] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
    }
}
