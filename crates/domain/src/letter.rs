//! The mails that Wharf writes: their kinds, what may be filled into each, and templates that an operator gives in place of Wharf's own.
//!
//! What must not be here: what a mail says, and how it is sent.

use serde::{Deserialize, Serialize};

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterKind {
    /// A tenant's application is there, and how to get in.
    Ready,
    /// A name that was paid for cannot be had, and where to choose another.
    Choose,
    /// A trial comes to its end.
    Trial,
}

/// Filled into every mail.
const EVERYWHERE: &[&str] = &["company_name", "subdomain", "admin_email", "service", "console_url"];

impl LetterKind {
    pub const ALL: &[Self] = &[Self::Ready, Self::Choose, Self::Trial];

    /// The word for it, in `wharf.toml` and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Choose => "choose",
            Self::Trial => "trial",
        }
    }

    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// What can be filled in: a word of these between braces.
    pub fn placeholders(self) -> impl Iterator<Item = &'static str> {
        let own: &[&str] = match self {
            Self::Ready => &["url", "password_url", "password_days", "instance_id"],
            Self::Choose => &["choose_url", "choose_days", "reason"],
            Self::Trial => &["url", "ends_at", "what_then"],
        };
        EVERYWHERE.iter().chain(own).copied()
    }

    /// Without this in its body the mail is of no use to whom it is for.
    #[must_use]
    pub const fn needs(self) -> &'static str {
        match self {
            Self::Ready => "url",
            Self::Choose => "choose_url",
            Self::Trial => "ends_at",
        }
    }
}

/// A mail's parts as an operator wants them; what is not given stays Wharf's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterTemplate {
    pub subject: Option<String>,
    pub text: Option<String>,
    pub html: Option<String>,
}

impl LetterTemplate {
    /// What this one leaves open, as another has it. Text and HTML belong together: they are taken from one of the two.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let body = if self.text.is_some() || self.html.is_some() {
            self
        } else {
            other
        };
        Self {
            subject: self.subject.clone().or_else(|| other.subject.clone()),
            text: body.text.clone(),
            html: body.html.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_html_are_of_one_hand() {
        let own = LetterTemplate {
            text: Some("own".to_owned()),
            ..LetterTemplate::default()
        };
        let general = LetterTemplate {
            subject: Some("subject".to_owned()),
            text: Some("general".to_owned()),
            html: Some("<p>general".to_owned()),
        };
        let both = own.or(&general);
        assert_eq!(
            (both.subject.as_deref(), both.text.as_deref(), both.html),
            (Some("subject"), Some("own"), None)
        );
        assert_eq!(LetterTemplate::default().or(&general), general);
    }

    #[test]
    fn each_kind_can_be_filled_with_what_it_needs() {
        for kind in LetterKind::ALL {
            assert!(kind.placeholders().any(|word| word == kind.needs()), "{kind:?}");
            assert_eq!(LetterKind::named(kind.name()), Some(*kind));
        }
    }
}
