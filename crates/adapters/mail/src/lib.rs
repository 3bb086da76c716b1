//! Mail: how a rendered mail leaves. Into a folder, as `.eml` files that a mail program opens, by SMTP, or by Resend.
//!
//! | file | what it is for |
//! |---|---|
//! | `message` | a mail as RFC 5322 has it, and what every way of sending checks |
//! | `folder` | [`FolderMailer`]: mails as files |
//! | `smtp` | [`SmtpMailer`]: mails by an SMTP server |
//! | `words` | what others say of a mail, fit for a log |
//! | `resend` | [`ResendMailer`]: mails by Resend's HTTP API |
//!
//! What must not be here: what a mail says, and when it is tried again. The one is `provisioning/mail`, the other its outbox.

mod folder;
mod message;
mod resend;
mod smtp;
mod words;

pub use folder::FolderMailer;
/// For whoever holds inputs of his own against it (`fuzz/`).
#[doc(hidden)]
pub use message::render as rendered;
pub use resend::{ResendKey, ResendMailer, ResendOptions};
pub use smtp::{SmtpLogin, SmtpMailer, SmtpOptions, SmtpTls};
