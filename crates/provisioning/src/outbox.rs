//! Hands over what is in the outbox: tried again with growing pauses, and after a day, or a refusal for good, put aside.
//! Whatever becomes of a mail, the tenant's instance is none the worse for it.

use futures::FutureExt;
use std::time::Duration;
use wharf_domain::{Code, Failure, Timestamp};
use wharf_platform::MailError;
use wharf_saga::store::{Pending, Settle};

use crate::{
    mail::{self, Rendered},
    wharf::Wharf,
};

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

    /// Tries the mails that are due, if one may have been put into the outbox by this process since it last asked: where nothing runs between two invocations, and a look costs money.
    pub async fn deliver_new(&self) -> Result<usize, Failure> {
        match self.mail_bell().notified().now_or_never() {
            Some(()) => self.deliver().await,
            None => Ok(0),
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
            Ok(Rendered::Mail(mail)) => match self.platform().mailer.send(&mail).await {
                Ok(()) => return Settle::Sent { at: now },
                Err(error) => error,
            },
            Ok(Rendered::Nobody) => return Settle::Sent { at: now },
            // However long that takes: it is nobody's failure, and whoever starts it again waits for this mail.
            Ok(Rendered::NotNow) => {
                return Settle::Later {
                    at: now + pause(pending.tries),
                    error: "it does not run now, and has no URL until it does".to_owned(),
                };
            }
            Err(failure) if failure.code == Code::Internal => MailError::Permanent(failure.message),
            Err(failure) => MailError::Passing(failure.message),
        };
        settled(error, pending.tries, now)
    }
}

/// What becomes of a mail that was not handed over, after so many tries before this one.
fn settled(error: MailError, tries: u32, now: Timestamp) -> Settle {
    let (error, asked) = match error {
        MailError::Passing(error) => (error, Duration::ZERO),
        MailError::Later { why, after } => (why, after.min(PAUSE_LONGEST)),
        MailError::Permanent(error) => return Settle::Dead { error },
    };
    if tries + 1 >= TRIES {
        return Settle::Dead { error };
    }
    Settle::Later {
        at: now + pause(tries).max(asked),
        error,
    }
}

/// How long a mail rests after so many tries before this one.
fn pause(tries: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(1 << tries.min(20)).min(PAUSE_LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long the mail rests after this try.
    fn rests(error: MailError, tries: u32) -> Option<Duration> {
        let now = Timestamp(1_000_000);
        match settled(error, tries, now) {
            Settle::Later { at, .. } => Some(Duration::from_millis(at.as_millis() - now.as_millis())),
            _ => None,
        }
    }

    #[test]
    fn pauses_grow_up_to_half_an_hour_and_end_after_a_day() {
        let passing = || MailError::Passing("no answer".to_owned());
        assert_eq!(rests(passing(), 0), Some(PAUSE_FIRST));
        assert_eq!(rests(passing(), 3), Some(8 * PAUSE_FIRST));
        assert_eq!(rests(passing(), 40), Some(PAUSE_LONGEST));
        assert_eq!(rests(passing(), TRIES - 1), None);
        assert_eq!(rests(MailError::Permanent("no such mailbox".to_owned()), 0), None);
    }

    #[test]
    fn a_provider_that_asks_for_time_gets_it_within_reason() {
        let later = |after| MailError::Later {
            why: "too many".to_owned(),
            after,
        };
        assert_eq!(rests(later(Duration::from_secs(20)), 0), Some(Duration::from_secs(20)));
        assert_eq!(rests(later(Duration::from_secs(1)), 3), Some(8 * PAUSE_FIRST));
        assert_eq!(rests(later(Duration::from_hours(9)), 0), Some(PAUSE_LONGEST));
        assert_eq!(rests(later(Duration::from_secs(1)), TRIES - 1), None);
    }
}
