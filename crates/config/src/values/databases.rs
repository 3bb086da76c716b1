//! Values of `[databases]`: words that go into a URL or into a statement, and so have to be of a form.

use serde::Serialize;
use serde_json::{Value as Json, json};
use std::fmt;

use crate::setting::{Choice, Complaint, Text, shown};

/// What instances' databases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseKind {
    /// There are none.
    None,
    /// SQLite files in the data directory.
    Files,
    /// Databases of a PostgreSQL server.
    Postgres,
}

impl Choice for DatabaseKind {
    const TYPE: &'static str = "one of none, files, postgres";
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("files", Self::Files),
        ("postgres", Self::Postgres),
    ];
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $example:literal, $fits:expr, $hint:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A default of this crate.
            #[allow(dead_code, reason = "not every word has a default")]
            pub(crate) fn known(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Text for $name {
            const TYPE: &'static str = $kind;
            const EXAMPLE: &'static str = $example;

            fn parse(text: &str) -> Result<Self, Complaint> {
                let fits: fn(&str) -> bool = $fits;
                if fits(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(Complaint::new(format!("{} is not {}", shown(text), $kind)).hint($hint))
            }

            fn text(&self) -> String {
                self.0.clone()
            }

            fn schema() -> Json {
                json!({"type": "string", "minLength": 1})
            }
        }
    };
}

words! {
    /// A URL's scheme (RFC 3986), without what follows it.
    UrlScheme, "the scheme of a URL", "\"postgresql+asyncpg\"",
    |text| text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b)),
    "write it without `://`, as in \"postgresql+asyncpg\""
}

words! {
    /// The name or the address of a machine, as it stands in a URL: an IPv6 address without its brackets.
    Host, "the name or the address of a machine", "\"db.internal\"",
    |text| !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b)),
    "write a host name or an IP address, without a port"
}

words! {
    /// What stands behind a URL's question mark.
    UrlQuery, "the query of a URL", "\"sslmode=require\"",
    |text| !text.is_empty()
        && text.len() <= 1024
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&b)),
    "write it without the question mark, as in \"sslmode=require\""
}

words! {
    /// A name within PostgreSQL: it is quoted wherever it is used.
    DatabaseName, "a name in PostgreSQL", "\"template0\"",
    |text| !text.is_empty() && text.len() <= 63 && !text.chars().any(char::is_control),
    "write 1 to 63 bytes"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fits_into_a_url_is_taken() {
        for scheme in ["postgresql", "postgresql+asyncpg", "postgres"] {
            assert_eq!(UrlScheme::parse(scheme).expect(scheme).as_str(), scheme);
        }
        for scheme in ["", "Postgres", "postgresql://", "1a"] {
            assert!(UrlScheme::parse(scheme).is_err(), "{scheme}");
        }
        assert!(Host::parse("fd00::1").is_ok() && Host::parse("db_1.internal").is_ok());
        assert!(Host::parse("db/x").is_err() && Host::parse("a@b").is_err() && Host::parse("").is_err());
        assert!(UrlQuery::parse("sslmode=require&a=b").is_ok());
        assert!(UrlQuery::parse("?a=b").is_err() && UrlQuery::parse("a b").is_err());
        assert!(DatabaseName::parse("uuid-ossp").is_ok() && DatabaseName::parse(&"a".repeat(64)).is_err());
    }
}
