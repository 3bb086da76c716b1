//! Mails by Resend: one POST each, with the mail's id as `Idempotency-Key`, so that a mail whose answer was lost is not sent twice
//! (Resend keeps keys for 24 hours, which is as long as the outbox tries).
//!
//! What must not be here: retrying (the outbox does), and a log line or an error with the key, an address or the body in it.

mod answer;
mod connect;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use rustls::RootCertStore;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use std::{collections::BTreeMap, error::Error, fmt, sync::Arc, time::Duration};
use tokio::sync::OnceCell;
use wharf_domain::{Code, Failure};
use wharf_platform::{Mail, MailError, Mailer};

use crate::message;

/// Resend answers in a second; what takes longer than this is asked for again.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer is an id, or an error of some lines.
const ANSWER_MAX: usize = 64 * 1024;

/// Where the API key is.
#[derive(Clone)]
pub enum ResendKey {
    Given(SecretString),
    /// Asked for at each mail; who gives it keeps it.
    Kept(Arc<dyn Fn() -> BoxFuture<'static, Result<SecretString, Failure>> + Send + Sync>),
}

/// How Resend is reached.
#[derive(Clone)]
pub struct ResendOptions {
    pub key: ResendKey,
    /// The API's address without a path: `https`, or `http` on loopback.
    pub base: String,
    /// For connection, request and answer together.
    pub timeout: Duration,
    /// Who may vouch for the address in place of those that the machine trusts.
    pub roots: Option<RootCertStore>,
}

impl ResendOptions {
    pub const BASE: &str = "https://api.resend.com";

    #[must_use]
    pub fn new(key: ResendKey) -> Self {
        Self {
            key,
            base: Self::BASE.to_owned(),
            timeout: TIMEOUT,
            roots: None,
        }
    }
}

impl fmt::Debug for ResendOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResendOptions")
            .field("base", &self.base)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Hands mails to Resend.
pub struct ResendMailer {
    options: ResendOptions,
    emails: Uri,
    /// Made with the first mail: reading the machine's certificates takes longer than a Lambda's start may.
    client: OnceCell<Client<connect::Connector, Full<Bytes>>>,
}

impl fmt::Debug for ResendMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResendMailer")
            .field("emails", &self.emails)
            .finish_non_exhaustive()
    }
}

/// What Resend's `POST /emails` takes.
#[derive(Serialize)]
struct Email<'a> {
    from: String,
    to: [&'a str; 1],
    subject: String,
    text: &'a str,
    html: &'a str,
    headers: BTreeMap<&'static str, &'static str>,
}

impl ResendMailer {
    /// Connects to nobody yet. An address over which the key would travel readable is `config.invalid`.
    pub fn new(options: ResendOptions) -> Result<Self, Failure> {
        let emails = emails_of(&options.base)?;
        Ok(Self {
            options,
            emails,
            client: OnceCell::new(),
        })
    }

    async fn authorization(&self) -> Result<HeaderValue, MailError> {
        let key = match &self.options.key {
            ResendKey::Given(key) => key.clone(),
            ResendKey::Kept(find) => find()
                .await
                .map_err(|failure| MailError::Passing(format!("Resend's key cannot be had: {failure}")))?,
        };
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose_secret().trim()))
            .map_err(|_| MailError::Permanent("RESEND_API_KEY holds what no key is made of".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn request(&self, mail: &Mail) -> Result<Request<Full<Bytes>>, MailError> {
        let body = body(mail)?;
        Request::builder()
            .method(Method::POST)
            .uri(self.emails.clone())
            .header(header::AUTHORIZATION, self.authorization().await?)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("wharf/", env!("CARGO_PKG_VERSION")))
            .header("idempotency-key", &mail.id)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| MailError::Permanent(format!("the mail cannot be put into a request: {error}")))
    }

    async fn exchange(&self, mail: &Mail) -> Result<(), MailError> {
        let request = self.request(mail).await?;
        let client = self
            .client
            .get_or_try_init(async || connect::client(self.options.roots.clone()))
            .await
            .map_err(|error| MailError::Passing(format!("this machine trusts no certificates: {error}")))?;
        let response = client
            .request(request)
            .await
            .map_err(|error| MailError::Passing(format!("Resend cannot be reached: {}", chain(&error))))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_MAX)
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        // The status says it all; a body that broke off says only less of why.
        answer::meaning(head.status, &head.headers, &body.unwrap_or_default())
    }
}

#[async_trait]
impl Mailer for ResendMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        tokio::time::timeout(self.options.timeout, self.exchange(mail))
            .await
            .unwrap_or_else(|_| {
                Err(MailError::Passing(format!(
                    "Resend did not answer within {:?}",
                    self.options.timeout
                )))
            })
    }
}

fn body(mail: &Mail) -> Result<Vec<u8>, MailError> {
    message::check_id(&mail.id)?;
    let sender = message::sender(&mail.from)?;
    let email = Email {
        from: match &sender.name {
            Some(name) => format!("{} <{}>", phrase(name), sender.email),
            None => sender.email.into_owned(),
        },
        to: [mail.to.as_str()],
        subject: message::one_line(&mail.subject),
        text: &mail.text,
        html: &mail.html,
        headers: [("Auto-Submitted", "auto-generated")].into(),
    };
    serde_json::to_vec(&email)
        .map_err(|error| MailError::Permanent(format!("the mail cannot be put together: {error}")))
}

/// A display name, quoted where RFC 5322 would read something else in it.
fn phrase(name: &str) -> String {
    const SPECIAL: &[char] = &['(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '.', '"'];
    if name.contains(SPECIAL) {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        name.to_owned()
    }
}

fn emails_of(base: &str) -> Result<Uri, Failure> {
    let refused = |why: &str| {
        Failure::new(
            Code::ConfigInvalid,
            format!("{base:?} cannot be Resend's address: {why}"),
        )
        .hint(format!("leave it out for {}", ResendOptions::BASE))
    };
    let uri =
        Uri::try_from(format!("{}/emails", base.trim_end_matches('/'))).map_err(|error| refused(&error.to_string()))?;
    let host = uri.host().unwrap_or_default();
    let is_loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_loopback => Ok(uri),
        Some("http") => Err(refused("the key would travel readable; use https")),
        _ => Err(refused("it has to begin with https://")),
    }
}

/// An error and its sources: the client's own text says only that it could not connect.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_travels_readable_on_loopback_alone() {
        for base in [
            "https://api.resend.com",
            "https://mail.example/",
            "http://127.0.0.1:9",
            "http://[::1]:9",
            "http://localhost:9",
        ] {
            assert!(emails_of(base).is_ok_and(|uri| uri.path() == "/emails"), "{base}");
        }
        for base in [
            "http://api.resend.com",
            "http://127.0.0.1.example",
            "ftp://x",
            "api.resend.com",
            "",
            "https://",
        ] {
            let failure = emails_of(base).expect_err(base);
            assert_eq!(failure.code, Code::ConfigInvalid);
        }
    }

    #[test]
    fn a_name_with_signs_that_mean_something_is_quoted() {
        assert_eq!(phrase("Bücher & Söhne"), "Bücher & Söhne");
        assert_eq!(phrase("Acme, Inc."), "\"Acme, Inc.\"");
        assert_eq!(phrase("a\"b\\"), "\"a\\\"b\\\\\"");
    }

    #[test]
    fn options_do_not_show_the_key() {
        let options = ResendOptions::new(ResendKey::Given(SecretString::from("re_secret")));
        assert!(!format!("{options:?}").contains("re_secret"));
        let mailer = ResendMailer::new(options).expect("good options");
        assert!(!format!("{mailer:?}").contains("re_secret"));
    }
}
