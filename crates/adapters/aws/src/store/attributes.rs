//! Items and their attributes: made, and read back with a failure where something else stands there than what was written.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use std::{collections::HashMap, fmt::Display};
use wharf_domain::{Code, Failure, Timestamp};

/// An item, or its key.
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn time(value: Timestamp) -> AttributeValue {
    number(value.as_millis())
}

pub(super) fn truth(value: bool) -> AttributeValue {
    AttributeValue::Bool(value)
}

pub(super) fn bytes(value: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

pub(super) fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The attributes of an item by their types. Each fails with `store.damaged` where the item has something else there.
pub(super) trait Read {
    fn optional_text(&self, name: &str) -> Option<&str>;
    fn text(&self, name: &str) -> Result<&str, Failure>;
    fn optional_number(&self, name: &str) -> Result<Option<u64>, Failure>;
    fn number(&self, name: &str) -> Result<u64, Failure>;
    fn bytes(&self, name: &str) -> Result<&[u8], Failure>;
    fn flag(&self, name: &str) -> bool;

    fn optional_time(&self, name: &str) -> Result<Option<Timestamp>, Failure> {
        Ok(self.optional_number(name)?.map(Timestamp))
    }
}

impl Read for Item {
    fn optional_text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_s().ok().map(String::as_str)
    }

    fn text(&self, name: &str) -> Result<&str, Failure> {
        self.optional_text(name).ok_or_else(|| damaged(self, name))
    }

    fn optional_number(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.as_n().ok().and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| damaged(self, name))
    }

    fn number(&self, name: &str) -> Result<u64, Failure> {
        self.optional_number(name)?.ok_or_else(|| damaged(self, name))
    }

    fn bytes(&self, name: &str) -> Result<&[u8], Failure> {
        let blob = self.get(name).and_then(|value| value.as_b().ok());
        blob.map(Blob::as_ref).ok_or_else(|| damaged(self, name))
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(|value| value.as_bool().ok()) == Some(&true)
    }
}

/// An item that has not what it should have.
pub(super) fn damaged(item: &Item, name: &str) -> Failure {
    let key = item.optional_text("pk").unwrap_or("of another form");
    Failure::new(
        Code::StoreDamaged,
        format!("the item {key} of the registry has no {name}, or another one than was written"),
    )
    .hint("something else writes into the table: find it, and restore the table to a point in time before")
}

/// What an item counts at: names and values, as DynamoDB's documentation sums them up.
pub(super) fn size(item: &Item) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(blob) => blob.as_ref().len(),
        _ => 1,
    };
    item.iter().map(|(name, attribute)| name.len() + value(attribute)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_anything_else_is_damage() {
        let item = item([
            ("pk", text("inst_1")),
            ("epoch", number(7)),
            ("live", truth(true)),
            ("contents", bytes(vec![1, 2])),
        ]);
        assert_eq!(item.text("pk").expect("a text"), "inst_1");
        assert_eq!(item.number("epoch").expect("a number"), 7);
        assert_eq!(item.optional_number("none").expect("nothing"), None);
        assert_eq!(item.bytes("contents").expect("bytes"), [1, 2]);
        assert!(item.flag("live") && !item.flag("epoch"));
        for failure in [
            item.number("pk").expect_err("a text"),
            item.text("none").map(drop).expect_err("nothing"),
            item.optional_number("contents").map(drop).expect_err("bytes"),
        ] {
            assert_eq!(failure.code, Code::StoreDamaged);
        }
        assert_eq!(
            size(&item),
            "pk".len() + 6 + "epoch".len() + 2 + "live".len() + 1 + "contents".len() + 2
        );
    }
}
