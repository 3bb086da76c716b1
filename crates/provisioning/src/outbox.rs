//! Hands over what is in the outbox: tried again with growing pauses, and after a day, or a refusal for good, put aside.
//! Whatever becomes of a mail, the tenant's instance is none the worse for it.

use std::time::Duration;
use wharf_domain::{Code, Failure};
use wharf_platform::MailError;
use wharf_saga::store::{Pending, Settle};

use crate::{mail, wharf::Wharf};

/// Mails taken from the outbox at once.
const PAGE: usize = 32;
/// The pause after the first failed try; each later one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LONGEST: Duration = Duration::from_mins(30);
/// About a day of tries.
const TRIES: u32 = 58;
/// How often the outbox is looked at without being told.
const LOOK: Duration = Duration::from_secs(5);

impl Wharf {
    /// Hands over mails until the returned future is dropped.
    pub async fn deliver_forever(&self) {
        loop {
            match self.deliver().await {
                Ok(0) => {
                    // The bell rings for new mails. Those to be tried again come due by themselves.
                    let _ = tokio::time::timeout(LOOK, self.mail_bell().notified()).await;
                }
                Ok(_) => {}
                Err(failure) => {
                    tracing::error!(code = %failure.code, error = %failure.message, "the outbox cannot be read");
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    /// Tries every mail that is due, once. Gives how many that were.
    pub async fn deliver(&self) -> Result<usize, Failure> {
        let pending = self.store().outbox(self.clock().now(), PAGE).await?;
        for mail in &pending {
            let settle = self.hand_over(mail).await;
            if let Settle::Later { error, .. } | Settle::Dead { error } = &settle {
                tracing::warn!(mail = mail.id, instance = %mail.instance, tries = mail.tries + 1, error, "a mail was not handed over");
            }
            self.store().settle(&mail.id, settle).await?;
        }
        Ok(pending.len())
    }

    async fn hand_over(&self, pending: &Pending) -> Settle {
        let now = self.clock().now();
        let rendered = match self.instance(&pending.instance).await {
            Ok(instance) => mail::render(&pending.id, &pending.body, &instance, self.settings(), self.tokens()),
            Err(failure) => Err(failure),
        };
        let error = match rendered {
            Ok(Some(mail)) => match self.platform().mailer.send(&mail).await {
                Ok(()) => return Settle::Sent { at: now },
                Err(error) => error,
            },
            Ok(None) => return Settle::Sent { at: now },
            Err(failure) if failure.code == Code::Internal => MailError::Permanent(failure.message),
            Err(failure) => MailError::Passing(failure.message),
        };
        match error {
            MailError::Passing(error) if pending.tries + 1 < TRIES => {
                let pause = PAUSE_FIRST
                    .saturating_mul(1 << pending.tries.min(20))
                    .min(PAUSE_LONGEST);
                Settle::Later { at: now + pause, error }
            }
            MailError::Passing(error) | MailError::Permanent(error) => Settle::Dead { error },
        }
    }
}
