//! Names of hosts, addresses of pages, addresses of mailboxes.

use serde::Serialize;
use serde_json::{Value as Json, json};
use std::fmt;
use wharf_domain::Email;

use crate::{
    Machine,
    setting::{Complaint, Text, shown},
};

/// The name of a host, in lower case, without a port and without a dot at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct HostName(String);

impl HostName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A default of this crate.
    pub(crate) fn known(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The one label that stands before `domain`, if this name is directly below it.
    pub(crate) fn label_below(&self, domain: &Self) -> Option<&str> {
        let label = self.0.strip_suffix(&domain.0)?.strip_suffix('.')?;
        (!label.contains('.')).then_some(label)
    }

    /// Whether nobody elsewhere can mean this machine by it: RFC 6761 keeps `localhost` and `test` from everybody.
    pub(crate) fn is_of_this_machine(&self) -> bool {
        let name = self.0.as_str();
        ["localhost", "test"].iter().any(|own| {
            name.strip_suffix(own)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    /// What browsers hold as one site: the registrable domain, or the name itself where nothing above it can be registered.
    pub(crate) fn site(&self, machine: Machine) -> &str {
        (machine.registrable_domain)(&self.0).unwrap_or(&self.0)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for HostName {
    const TYPE: &'static str = "the name of a host";
    const EXAMPLE: &'static str = "\"wharf.example.com\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let refuse = |why: &str, hint: String| {
            Err(Complaint::new(format!("{} is not the name of a host: {why}", shown(text))).hint(hint))
        };
        let example = || "write the name alone, \"wharf.example.com\"".to_owned();
        if text.contains("://") || text.contains('/') {
            return refuse("it is an address of a page", example());
        }
        if let Some((name, _)) = text.split_once(':') {
            return refuse(
                "it has a port",
                format!("write \"{name}\"; the port is that of server.listen"),
            );
        }
        if let Some(name) = text.strip_suffix('.') {
            return refuse("it ends with a dot", format!("write \"{name}\""));
        }
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return refuse(
                "it has capital letters",
                format!("write \"{}\"", text.to_ascii_lowercase()),
            );
        }
        if text.len() > 253 {
            return refuse("it has more than 253 characters", example());
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !text.split('.').all(label) {
            return refuse("its parts are letters, digits and hyphens between dots", example());
        }
        // RFC 1123: a last label of digits alone makes it an address.
        if text
            .rsplit('.')
            .next()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
        {
            return refuse(
                "it is an IP address",
                "write a name; bare addresses are always the console".to_owned(),
            );
        }
        Ok(Self(text.to_owned()))
    }

    fn text(&self) -> String {
        self.0.clone()
    }

    fn schema() -> Json {
        json!({"type": "string", "maxLength": 253, "pattern": "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "examples": ["wharf.example.com"]})
    }
}

/// The address of a page: http or https, a host, perhaps a port, and no user's name.
pub(crate) fn page(text: &str) -> Option<http::Uri> {
    let uri = text.parse::<http::Uri>().ok()?;
    let authority = uri.authority()?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    // The parser takes "host:" and "host:70000" for authorities.
    let exact = authority.port_u16().is_some() || authority.as_str() == authority.host();
    (web && exact && !authority.host().is_empty()).then_some(uri)
}

/// Where the console is reached from outside: `https://wharf.example.com`, without a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicUrl(String);

impl PublicUrl {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A default of this crate.
    pub(crate) fn known(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// The same with another host.
    pub(crate) fn with_host(&self, host: &str) -> String {
        let (scheme, authority) = self.0.split_once("://").unwrap_or(("http", &self.0));
        // An IPv6 address has colons of its own, between brackets.
        let port = authority
            .rsplit_once(':')
            .map(|(_, port)| port)
            .filter(|port| !port.ends_with(']'));
        port.map_or_else(
            || format!("{scheme}://{host}"),
            |port| format!("{scheme}://{host}:{port}"),
        )
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for PublicUrl {
    const TYPE: &'static str = "the address of a page";
    const EXAMPLE: &'static str = "\"https://wharf.example.com\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let parsed = page(text).and_then(|uri| {
            let bare = uri.path() == "/" && !text.contains(['#', '?']);
            bare.then(|| Self(text.trim_end_matches('/').to_ascii_lowercase()))
        });
        parsed.ok_or_else(|| {
            Complaint::new(format!(
                "{} is not an address with http or https, a host and nothing after it",
                shown(text)
            ))
            .hint("write it as in \"https://wharf.example.com\"")
        })
    }

    fn text(&self) -> String {
        self.0.clone()
    }

    fn schema() -> Json {
        json!({"type": "string", "format": "uri", "pattern": "^https?://[^/?#@]+/?$", "examples": ["https://wharf.example.com"]})
    }
}

/// A sender of mail: `Wharf <wharf@localhost>`, or the address alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mailbox {
    pub name: Option<String>,
    pub address: Email,
}

impl Mailbox {
    /// The sender of an installation that has none configured.
    pub(crate) fn wharf() -> Self {
        Self {
            name: Some("Wharf".into()),
            address: "wharf@localhost".parse().expect("this is an address; a test says so"),
        }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => self.address.fmt(f),
        }
    }
}

impl Text for Mailbox {
    const TYPE: &'static str = "a sender";
    const EXAMPLE: &'static str = "\"Wharf <wharf@example.com>\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>').and_then(|text| text.split_once('<')) {
            Some((name, address)) => (name.trim(), address),
            None => ("", text),
        };
        let refuse = |why: &str| {
            Complaint::new(format!("{} is not a sender of mail: {why}", shown(text)))
                .hint("write it as in \"Wharf <wharf@example.com>\"")
        };
        if name
            .chars()
            .any(|c| c.is_control() || matches!(c, '"' | '<' | '>' | '\\'))
            || name.chars().count() > 100
        {
            return Err(refuse(
                "the name has a character that a header cannot have, or more than 100",
            ));
        }
        let address = address
            .parse()
            .map_err(|failure: wharf_domain::Failure| refuse(&failure.message))?;
        Ok(Self {
            name: (!name.is_empty()).then(|| name.to_owned()),
            address,
        })
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_names_and_nothing_more() {
        for text in [
            "localhost",
            "services.localhost",
            "a-b.example.com",
            "xn--bcher-kva.example",
            "1.example",
        ] {
            assert_eq!(HostName::parse(text).expect(text).as_str(), text);
        }
        let long = format!("{}.com", "a".repeat(64));
        for text in [
            "",
            ".",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b",
            "Localhost",
            "a.b.",
            "a:80",
            "http://a",
            "127.0.0.1",
            "bücher.example",
            &long,
        ] {
            assert!(HostName::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_site_is_what_browsers_hold_for_one() {
        let cases = [
            ("console.example.com", "example.com"),
            ("a.b.example.co.uk", "example.co.uk"),
            ("acme.github.io", "acme.github.io"),
            ("localhost", "localhost"),
            ("acme.localhost", "acme.localhost"),
        ];
        for (host, site) in cases {
            assert_eq!(HostName::known(host).site(Machine::default()), site);
        }
    }

    #[test]
    fn a_public_url_has_no_path() {
        assert_eq!(
            PublicUrl::parse("https://Wharf.example.com:8443/")
                .expect("a URL")
                .as_str(),
            "https://wharf.example.com:8443"
        );
        for text in [
            "",
            "https://a:",
            "https://a:b",
            "https://a:70000",
            "wharf.example.com",
            "ftp://a",
            "https://",
            "https://a/b",
            "https://a?b",
            "https://a/#b",
            "https://u@a",
            "https://u:p@a",
        ] {
            assert!(PublicUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn another_host_of_the_same_server_has_its_scheme_and_port() {
        let elsewhere = |text: &str| PublicUrl::parse(text).expect(text).with_host("acme.example.net");
        assert_eq!(elsewhere("https://wharf.example.com"), "https://acme.example.net");
        assert_eq!(elsewhere("http://wharf.example.com:81"), "http://acme.example.net:81");
        assert_eq!(elsewhere("http://[::1]"), "http://acme.example.net");
        assert_eq!(elsewhere("http://[::1]:81"), "http://acme.example.net:81");
    }

    #[test]
    fn a_mailbox_cannot_carry_another_header() {
        let mailbox = Mailbox::parse("Wharf <wharf@localhost>").expect("a mailbox");
        assert_eq!(
            (mailbox.name.as_deref(), mailbox.address.as_str()),
            (Some("Wharf"), "wharf@localhost")
        );
        assert_eq!(mailbox, Mailbox::wharf());
        assert_eq!(Mailbox::parse("wharf@localhost").expect("an address").name, None);
        for text in [
            "",
            "Wharf",
            "Wharf <>",
            "Wharf <a@b",
            "a\r\nBcc: x <a@b>",
            "\"x\" <a@b>",
            "<a@b> <c@d>",
        ] {
            assert!(Mailbox::parse(text).is_err(), "{text}");
        }
    }
}
