//! Mail: how a rendered mail leaves. For now into a folder, as `.eml` files that a mail program opens.
//!
//! | file | what it is for |
//! |---|---|
//! | `message` | a mail as RFC 5322 has it: every way of sending needs that |
//! | `folder` | [`FolderMailer`]: mails as files |
//!
//! What must not be here: what a mail says, and when it is tried again. The one is `provisioning/mail`, the other its outbox.

mod folder;
mod message;

pub use folder::FolderMailer;
