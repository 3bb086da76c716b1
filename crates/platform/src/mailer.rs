//! Mail, handed over one at a time from the outbox.

use async_trait::async_trait;
use std::time::Duration;
use wharf_domain::Email;

/// A mail, ready to be sent.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The same for every try: what a provider knows a repetition by, and the Message-ID's local part.
    pub id: String,
    /// `Name <address>`.
    pub from: String,
    pub to: Email,
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Why it was not handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// May go through later.
    #[error("{0}")]
    Passing(String),
    /// As `Passing`, and the provider says when: not before `after`.
    #[error("{why}")]
    Later { why: String, after: Duration },
    /// Will never: the address is refused, the key is wrong.
    #[error("{0}")]
    Permanent(String),
}

/// Hands mails over.
///
/// Guarantees wanted: the same `id` twice is one mail, where the provider can tell; else at least once, with one Message-ID.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}
