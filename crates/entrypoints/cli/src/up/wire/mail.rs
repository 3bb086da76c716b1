//! Who sends the mails, as the configuration says. What needs an account at AWS is `ecs`'s to give.

use secrecy::SecretString;
use std::sync::Arc;
use wharf_config::{Config, MailKind, Smtp};
use wharf_domain::{Code, Failure};
use wharf_local::SystemClock;
use wharf_mail::{FolderMailer, ResendKey, ResendMailer, ResendOptions, SmtpLogin, SmtpMailer, SmtpOptions, SmtpTls};
use wharf_platform::Mailer;

/// `resend` is where the key is, if it does not stand in the environment.
pub(super) fn mailer(config: &Config, resend: Option<ResendKey>) -> Result<Arc<dyn Mailer>, Failure> {
    let mail = &config.mail;
    Ok(match mail.kind {
        MailKind::Folder => Arc::new(FolderMailer::new(&mail.folder, Arc::new(SystemClock))?),
        MailKind::Smtp => {
            let smtp = mail.smtp.as_ref().ok_or_else(|| {
                Failure::new(Code::ConfigInvalid, "mail goes by SMTP, and no server is named")
                    .hint("name it: [mail.smtp] host = \"smtp.example.com\"")
            })?;
            Arc::new(SmtpMailer::new(smtp_options(smtp), Arc::new(SystemClock))?)
        }
        MailKind::Resend => {
            let given = mail.resend_api_key.as_ref();
            let key = given
                .map(|key| ResendKey::Given(SecretString::from(key.expose().to_owned())))
                .or(resend)
                .ok_or_else(|| {
                    Failure::new(Code::ConfigInvalid, "mail goes by Resend, and there is no key for it")
                        .hint("set RESEND_API_KEY, or aws.resend_secret to the name of a secret that holds it")
                })?;
            Arc::new(ResendMailer::new(ResendOptions {
                base: mail.resend_url.to_string(),
                ..ResendOptions::new(key)
            })?)
        }
    })
}

/// Whether the SMTP server takes mail from here; `None` where none is used.
pub(crate) async fn examine(config: &Config) -> Option<(String, Result<Option<String>, Failure>)> {
    let smtp = config
        .mail
        .smtp
        .as_ref()
        .filter(|_| config.mail.kind == MailKind::Smtp)?;
    let what = format!("SMTP server {}:{}", smtp.host, smtp.port);
    let found = match SmtpMailer::new(smtp_options(smtp), Arc::new(SystemClock)) {
        Ok(mailer) => mailer.reach().await.map_err(|error| {
            Failure::new(Code::MailFailed, error.to_string()).hint("docs/mail.md has what [mail.smtp] takes")
        }),
        Err(failure) => Err(failure),
    };
    let who = if smtp.user.is_some() {
        "answers, and knows the login"
    } else {
        "answers"
    };
    Some((what, found.map(|()| Some(who.to_owned()))))
}

fn smtp_options(smtp: &Smtp) -> SmtpOptions {
    let tls = match smtp.tls {
        wharf_config::SmtpTls::Implicit => SmtpTls::Implicit,
        wharf_config::SmtpTls::Starttls => SmtpTls::StartTls,
        wharf_config::SmtpTls::None => SmtpTls::None,
    };
    let login = smtp.user.as_ref().zip(smtp.password.as_ref());
    SmtpOptions {
        login: login.map(|(user, password)| SmtpLogin {
            user: user.clone(),
            password: SecretString::from(password.expose().to_owned()),
        }),
        timeout: smtp.timeout,
        connections: smtp.connections as usize,
        roots: smtp.roots.as_ref().map(|pem| pem.clone().into_bytes()),
        ..SmtpOptions::new(smtp.host.clone(), smtp.port, tls)
    }
}
