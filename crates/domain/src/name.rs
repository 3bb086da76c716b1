//! Names, and why a text is refused as one. A name is never silently changed into another: `a-b`, `A.B` and `ab` stay apart,
//! and what is not a name is refused with the nearest one that is.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

use crate::{Code, Failure};

/// `user_<name>` has to stay within PostgreSQL's 63 bytes.
pub const SUBDOMAIN_MAX: usize = 58;
/// An RFC 1035 label.
pub const LABEL_MAX: usize = 63;

/// Names that a tenant cannot have: they are, or read as, the operator's own.
pub const RESERVED: &[&str] = &[
    "account",
    "accounts",
    "admin",
    "administrator",
    "api",
    "app",
    "assets",
    "auth",
    "autoconfig",
    "autodiscover",
    "billing",
    "blog",
    "cdn",
    "console",
    "dashboard",
    "dev",
    "dns",
    "docs",
    "email",
    "ftp",
    "git",
    "help",
    "host",
    "hostmaster",
    "imap",
    "info",
    "internal",
    "localhost",
    "login",
    "mail",
    "metrics",
    "mx",
    "news",
    "noc",
    "ns",
    "ns1",
    "ns2",
    "pop",
    "pop3",
    "postmaster",
    "prod",
    "production",
    "registry",
    "root",
    "security",
    "services",
    "signup",
    "sip",
    "smtp",
    "ssh",
    "ssl",
    "staging",
    "static",
    "status",
    "support",
    "sysadmin",
    "system",
    "test",
    "tls",
    "usenet",
    "vpn",
    "web",
    "webmail",
    "webmaster",
    "wharf",
    "wpad",
    "www",
    "www1",
    "www2",
];

/// Why a text is not a name. `Display` says it to the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a name is needed")]
    Empty,
    #[error("a name has at most {max} characters, this one has {len}")]
    TooLong { len: usize, max: usize },
    #[error("a name has only small letters, digits and hyphens; {0:?} is none of them")]
    Character(char),
    #[error("a name starts with a letter")]
    Start,
    #[error("a name ends with a letter or a digit")]
    End,
    #[error("a name has no two hyphens in a row")]
    DoubleHyphen,
    #[error("a name must not read as an IP address")]
    Address,
    #[error("{0:?} is reserved")]
    Reserved(String),
}

/// An RFC 1035 label in lower case, with nothing in it that a browser, a resolver or sslip.io would read as something else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Label(String);

impl Label {
    fn check(text: &str, max: usize) -> Result<(), NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if let Some(c) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            return Err(NameError::Character(c));
        }
        if text.len() > max {
            return Err(NameError::TooLong { len: text.len(), max });
        }
        if reads_as_address(text) {
            return Err(NameError::Address);
        }
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(NameError::Start);
        }
        if text.ends_with('-') {
            return Err(NameError::End);
        }
        // Punycode (`xn--`) is one of these.
        if text.contains("--") {
            return Err(NameError::DoubleHyphen);
        }
        Ok(())
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

/// sslip.io follows four numbers between hyphens wherever they stand in a name.
fn reads_as_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts
        .windows(4)
        .any(|four| four.iter().all(|part| part.parse::<u8>().is_ok()))
}

/// The nearest valid name, where there is one: what the error offers, and never takes by itself.
#[must_use]
pub fn suggest(text: &str, max: usize) -> Option<String> {
    let mut out = String::new();
    for c in text.trim().chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            '-' | '_' | '.' | ' ' if !out.is_empty() && !out.ends_with('-') => out.push('-'),
            _ => {}
        }
    }
    out.truncate(max);
    let mut out = out.trim_matches('-').to_owned();
    if reads_as_address(&out) {
        out = out.replace('-', "");
    }
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, 'n');
        out.truncate(max);
    }
    if RESERVED.contains(&out.as_str()) {
        out = format!("my-{out}");
    }
    (Label::check(&out, max).is_ok() && out != text).then_some(out)
}

/// A name that is refused, as a failure with the nearest name that would do.
fn refuse(what: &str, text: &str, max: usize, error: &NameError) -> Failure {
    let code = if matches!(error, NameError::Reserved(_)) {
        Code::NameReserved
    } else {
        Code::NameInvalid
    };
    let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    let failure = Failure::new(code, format!("{what} {shown:?} cannot be used: {error}"));
    match suggest(text, max) {
        Some(better) => failure.hint(format!("use {better:?}, for example")),
        None => {
            failure.hint("use small letters, digits and single hyphens, starting with a letter, for example \"acme\"")
        }
    }
}

macro_rules! label_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Label);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The rule that `text` breaks, if any.
            pub fn check(text: &str) -> Result<(), NameError> {
                Label::check(text, $max)?;
                if $reserved.contains(&text) {
                    return Err(NameError::Reserved(text.to_owned()));
                }
                Ok(())
            }
        }

        impl FromStr for $name {
            type Err = Failure;

            fn from_str(text: &str) -> Result<Self, Failure> {
                Self::check(text).map_err(|error| refuse($what, text, $max, &error))?;
                Ok(Self(Label(text.to_owned())))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Failure;

            fn try_from(text: String) -> Result<Self, Failure> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

label_type! {
    /// A tenant's name, and the first label of the tenant's host name: at most 58 characters, and none of [`RESERVED`].
    Subdomain, "the subdomain", SUBDOMAIN_MAX, RESERVED
}

const NOTHING: &[&str] = &[];

label_type! {
    /// A service's name in `wharf.toml`: `auth`, `storefront`.
    ServiceName, "the service name", LABEL_MAX, NOTHING
}

label_type! {
    /// A schedule's name in `wharf.toml`: `morning`.
    ScheduleName, "the schedule's name", LABEL_MAX, NOTHING
}

label_type! {
    /// What a webhook's sender, or its receiver, is called in `wharf.toml`: `stripe`.
    WebhookName, "the webhook's name", LABEL_MAX, NOTHING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_taken_as_they_are() {
        let longest = "a".repeat(SUBDOMAIN_MAX);
        for name in ["acme", "a", "a1", "a-b", "shop-4-you", "a-1-2-3", longest.as_str()] {
            assert_eq!(name.parse::<Subdomain>().expect(name).as_str(), name);
        }
    }

    #[test]
    fn each_rule_refuses_with_its_reason() {
        let too_long = "a".repeat(SUBDOMAIN_MAX + 1);
        let cases = [
            ("", NameError::Empty),
            (too_long.as_str(), NameError::TooLong { len: 59, max: 58 }),
            ("Acme", NameError::Character('A')),
            ("a_b", NameError::Character('_')),
            ("a.b", NameError::Character('.')),
            ("bücher", NameError::Character('ü')),
            ("-acme", NameError::Start),
            ("1acme", NameError::Start),
            ("acme-", NameError::End),
            ("a--b", NameError::DoubleHyphen),
            ("xn--bcher-kva", NameError::DoubleHyphen),
            ("10-0-0-1", NameError::Address),
            ("shop-10-0-0-1", NameError::Address),
            ("www", NameError::Reserved("www".into())),
        ];
        for (text, error) in cases {
            assert_eq!(Subdomain::check(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_suggestion_is_itself_valid_or_absent() {
        for text in [
            "Acme Inc.",
            "a_b",
            "--x--",
            "10-0-0-1",
            "www",
            "日本",
            "",
            "1st",
            &"Z".repeat(99),
        ] {
            if let Some(better) = suggest(text, SUBDOMAIN_MAX) {
                assert_eq!(Subdomain::check(&better), Ok(()), "{text} → {better}");
            }
        }
        assert_eq!(suggest("Acme Inc.", SUBDOMAIN_MAX).as_deref(), Some("acme-inc"));
    }

    #[test]
    fn reserved_names_are_names_otherwise_and_in_order() {
        assert!(RESERVED.is_sorted());
        for name in RESERVED {
            assert_eq!(Label::check(name, SUBDOMAIN_MAX), Ok(()), "{name}");
        }
    }
}
