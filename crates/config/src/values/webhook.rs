//! The types of webhooks' settings.

use serde::Serialize;
use std::fmt;
use wharf_domain::webhook::{Announcement, FieldPath, WebhookKind};

use super::page;
use crate::setting::{Choice, Complaint, Text, shown};

/// How webhooks are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WebhookForm(pub(crate) WebhookKind);

impl Choice for WebhookForm {
    const TYPE: &'static str = "one of stripe, standard";
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("stripe", Self(WebhookKind::Stripe)),
        ("standard", Self(WebhookKind::Standard)),
    ];
}

/// An event that goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced(pub(crate) Announcement);

impl Announced {
    pub(crate) fn all() -> Vec<Self> {
        Announcement::ALL.iter().copied().map(Self).collect()
    }
}

impl Choice for Announced {
    const TYPE: &'static str =
        "one of instance.ready, instance.failed, instance.stopped, instance.down, instance.ending, instance.ended";
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("instance.ready", Self(Announcement::Ready)),
        ("instance.failed", Self(Announcement::Failed)),
        ("instance.stopped", Self(Announcement::Stopped)),
        ("instance.down", Self(Announcement::Down)),
        ("instance.ending", Self(Announcement::Ending)),
        ("instance.ended", Self(Announcement::Ended)),
    ];
}

impl Text for FieldPath {
    const TYPE: &'static str = "the place of a field";
    const EXAMPLE: &'static str = "\"metadata.subdomain\"";
    const LIST: &'static str = "a list of places of fields";
    const LIST_EXAMPLE: &'static str = "[\"metadata.subdomain\", \"custom_fields.subdomain\"]";

    fn parse(text: &str) -> Result<Self, Complaint> {
        text.parse().map_err(|failure: wharf_domain::Failure| Complaint {
            hint: failure.hint,
            ..Complaint::new(failure.message)
        })
    }

    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}

/// Where a webhook is posted to: `https`, or `http` on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HookUrl(String);

impl HookUrl {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for HookUrl {
    const TYPE: &'static str = "the address of a receiver";
    const EXAMPLE: &'static str = "\"https://example.com/hooks/wharf\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let refuse = |why: &str| {
            Complaint::new(format!("{} is not the address of a receiver: {why}", shown(text)))
                .hint("write it as in \"https://example.com/hooks/wharf\"")
        };
        let uri = page(text).ok_or_else(|| refuse("it has no http or https, or no host"))?;
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(refuse("a password does not belong into it"));
        }
        let host = uri.host().unwrap_or_default();
        let is_local = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if uri.scheme_str() == Some("http") && !is_local {
            return Err(refuse("off this machine it has to be https"));
        }
        Ok(Self(text.to_owned()))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_can_be_asked_for_by_its_own_name() {
        for announcement in Announcement::ALL {
            let read = <Announced as Text>::parse(announcement.name());
            assert_eq!(read.ok(), Some(Announced(*announcement)), "{announcement}");
        }
    }

    #[test]
    fn events_leave_this_machine_by_https_alone() {
        for text in [
            "https://example.com/hooks?x=1",
            "http://127.0.0.1:8000/",
            "http://localhost/x",
            "http://[::1]:80/",
        ] {
            assert!(HookUrl::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "example.com",
            "http://example.com/",
            "http://127.0.0.1.example/",
            "ftp://example.com/",
            "https://",
            "https://u:p@example.com/",
            "file:///etc/passwd",
        ] {
            assert!(HookUrl::parse(text).is_err(), "{text}");
        }
    }
}
