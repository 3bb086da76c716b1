//! Who delivers the mails of a configuration. What is made of mails that nobody delivers is each binary's own.

use secrecy::SecretString;
use std::sync::Arc;
use wharf_config::{Mail, Smtp};
use wharf_domain::{Code, Failure};
use wharf_mail::{ResendKey, ResendMailer, ResendOptions, SmtpLogin, SmtpMailer, SmtpOptions, SmtpTls};
use wharf_saga::Clock;

/// The SMTP server that `[mail.smtp]` names.
///
/// # Errors
/// `config.invalid` where it names none, and what speaks against its options.
pub fn smtp(mail: &Mail, clock: Arc<dyn Clock>) -> Result<SmtpMailer, Failure> {
    let smtp = mail.smtp.as_ref().ok_or_else(|| {
        Failure::new(Code::ConfigInvalid, "mail goes by SMTP, and no server is named")
            .hint("name it: [mail.smtp] host = \"smtp.example.com\"")
    })?;
    SmtpMailer::new(smtp_options(smtp), clock)
}

/// Resend, with the key of the environment or else the one that is `kept` elsewhere. `None` where there is neither.
///
/// # Errors
/// What speaks against its address.
pub fn resend(mail: &Mail, kept: Option<ResendKey>) -> Result<Option<ResendMailer>, Failure> {
    let given = mail.resend_api_key.as_ref();
    let given = given.map(|key| ResendKey::Given(SecretString::from(key.expose().to_owned())));
    let Some(key) = given.or(kept) else {
        return Ok(None);
    };
    let base = mail.resend_url.to_string();
    ResendMailer::new(ResendOptions {
        base,
        ..ResendOptions::new(key)
    })
    .map(Some)
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
