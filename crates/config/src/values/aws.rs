//! Names of tables, shares of an account's allowance, and secrets that are never shown.

use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};
use std::fmt;

use crate::{
    document::Value,
    setting::{Complaint, Raw, Setting, Text, mistyped, shown},
};

/// The name of a table of DynamoDB, or its ARN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TableName(String);

impl TableName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A default of this crate.
    pub(crate) fn known(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for TableName {
    const TYPE: &'static str = "the name of a table";
    const EXAMPLE: &'static str = "\"wharf\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let name = match text.strip_prefix("arn:") {
            Some(arn) => arn.rsplit_once(":table/").map_or("", |(_, name)| name),
            None => text,
        };
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if (3..=255).contains(&name.len()) && name.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(Complaint::new(format!("{} is not the name of a table", shown(text)))
            .hint("write 3 to 255 letters, digits and -_., or an ARN"))
    }

    fn text(&self) -> String {
        self.0.clone()
    }

    fn schema() -> Json {
        json!({"type": "string", "minLength": 3, "examples": ["wharf"]})
    }
}

/// A part of a whole, more than nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share(pub(crate) f64);

impl Share {
    /// Less would be less than one call in a minute of the smallest allowance.
    const LEAST: f64 = 0.01;

    fn checked(text: &str) -> Result<Self, Complaint> {
        match text.parse::<f64>() {
            Ok(share) if (Self::LEAST..=1.0).contains(&share) => Ok(Self(share)),
            _ => Err(
                Complaint::new(format!("{} is not a share from 0.01 to 1.0", shown(text)))
                    .hint("write 0.5 for the half"),
            ),
        }
    }

    fn number(value: &Value<'_>) -> Option<String> {
        let value = value.get_ref();
        let float = value.as_float().map(|number| number.as_str().to_owned());
        float.or_else(|| value.as_integer().map(|number| number.as_str().to_owned()))
    }
}

impl Setting for Share {
    const TYPE: &'static str = "a share from 0.01 to 1.0";
    const EXAMPLE: &'static str = "0.5";

    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
        match raw {
            Raw::Text(text) => Self::checked(text.trim()).map_err(|complaint| vec![complaint]),
            Raw::Toml(value) => {
                let number = Self::number(value).ok_or_else(|| vec![mistyped::<Self>(value)])?;
                let located = |complaint| {
                    vec![Complaint {
                        span: Some(value.span()),
                        ..complaint
                    }]
                };
                Self::checked(&number).map_err(located)
            }
        }
    }

    fn show(&self) -> String {
        format!("{:?}", self.0)
    }

    fn schema() -> Json {
        json!({"type": "number", "minimum": Self::LEAST, "maximum": 1})
    }
}

/// Something that is used and never shown: not by `explain`, not in a log, not in a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What stands in a secret's place.
const HIDDEN: &str = "(hidden)";

impl Secret {
    /// What a file of its own holds, if that is one.
    pub(crate) fn from_file(text: &str) -> Option<Self> {
        let is_secret = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        is_secret.then(|| Self(text.to_owned()))
    }

    /// The secret itself, for the one call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl Setting for Secret {
    const TYPE: &'static str = "a secret";
    const EXAMPLE: &'static str = "";

    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
        match raw {
            // It goes into a header as it stands.
            Raw::Text(text) if text.bytes().all(|b| b.is_ascii_graphic()) => Ok(Self(text.clone().into_owned())),
            Raw::Text(_) => Err(vec![Complaint::new(
                "the secret has a character that is not visible ASCII",
            )]),
            Raw::Toml(value) => {
                let complaint = Complaint::new("a secret does not belong in the file");
                let complaint =
                    complaint.hint("take it out, and set it in the environment or keep it in Secrets Manager");
                Err(vec![Complaint {
                    span: Some(value.span()),
                    ..complaint
                }])
            }
        }
    }

    fn show(&self) -> String {
        HIDDEN.to_owned()
    }

    fn schema() -> Json {
        // No value of the file is one.
        json!({"not": {}})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_name_that_dynamodb_takes() {
        for text in [
            "wharf",
            "crownmercado-ports",
            "arn:aws:dynamodb:eu-west-1:123456789012:table/wharf",
        ] {
            assert_eq!(TableName::parse(text).expect(text).as_str(), text);
        }
        for text in [
            "",
            "ab",
            "a b c",
            "arn:aws:dynamodb",
            "arn:aws:sqs:eu-west-1:1:wharf",
            &"a".repeat(256),
        ] {
            assert!(TableName::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_a_part_and_not_nothing() {
        let read = |text: &str| Share::read(&Raw::Text(text.into())).map(|Share(share)| share.to_string());
        assert_eq!(read("0.25").expect("a share"), "0.25");
        for text in ["", "0", "1.5", "-1", "half", "NaN", "inf"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::read(&Raw::Text("re_123".into())).expect("a secret");
        let shown = [
            format!("{secret:?}"),
            secret.show(),
            serde_json::to_string(&secret).expect("JSON"),
        ];
        assert!(shown.iter().all(|text| !text.contains("re_123")), "{shown:?}");
        let wrong = Secret::read(&Raw::Text("re_1 23".into())).expect_err("a space");
        assert!(!wrong[0].message.contains("re_1"), "{wrong:?}");
    }
}
