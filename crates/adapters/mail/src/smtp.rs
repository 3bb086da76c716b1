//! Mails by an SMTP server: one transaction each, over TLS from the first byte or by STARTTLS, and never over less than was asked for.
//!
//! SMTP knows no repetition: a mail whose answer was lost is sent again, with the same Message-ID, by which mailboxes join the two.
//!
//! What must not be here: retrying (the outbox does), and a log line or an error with the password, an address or the body in it.

mod answer;
mod pool;

use async_trait::async_trait;
use lettre::{
    Address,
    address::Envelope,
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, TlsParameters},
    },
};
use secrecy::{ExposeSecret, SecretString};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::OnceCell;
use wharf_domain::{Code, Failure};
use wharf_platform::{Mail, MailError, Mailer};
use wharf_saga::Clock;

use crate::message;
use pool::{Connect, Pool};

/// RFC 5321 lets a server think for minutes over a mail; one that takes longer than this is asked again later.
const TIMEOUT: Duration = Duration::from_secs(30);
/// As many as the outbox hands over at once.
const CONNECTIONS: usize = 4;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the first byte (port 465).
    Implicit,
    /// After a greeting in clear (port 587); a server that does not offer it gets no mail.
    StartTls,
    /// Not at all: for a server on this machine.
    None,
}

/// Who Wharf is to the server.
#[derive(Clone)]
pub struct SmtpLogin {
    pub user: String,
    pub password: SecretString,
}

impl fmt::Debug for SmtpLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpLogin")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// How the server is reached.
#[derive(Clone, Debug)]
pub struct SmtpOptions {
    /// A name or an address; the certificate has to be for it.
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub login: Option<SmtpLogin>,
    /// For connection, greeting, transaction and answer together.
    pub timeout: Duration,
    /// Connections at the same time, at the most.
    pub connections: usize,
    /// Who may vouch for the server, as PEM, in place of those that the machine trusts.
    pub roots: Option<Vec<u8>>,
}

impl SmtpOptions {
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, tls: SmtpTls) -> Self {
        Self {
            host: host.into(),
            port,
            tls,
            login: None,
            timeout: TIMEOUT,
            connections: CONNECTIONS,
            roots: None,
        }
    }

    /// Whether what is sent stays on this machine.
    fn is_local(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }
}

/// Hands mails to an SMTP server.
pub struct SmtpMailer {
    options: SmtpOptions,
    clock: Arc<dyn Clock>,
    /// Made with the first mail: reading the machine's certificates takes a moment.
    pool: OnceCell<Pool>,
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpMailer")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl SmtpMailer {
    /// Connects to nobody yet. A password that would travel readable, or certificates that are none, are `config.invalid`.
    pub fn new(options: SmtpOptions, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        if options.tls == SmtpTls::None && options.login.is_some() && !options.is_local() {
            return Err(Failure::new(
                Code::ConfigInvalid,
                format!("the password for {} would travel readable", options.host),
            )
            .hint("choose tls = \"implicit\" or \"starttls\" in [mail.smtp]"));
        }
        certificates(&options)?;
        Ok(Self {
            options,
            clock,
            pool: OnceCell::new(),
        })
    }

    async fn pool(&self) -> Result<&Pool, MailError> {
        self.pool
            .get_or_try_init(async || {
                let tls = match self.options.tls {
                    SmtpTls::None => None,
                    SmtpTls::Implicit | SmtpTls::StartTls => Some(tls(&self.options)?),
                };
                Ok(Pool::new(
                    Connect {
                        host: self.options.host.trim_matches(['[', ']']).to_owned(),
                        port: self.options.port,
                        tls,
                        starts_clear: self.options.tls != SmtpTls::Implicit,
                        login: self.options.login.as_ref().map(|login| {
                            Credentials::new(login.user.clone(), login.password.expose_secret().to_owned())
                        }),
                    },
                    self.options.connections,
                ))
            })
            .await
    }

    /// Connects, and logs in where there is a login, without a mail: for whoever wants to know before there is one.
    pub async fn reach(&self) -> Result<(), MailError> {
        tokio::time::timeout(self.options.timeout, async { self.pool().await?.reach().await })
            .await
            .unwrap_or_else(|_| {
                Err(MailError::Passing(format!(
                    "the SMTP server did not answer within {:?}",
                    self.options.timeout
                )))
            })
    }

    async fn exchange(&self, mail: &Mail) -> Result<(), MailError> {
        let bytes = message::render(mail, self.clock.now())?;
        let envelope = envelope(mail)?;
        self.pool().await?.send(&envelope, &bytes).await
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        // The time for a turn among others counts too: who waits for one waits for a server that does not answer.
        tokio::time::timeout(self.options.timeout, self.exchange(mail))
            .await
            .unwrap_or_else(|_| {
                Err(MailError::Passing(format!(
                    "the SMTP server did not take the mail within {:?}",
                    self.options.timeout
                )))
            })
    }
}

/// Who it is from and for, as the server is told; the headers say it again.
fn envelope(mail: &Mail) -> Result<Envelope, MailError> {
    let address = |text: &str| {
        text.parse::<Address>()
            .map_err(|_| MailError::Permanent("SMTP has no such address".to_owned()))
    };
    let sender = message::sender(&mail.from)?;
    Envelope::new(Some(address(&sender.email)?), vec![address(mail.to.as_str())?])
        .map_err(|error| MailError::Permanent(format!("the mail has no envelope: {error}")))
}

fn certificates(options: &SmtpOptions) -> Result<Vec<Certificate>, Failure> {
    let Some(pem) = &options.roots else {
        return Ok(Vec::new());
    };
    let unusable = |why: String| {
        Failure::new(
            Code::ConfigInvalid,
            format!("the certificates for the SMTP server cannot be used: {why}"),
        )
        .hint("mail.smtp.ca_file has to be a file of certificates in PEM form")
    };
    if !pem.windows(11).any(|line| line == b"-----BEGIN ") {
        return Err(unusable("there is none in the file".to_owned()));
    }
    let certificate = Certificate::from_pem(pem).map_err(|error| unusable(answer::chain(&error)))?;
    Ok(vec![certificate])
}

fn tls(options: &SmtpOptions) -> Result<TlsParameters, MailError> {
    let own = certificates(options).map_err(|failure| MailError::Permanent(failure.message))?;
    let mut builder = TlsParameters::builder(options.host.trim_matches(['[', ']']).to_owned());
    if !own.is_empty() {
        builder = builder.certificate_store(CertificateStore::None);
    }
    for certificate in own {
        builder = builder.add_root_certificate(certificate);
    }
    builder
        .build_rustls()
        .map_err(|error| MailError::Permanent(format!("TLS cannot be set up: {}", answer::chain(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::Timestamp;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
    }

    fn made(options: SmtpOptions) -> Result<SmtpMailer, Failure> {
        SmtpMailer::new(options, Arc::new(Still))
    }

    #[test]
    fn a_password_travels_readable_on_this_machine_alone() {
        let login = Some(SmtpLogin {
            user: "wharf".to_owned(),
            password: SecretString::from("hush"),
        });
        for (host, tls, is_good) in [
            ("localhost", SmtpTls::None, true),
            ("127.0.0.1", SmtpTls::None, true),
            ("[::1]", SmtpTls::None, true),
            ("mail.example", SmtpTls::None, false),
            ("127.0.0.1.example", SmtpTls::None, false),
            ("mail.example", SmtpTls::StartTls, true),
            ("mail.example", SmtpTls::Implicit, true),
        ] {
            let options = SmtpOptions {
                login: login.clone(),
                ..SmtpOptions::new(host, 25, tls)
            };
            assert_eq!(made(options).is_ok(), is_good, "{host} {tls:?}");
        }
        assert!(made(SmtpOptions::new("mail.example", 25, SmtpTls::None)).is_ok());
    }

    #[test]
    fn options_do_not_show_the_password() {
        let options = SmtpOptions {
            login: Some(SmtpLogin {
                user: "wharf".to_owned(),
                password: SecretString::from("hush-hush"),
            }),
            ..SmtpOptions::new("localhost", 25, SmtpTls::None)
        };
        assert!(!format!("{options:?}").contains("hush"));
        assert!(!format!("{:?}", made(options).expect("good options")).contains("hush"));
    }

    #[test]
    fn what_is_no_certificate_is_said_at_the_start() {
        for pem in [
            "",
            "not a certificate",
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
        ] {
            let options = SmtpOptions {
                roots: Some(pem.as_bytes().to_vec()),
                ..SmtpOptions::new("mail.example", 465, SmtpTls::Implicit)
            };
            assert_eq!(made(options).expect_err(pem).code, Code::ConfigInvalid);
        }
    }
}
