//! Hands over what is in the outbox: tried again with growing pauses, and after a day, or a refusal for good, put aside.
//! Whatever becomes of a mail, the tenant's instance is none the worse for it.

use futures::{FutureExt, StreamExt, stream};
use std::time::Duration;
use wharf_domain::{Code, Failure, InstanceId, Timestamp};
use wharf_platform::MailError;
use wharf_saga::{
    Batch, CommitError,
    store::{Expect, Fate, LeaseChange, OutboxMail, Pending, Posted, Settle},
};

use crate::{
    mail::{self, Letter, Rendered},
    wharf::Wharf,
};

/// Mails taken from the outbox at once.
const PAGE: usize = 32;
/// Handed over at the same time: a receiver that lets us wait keeps few of the others waiting.
const AT_ONCE: usize = 4;
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
        let count = pending.len();
        let mut settled = stream::iter(pending)
            .map(|mail| async move { self.try_once(&mail).await })
            .buffered(AT_ONCE);
        let mut outcome = Ok(count);
        while let Some(settled) = settled.next().await {
            // One fate that cannot be written down does not keep the others from theirs.
            if let Err(failure) = settled {
                outcome = Err(failure);
            }
        }
        outcome
    }

    async fn try_once(&self, mail: &Pending) -> Result<(), Failure> {
        let settle = self.hand_over(mail).await;
        let is_its_turn = !mail.id.starts_with("lapse-");
        if let Settle::Later { error, .. } | Settle::Dead { error } = &settle
            && is_its_turn
        {
            tracing::warn!(mail = mail.id, instance = %mail.instance, tries = mail.tries + 1, error, "a mail was not handed over");
        }
        Ok(self.store().settle(&mail.id, settle).await?)
    }

    async fn hand_over(&self, pending: &Pending) -> Settle {
        let now = self.clock().now();
        let handed = match self.hand_to(pending).await {
            Ok(settle) => return settle,
            Err(Stays::Failed(failure)) if failure.code == Code::Internal => MailError::Permanent(failure.message),
            Err(Stays::Failed(failure)) => MailError::Passing(failure.message),
            Err(Stays::Refused(error)) => error,
        };
        settled(handed, pending.tries, now)
    }

    /// To whom it belongs: the mailer, a receiver of events, or the instance itself.
    async fn hand_to(&self, pending: &Pending) -> Result<Settle, Stays> {
        let (id, instance) = (pending.id.as_str(), &pending.instance);
        let sent = Settle::Sent { at: self.clock().now() };
        let rendered = match Letter::read(id, &pending.body)? {
            Letter::Ready => {
                let instance = self.instance(instance).await?;
                mail::render_ready(id, &instance, self.settings(), self.tokens())
            }
            Letter::Trial { end } => {
                let instance = self.instance(instance).await?;
                mail::render_trial(id, &instance, end, self.settings())
            }
            Letter::Choose { order } => {
                let mail = mail::render_choose(id, &order, instance, self.settings(), self.tokens());
                Rendered::Mail(Box::new(mail))
            }
            Letter::Lapse { at } => return Ok(self.lapsed(id, instance, at).await?),
            Letter::Event { to, event, at, told } => {
                self.post_event(id, &to, event, at, &told).await?;
                return Ok(sent);
            }
        };
        match rendered {
            Rendered::Mail(mail) => {
                self.platform().mailer.send(&mail).await?;
                Ok(sent)
            }
            Rendered::Nobody => Ok(sent),
            // However long that takes: it is nobody's failure, and whoever starts it again waits for this mail.
            Rendered::NotNow => Ok(Settle::Later {
                at: self.clock().now() + pause(pending.tries),
                error: "it does not run now, and has no URL until it does".to_owned(),
            }),
        }
    }
}

/// Why a message stays in the outbox.
#[derive(Debug)]
enum Stays {
    /// Whoever it was brought to did not take it.
    Refused(MailError),
    Failed(Failure),
}

impl From<MailError> for Stays {
    fn from(error: MailError) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for Stays {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Where a mail stands, for whoever looks after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailView {
    pub id: String,
    pub instance: InstanceId,
    /// What it is about: `ready`.
    pub kind: String,
    pub tries: u32,
    pub fate: Fate,
    /// What the last try met.
    pub error: Option<String>,
}

/// A page of the outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailPage {
    pub mails: Vec<MailView>,
    /// To be given as `from` for the next page; `None` on the last one.
    pub next: Option<String>,
}

impl From<Posted> for MailView {
    fn from(posted: Posted) -> Self {
        let kind = Letter::read(&posted.id, &posted.body).map_or("unknown", |letter| letter.name());
        Self {
            id: posted.id,
            instance: posted.instance,
            kind: kind.to_owned(),
            tries: posted.tries,
            fate: posted.fate,
            error: posted.error,
        }
    }
}

impl Wharf {
    /// A page of the mails, whatever became of them.
    pub async fn list_mails(&self, from: Option<String>, limit: usize) -> Result<MailPage, Failure> {
        let page = self.store().posted(from, limit).await?;
        Ok(MailPage {
            mails: page.mails.into_iter().map(MailView::from).collect(),
            next: page.next,
        })
    }

    /// Has a mail handed over once more, now: one that waits, one that was given up, or one that was sent and did not arrive. What was sent goes out
    /// as a new mail, since its receiver knows the first one.
    pub async fn resend(&self, id: &str) -> Result<MailView, Failure> {
        let now = self.clock().now();
        let mail = self.store().mail(id).await?.ok_or_else(|| unknown_mail(id))?;
        let id = if let Fate::Sent { .. } = mail.fate {
            let again = OutboxMail {
                id: format!("{}-again-{}", original(&mail.id), now.as_millis()),
                body: mail.body,
            };
            let id = again.id.clone();
            let mut batch = Batch::new(mail.instance, Expect::Anything, LeaseChange::Keep);
            batch.outbox.push(again);
            match self.store().commit(batch).await {
                Ok(_) => id,
                Err(CommitError::Store(error)) => return Err(error.failure),
                Err(error) => return Err(Failure::internal(error.to_string())),
            }
        } else {
            self.store().settle(&mail.id, Settle::Again { at: now }).await?;
            mail.id
        };
        self.mail_bell().notify_one();
        let mail = self.store().mail(&id).await?.ok_or_else(|| unknown_mail(&id))?;
        Ok(mail.into())
    }
}

/// The id of the mail of which this one may be a repetition: ids must not grow with each.
fn original(id: &str) -> &str {
    id.split_once("-again-").map_or(id, |(original, _)| original)
}

fn unknown_mail(id: &str) -> Failure {
    let shown: String = id.chars().filter(|c| !c.is_control()).take(80).collect();
    Failure::new(Code::MailUnknown, format!("there is no mail {shown:?}"))
        .hint("`wharf mail list --all` shows those that there are")
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
