//! A tenant: who an instance is for. Parsed once at the door; behind it, a value of these types is known to be good.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

use crate::{Code, Failure, Subdomain};

/// RFC 5321's longest path without its angle brackets.
const EMAIL_MAX: usize = 254;
/// Long enough for every company's registered name, short enough for a page's title.
pub const COMPANY_MAX: usize = 100;

/// A customer, as `POST /provision` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    pub subdomain: Subdomain,
    pub admin_email: Email,
    pub company_name: CompanyName,
}

/// An address that a mail can be sent to: `local@domain`, printable ASCII, without white space. Whether somebody reads it is for a mail to find out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

impl Email {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the address is kept under where it is only to be recognised: a hash, in which how its letters are written does not count.
    #[must_use]
    pub fn hash(&self) -> String {
        crate::request::fields_hash(&self.0.to_ascii_lowercase())
    }

    fn fault(text: &str) -> Option<&'static str> {
        if text.len() > EMAIL_MAX {
            return Some("it is longer than 254 characters");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic())
            || text.contains(['<', '>', '(', ')', ',', ';', ':', '"', '\\', '[', ']'])
        {
            return Some("it has a character that an address does not have");
        }
        let Some((local, domain)) = text.split_once('@') else {
            return Some("it has no @");
        };
        if local.is_empty()
            || local.len() > 64
            || local.starts_with('.')
            || local.ends_with('.')
            || local.contains("..")
        {
            return Some("what stands before the @ is not a mailbox");
        }
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !domain.split('.').all(label) {
            return Some("what stands after the @ is not a domain");
        }
        None
    }
}

impl FromStr for Email {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        match Self::fault(text) {
            None => Ok(Self(text.to_owned())),
            Some(why) => Err(
                Failure::new(Code::EmailInvalid, format!("the e-mail address cannot be used: {why}"))
                    .hint("give an address such as admin@example.com"),
            ),
        }
    }
}

impl TryFrom<String> for Email {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self, Failure> {
        text.parse()
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A company's name as people write it: 1 to 100 characters, none of them a control or invisible direction mark. HTML in it is text, and is escaped where it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CompanyName(String);

impl CompanyName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Marks that turn the direction of the text around them: in a company's name they can only deceive.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl FromStr for CompanyName {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        let length = text.chars().count();
        let why = if length == 0 {
            "it is empty".to_owned()
        } else if length > COMPANY_MAX {
            format!("it has {length} characters, and at most {COMPANY_MAX} are allowed")
        } else if text.chars().any(|c| c.is_control() || is_direction_mark(c)) {
            "it has a control character".to_owned()
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(
            Failure::new(Code::CompanyInvalid, format!("the company name cannot be used: {why}"))
                .hint("give the name as it should stand on the page, for example Acme Inc."),
        )
    }
}

impl TryFrom<String> for CompanyName {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self, Failure> {
        text.parse()
    }
}

impl From<CompanyName> for String {
    fn from(name: CompanyName) -> Self {
        name.0
    }
}

impl fmt::Display for CompanyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_people_have() {
        for text in [
            "a@b.c",
            "first.last+tag@sub.example.com",
            "root@localhost",
            "o'brien@example.ie",
        ] {
            assert!(text.parse::<Email>().is_ok(), "{text}");
        }
    }

    #[test]
    fn addresses_that_would_harm_a_mail() {
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a@b\r\nBcc: x@y",
            "<a@b>",
            "a@-b",
            "a..b@c",
            "ü@b.c",
        ] {
            let failure = text.parse::<Email>().expect_err(text);
            assert_eq!(failure.code, Code::EmailInvalid);
        }
    }

    #[test]
    fn a_company_may_be_called_anything_that_can_be_shown() {
        assert_eq!(
            "  Müller & Söhne <b>GmbH</b> "
                .parse::<CompanyName>()
                .expect("fine")
                .as_str(),
            "Müller & Söhne <b>GmbH</b>"
        );
        for text in ["", "   ", "a\u{0}b", "a\nb", "evil\u{202e}eman", &"x".repeat(10_000)] {
            assert!(text.parse::<CompanyName>().is_err());
        }
    }
}
