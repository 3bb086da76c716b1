//! `[mail]`, and what services say of their own mails. Template files and the file of a password are read here, once, at the start.

use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};
use wharf_domain::{Code, LetterKind, LetterTemplate, ServiceName};

use super::{Aws, Server};
use crate::{
    keys::{mail as keys, service::SERVICES},
    resolved::Resolved,
    setting::Setting,
    table::{Key, join},
    values::{MailKind, Mailbox, PlatformKind, PublicUrl, Secret, SmtpTls},
};

/// A template, a password and a list of certificates are all far smaller.
const FILE_MAX: u64 = 256 * 1024;

/// `[mail]`: how tenants are told, and in what words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mail {
    pub kind: MailKind,
    pub from: Mailbox,
    pub folder: PathBuf,
    /// Resend's API, without a slash at its end.
    pub resend_url: PublicUrl,
    /// From the environment. Where it is `None`, `aws.resend_secret` may name it.
    pub resend_api_key: Option<Secret>,
    /// Where a host is named.
    pub smtp: Option<Smtp>,
    /// For all services, by kind.
    pub templates: BTreeMap<LetterKind, LetterTemplate>,
}

/// `[mail.smtp]`: the server that mails are handed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub user: Option<String>,
    /// From the environment, or from a file of its own.
    pub password: Option<Secret>,
    /// Certificates in PEM form that may vouch for the server.
    #[serde(skip)]
    pub roots: Option<String>,
    pub timeout: Duration,
    pub connections: u32,
}

impl Smtp {
    /// Whether what is sent stays on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }
}

/// `[services.NAME.mail]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceMail {
    pub from: Option<Mailbox>,
    pub templates: BTreeMap<LetterKind, LetterTemplate>,
}

impl Mail {
    pub(crate) fn read(from: &mut Resolved<'_>, server: &Server, aws: &Aws) -> Self {
        const PATH: &str = "mail";
        let folder = from
            .optional_path(PATH, &keys::FOLDER)
            .unwrap_or_else(|| server.data_dir.join("mail"));
        from.settle("mail.folder", folder.show());
        let resend_api_key = from.get(PATH, &keys::RESEND_API_KEY);
        let has_key = resend_api_key.is_some() || aws.resend_secret.is_some();
        let smtp = read_smtp(from);
        let given = from.get(PATH, &keys::MAIL_KIND);
        let kind = if from.machine.lambda && given != Some(MailKind::Smtp) && smtp.is_none() {
            from.force("mail.kind", &MailKind::Resend, "AWS Lambda has no folder that lasts");
            MailKind::Resend
        } else {
            let kind = given.unwrap_or(if smtp.is_some() {
                MailKind::Smtp
            } else if has_key && from.platform == PlatformKind::Ecs {
                MailKind::Resend
            } else {
                MailKind::Folder
            });
            from.settle("mail.kind", kind.show());
            kind
        };
        Self {
            kind,
            from: from.get(PATH, &keys::FROM),
            folder,
            resend_url: from.get(PATH, &keys::RESEND_URL),
            resend_api_key,
            smtp,
            templates: read_templates(from, PATH),
        }
    }
}

fn read_smtp(from: &mut Resolved<'_>) -> Option<Smtp> {
    const PATH: &str = "mail.smtp";
    let tls = from.get(PATH, &keys::SMTP_TLS);
    let port = from.get(PATH, &keys::SMTP_PORT).unwrap_or(match tls {
        SmtpTls::Implicit => 465,
        SmtpTls::Starttls => 587,
        SmtpTls::None => 25,
    });
    from.settle("mail.smtp.port", port.show());
    let in_file = read_file(from, PATH, &keys::SMTP_PASSWORD_FILE);
    let roots = read_file(from, PATH, &keys::SMTP_CA_FILE);
    let password = from.get(PATH, &keys::SMTP_PASSWORD).or_else(|| {
        let read = Secret::from_file(in_file?.trim());
        if read.is_none() {
            from.report(
                &["mail.smtp.password_file"],
                Code::ConfigInvalid,
                "the file does not hold one password of visible ASCII",
                "write the password into it, and nothing else",
            );
        }
        read
    });
    Some(Smtp {
        host: from.get(PATH, &keys::SMTP_HOST)?,
        port,
        tls,
        user: from.get(PATH, &keys::SMTP_USER),
        password,
        roots,
        timeout: from.get(PATH, &keys::SMTP_TIMEOUT),
        connections: from.get(PATH, &keys::SMTP_CONNECTIONS),
    })
}

/// What the services say of their own mails; those that say nothing are not in it.
pub(crate) fn service_mails(from: &mut Resolved<'_>) -> BTreeMap<ServiceName, ServiceMail> {
    let names = from.services.clone();
    let mut found = BTreeMap::new();
    for name in names {
        let path = join(&join(SERVICES.name, name.as_str()), keys::SERVICE_MAIL.name);
        if from.sections.contains(&path) {
            let mail = ServiceMail {
                from: from.get(&path, &keys::SERVICE_FROM),
                templates: read_templates(from, &path),
            };
            found.insert(name, mail);
        }
    }
    found
}

fn read_templates(from: &mut Resolved<'_>, path: &str) -> BTreeMap<LetterKind, LetterTemplate> {
    let mut templates = BTreeMap::new();
    for kind in LetterKind::ALL {
        let path = join(path, kind.name());
        if from.sections.contains(&path) {
            let template = LetterTemplate {
                subject: from.get(&path, &keys::SUBJECT),
                text: read_part(from, &path, &keys::TEXT, &keys::TEXT_FILE),
                html: read_part(from, &path, &keys::HTML, &keys::HTML_FILE),
            };
            templates.insert(*kind, template);
        }
    }
    templates
}

/// A part that stands in the configuration, or in a file of its own.
fn read_part(
    from: &mut Resolved<'_>,
    path: &str,
    inline: &Key<Option<String>>,
    file: &Key<Option<PathBuf>>,
) -> Option<String> {
    let given = from.get(path, inline);
    let in_file = read_file(from, path, file);
    if given.is_some() && in_file.is_some() {
        from.report(
            &[&join(path, inline.name), &join(path, file.name)],
            Code::ConfigInvalid,
            format!("it stands here and in {}", file.name),
            "take one of the two out",
        );
    }
    given.or(in_file)
}

/// The text of the file that a key names. One that cannot be read is a problem of the configuration.
fn read_file(from: &mut Resolved<'_>, section: &str, key: &Key<Option<PathBuf>>) -> Option<String> {
    let path = from.optional_path(section, key)?;
    match text_of(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            from.report(
                &[&join(section, key.name)],
                Code::ConfigInvalid,
                format!("{} cannot be read: {error}", path.display()),
                "name a file of UTF-8 text that this user can read",
            );
            None
        }
    }
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // Not its length first: what is no regular file has none.
    File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_MAX {
        return Err(io::Error::other(format!("it has more than {} KiB", FILE_MAX / 1024)));
    }
    Ok(text)
}
