//! Mails that did not reach anybody: given up, or overdue.

use std::time::Duration;
use wharf_domain::{Failure, Instance};
use wharf_saga::store::Unsent;

use super::{Class, Finding, Mend, Subject, suspect::finding, world::Beside};
use crate::wharf::Wharf;

/// So long after its time a mail should have been tried.
const OVERDUE: Duration = Duration::from_mins(10);

impl Wharf {
    pub(super) async fn mails(&self, beside: &Beside) -> Result<Vec<Finding>, Failure> {
        let mut found = Vec::new();
        for mail in &beside.mails {
            let instance = match self.instance(&mail.instance).await {
                Ok(instance) => Some(instance),
                Err(failure) if failure.code == wharf_domain::Code::InstanceUnknown => None,
                // What cannot be read is told of by itself.
                Err(_) => continue,
            };
            // Nobody is to be told any more.
            if instance.as_ref().is_none_or(|instance| instance.state.is_final()) {
                continue;
            }
            found.extend(instance.and_then(|instance| self.mail(mail, &instance)));
        }
        Ok(found)
    }

    fn mail(&self, mail: &Unsent, instance: &Instance) -> Option<Finding> {
        let name = instance.name();
        let Some(next) = mail.next_at else {
            let what = format!("the mail {} to {name} was given up after {} tries", mail.id, mail.tries);
            return Some(
                finding(Subject::Mail, &mail.instance, what)
                    .because(mail.error.clone())
                    .mended_by(Mend::SendAgain { mail: mail.id.clone() }, Class::Asked)
                    .hint("see first to what kept it: the address, the mail provider, its key"),
            );
        };
        // A mail that was never tried is due since it was written, with the instance's first Ready.
        let since = next.max(instance.first_ready_at.unwrap_or(instance.created_at));
        let late = self.clock().now().since(since);
        (late > OVERDUE).then(|| {
            let what = format!(
                "the mail {} to {name} is due for {} minutes",
                mail.id,
                late.as_secs() / 60
            );
            finding(Subject::Mail, &mail.instance, what)
                .because(mail.error.clone())
                .hint("nobody hands mails over: see the server's log, or the function's sweep")
        })
    }
}
