//! Who sends the mails, as the configuration says. What needs an account at AWS is `ecs`'s to give.

use std::sync::Arc;
use wharf_config::{Config, MailKind};
use wharf_domain::{Code, Failure};
use wharf_local::SystemClock;
use wharf_mail::{FolderMailer, ResendKey};
use wharf_platform::Mailer;
use wharf_wiring::mail::{resend, smtp};

/// `kept` is where Resend's key is, if it does not stand in the environment.
pub(super) fn mailer(config: &Config, kept: Option<ResendKey>) -> Result<Arc<dyn Mailer>, Failure> {
    let mail = &config.mail;
    Ok(match mail.kind {
        MailKind::Folder => Arc::new(FolderMailer::new(&mail.folder, Arc::new(SystemClock))?),
        MailKind::Smtp => Arc::new(smtp(mail, Arc::new(SystemClock))?),
        MailKind::Resend => Arc::new(resend(mail, kept)?.ok_or_else(|| {
            Failure::new(Code::ConfigInvalid, "mail goes by Resend, and there is no key for it")
                .hint("set RESEND_API_KEY, or aws.resend_secret to the name of a secret that holds it")
        })?),
    })
}

/// Whether the SMTP server takes mail from here; `None` where none is used.
pub(crate) async fn examine(config: &Config) -> Option<(String, Result<Option<String>, Failure>)> {
    let server = config
        .mail
        .smtp
        .as_ref()
        .filter(|_| config.mail.kind == MailKind::Smtp)?;
    let what = format!("SMTP server {}:{}", server.host, server.port);
    let found = match smtp(&config.mail, Arc::new(SystemClock)) {
        Ok(mailer) => mailer.reach().await.map_err(|error| {
            Failure::new(Code::MailFailed, error.to_string()).hint("docs/mail.md has what [mail.smtp] takes")
        }),
        Err(failure) => Err(failure),
    };
    let who = if server.user.is_some() {
        "answers, and knows the login"
    } else {
        "answers"
    };
    Some((what, found.map(|()| Some(who.to_owned()))))
}
