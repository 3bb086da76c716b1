//! A simulated provider of mail: the same id twice is one mail, and some mailboxes refuse for good.

use async_trait::async_trait;
use wharf_domain::Email;
use wharf_platform::{Mail, MailError, Mailer};

use super::{
    Flaw, SimWorld,
    calls::{Calls, ordered},
};

/// Mail, as one process hands it over.
pub(crate) struct SimMailer(pub(crate) Calls);

#[async_trait]
impl Mailer for SimMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let begun = self.0.enter("mailer.send").await;
        let fate = begun.fate;
        let result = if let Some(code) = fate.refuse {
            Err(MailError::Passing(ordered(code, "the mail was refused").message))
        } else {
            let mut state = self.0.world.state();
            state.mail_tries += 1;
            if state.refused_mailboxes.contains(&mail.to) {
                Err(MailError::Permanent(format!("there is no mailbox {}", mail.to)))
            } else {
                if state.mails.iter().all(|known| known.id != mail.id) || state.has(Flaw::FreshMailId) {
                    state.mails.push(mail.clone());
                }
                match fate.lose {
                    Some(code) => Err(MailError::Passing(ordered(code, "the answer was lost").message)),
                    None => Ok(()),
                }
            }
        };
        let outcome = if result.is_ok() { "ok" } else { "refused" };
        self.0.leave(begun, &mail.id, outcome).await;
        result
    }
}

impl SimWorld {
    /// Every mail that was handed over.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.state().mails.clone()
    }

    /// How often a mail was brought to the provider, those it refused included.
    #[must_use]
    pub fn mail_tries(&self) -> u32 {
        self.state().mail_tries
    }

    /// Every mailbox takes mail again.
    pub fn accept_mailboxes(&self) {
        self.state().refused_mailboxes.clear();
    }

    /// From now on nothing reaches this mailbox, for good.
    pub fn refuse_mailbox(&self, mailbox: &Email) {
        self.state().refused_mailboxes.push(mailbox.clone());
    }
}
