//! The keys of mail: how it is sent, and what it says. What a service says of its own mails is a section within it.

use std::{path::PathBuf, time::Duration};

use crate::{
    table::{
        Key,
        Node::{self, Leaf, Section as Sub},
        Presence::{Always, Optional},
        Section, Variable,
    },
    values::{MailKind, Mailbox, PublicUrl, Secret, SmtpTls},
};

pub(crate) static FROM: Key<Mailbox> = Key::new("from", Mailbox::wharf, "Who the mails are from.");
pub(crate) static FOLDER: Key<Option<PathBuf>> = Key::new(
    "folder",
    || None,
    "The folder into which mails are written as `.eml` files. A relative path in the file counts from the file's folder.",
)
.default_note("`mail` in `data_dir`");
pub(crate) static MAIL_KIND: Key<Option<MailKind>> = Key::new(
    "kind",
    || None,
    "How mails are sent. `folder`: they are written as files. `smtp`: they are handed to the server of `[mail.smtp]`. `resend`: they are \
     handed to Resend, with the API key of `RESEND_API_KEY` or of `aws.resend_secret`.",
)
.default_note("`smtp` where `[mail.smtp]` names a host, else `folder`; on ECS `resend` where there is a key, on AWS Lambda always");
pub(crate) static RESEND_URL: Key<PublicUrl> = Key::new(
    "resend_url",
    || PublicUrl::known("https://api.resend.com"),
    "Where Resend is reached.",
);
pub(crate) static RESEND_API_KEY: Key<Option<Secret>> = Key::new(
    "resend_api_key",
    || None,
    "The API key of Resend. Not in the file; it is never shown.",
)
.variables(&[Variable::above("RESEND_API_KEY")]);

pub(crate) static SMTP_HOST: Key<Option<String>> = Key::new(
    "host",
    || None,
    "The SMTP server, by its name or its address. Its certificate has to be for it.",
);
pub(crate) static SMTP_PORT: Key<Option<u16>> = Key::new("port", || None, "The server's port.")
    .between(&[Some(1), Some(u16::MAX)])
    .default_note("587; 465 with `tls = \"implicit\"`, 25 with `tls = \"none\"`");
pub(crate) static SMTP_TLS: Key<SmtpTls> = Key::new(
    "tls",
    || SmtpTls::Starttls,
    "How the connection is protected. `implicit`: from the first byte. `starttls`: after a greeting; a server that does not offer it gets no \
     mail. `none`: not at all, which is for a server on this machine: with a password it is refused elsewhere.",
);
pub(crate) static SMTP_USER: Key<Option<String>> = Key::new(
    "user",
    || None,
    "Who Wharf is to the server. Without it there is no login.",
);
pub(crate) static SMTP_PASSWORD: Key<Option<Secret>> = Key::new(
    "password",
    || None,
    "The password for `user`. Not in the file; it is never shown.",
)
.variables(&[Variable::above("SMTP_PASSWORD")]);
pub(crate) static SMTP_PASSWORD_FILE: Key<Option<PathBuf>> = Key::new(
    "password_file",
    || None,
    "A file that holds the password, and nothing else, in place of the variable. A relative path in the file counts from the file's folder.",
);
pub(crate) static SMTP_CA_FILE: Key<Option<PathBuf>> = Key::new(
    "ca_file",
    || None,
    "A file of certificates in PEM form that may vouch for the server, in place of those that the machine trusts.",
);
pub(crate) static SMTP_TIMEOUT: Key<Duration> = Key::new(
    "timeout",
    || Duration::from_secs(30),
    "How long the server may take over one mail, from the connection to its last answer. After that it is tried again later.",
)
.between(&[Duration::from_secs(1), Duration::from_mins(10)]);
pub(crate) static SMTP_CONNECTIONS: Key<u32> = Key::new(
    "connections",
    || 4,
    "Connections to the server at the same time, at the most.",
)
.between(&[1, 32]);

pub(crate) static SMTP: Section = Section {
    name: "smtp",
    doc: "The server of `kind = \"smtp\"`.",
    presence: Always,
    children: &[
        Leaf(&SMTP_HOST),
        Leaf(&SMTP_PORT),
        Leaf(&SMTP_TLS),
        Leaf(&SMTP_USER),
        Leaf(&SMTP_PASSWORD),
        Leaf(&SMTP_PASSWORD_FILE),
        Leaf(&SMTP_CA_FILE),
        Leaf(&SMTP_TIMEOUT),
        Leaf(&SMTP_CONNECTIONS),
    ],
};

pub(crate) static SUBJECT: Key<Option<String>> =
    Key::new("subject", || None, "The subject, with placeholders.").default_note("Wharf's own");
pub(crate) static TEXT: Key<Option<String>> = Key::new(
    "text",
    || None,
    "The text, with placeholders. Where there is no HTML beside it, it is shown as it is.",
)
.default_note("Wharf's own");
pub(crate) static TEXT_FILE: Key<Option<PathBuf>> = Key::new(
    "text_file",
    || None,
    "A file with the text, in place of `text`; read at the start. A relative path counts from the file's folder.",
);
pub(crate) static HTML: Key<Option<String>> = Key::new(
    "html",
    || None,
    "The same as HTML. What is filled in is escaped. It needs a text beside it.",
)
.default_note("Wharf's own");
pub(crate) static HTML_FILE: Key<Option<PathBuf>> =
    Key::new("html_file", || None, "A file with the HTML, in place of `html`.");

/// The parts of a mail of any kind.
static TEMPLATE_KEYS: [Node; 5] = [
    Leaf(&SUBJECT),
    Leaf(&TEXT),
    Leaf(&TEXT_FILE),
    Leaf(&HTML),
    Leaf(&HTML_FILE),
];

const fn template(name: &'static str, doc: &'static str) -> Section {
    Section {
        name,
        doc,
        presence: Optional,
        children: &TEMPLATE_KEYS,
    }
}

static READY: Section = template(
    "ready",
    "What a tenant is told when the application is there for the first time.",
);
static CHOOSE: Section = template(
    "choose",
    "What somebody is told who has paid for a name that cannot be had.",
);
static TRIAL: Section = template("trial", "What a tenant is told before its trial ends.");

pub(crate) static MAIL: Section = Section {
    name: "mail",
    doc: "How tenants are told, and in what words.",
    presence: Always,
    children: &[
        Leaf(&MAIL_KIND),
        Leaf(&FROM),
        Leaf(&FOLDER),
        Leaf(&RESEND_URL),
        Leaf(&RESEND_API_KEY),
        Sub(&SMTP),
        Sub(&READY),
        Sub(&CHOOSE),
        Sub(&TRIAL),
    ],
};

pub(crate) static SERVICE_FROM: Key<Option<Mailbox>> =
    Key::new("from", || None, "Who this service's mails are from.").default_note("`mail.from`");

static OWN_READY: Section = template("ready", "This service's own words for it.");
static OWN_CHOOSE: Section = template("choose", "This service's own words for it.");
static OWN_TRIAL: Section = template("trial", "This service's own words for it.");

/// A service's own mails.
pub(crate) static SERVICE_MAIL: Section = Section {
    name: "mail",
    doc: "What the mails to this service's tenants say, where it is not what `[mail]` says.",
    presence: Optional,
    children: &[Leaf(&SERVICE_FROM), Sub(&OWN_READY), Sub(&OWN_CHOOSE), Sub(&OWN_TRIAL)],
};
