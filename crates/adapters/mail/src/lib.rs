//! Mail: how a rendered mail leaves. For now into a folder, as `.eml` files that a mail program opens.
//!
//! What must not be here: what a mail says, and when it is tried again. The one is `provisioning/mail`, the other its outbox.

mod folder;
mod message;

pub use folder::FolderMailer;
