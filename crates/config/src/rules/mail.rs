//! Mail: whoever is chosen to send it can be reached, and templates are filled with what there is.

use wharf_domain::{Code, LetterKind, LetterTemplate};

use super::placeholders::{self, Place};
use crate::{
    Config, Machine,
    keys::{mail as keys, service::SERVICES},
    resolved::Resolved,
    table::join,
    values::{MailKind, SmtpTls},
};

pub(super) fn check(resolved: &mut Resolved<'_>, config: &Config, machine: Machine) {
    check_files(resolved, machine);
    check_resend(resolved, config);
    check_smtp(resolved, config);
    let general = config
        .mail
        .templates
        .iter()
        .map(|(kind, template)| ("mail".to_owned(), *kind, template));
    let own = config.service_mails.iter().flat_map(|(name, mail)| {
        let path = join(&join(SERVICES.name, name.as_str()), keys::SERVICE_MAIL.name);
        mail.templates
            .iter()
            .map(move |(kind, template)| (path.clone(), *kind, template))
    });
    for (path, kind, template) in general.chain(own) {
        check_template(resolved, &join(&path, kind.name()), kind, template);
    }
    for name in config.service_mails.keys() {
        if config.services.get(name).is_some_and(|service| !service.tenant) {
            let path = join(&join(SERVICES.name, name.as_str()), keys::SERVICE_MAIL.name);
            resolved.report(
                &[&join(&path, keys::SERVICE_FROM.name)],
                Code::ConfigInvalid,
                format!("the service {name} has no tenants, and so nobody to write to"),
                "set tenant = true, or take its mail section out",
            );
        }
    }
}

/// Who chooses Resend has a key for it. Where it is only the machine's default, mails may never be sent at all.
fn check_resend(resolved: &mut Resolved<'_>, config: &Config) {
    let has_key = config.mail.resend_api_key.is_some() || config.aws.resend_secret.is_some();
    let is_chosen = resolved
        .entries
        .get("mail.kind")
        .is_some_and(|entry| entry.raw.is_some());
    if config.mail.kind == MailKind::Resend && is_chosen && !has_key {
        resolved.report(
            &["mail.kind", "mail.resend_api_key", "aws.resend_secret"],
            Code::ConfigInvalid,
            "mails are to be handed to Resend, and there is no API key for it",
            "set RESEND_API_KEY, or name the secret that holds it: [aws] resend_secret = \"wharf/resend\"",
        );
    }
}

fn check_smtp(resolved: &mut Resolved<'_>, config: &Config) {
    let Some(smtp) = &config.mail.smtp else {
        if config.mail.kind == MailKind::Smtp {
            resolved.report(
                &["mail.kind", "mail.smtp.host"],
                Code::ConfigInvalid,
                "mails are to be handed to an SMTP server, and none is named",
                "name it: [mail.smtp] host = \"smtp.example.com\"",
            );
        }
        return;
    };
    let is_host = !smtp.host.is_empty()
        && smtp.host.len() <= 253
        && smtp
            .host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'));
    if !is_host {
        resolved.report(
            &["mail.smtp.host"],
            Code::ConfigInvalid,
            "this is neither the name nor the address of a server",
            "write it as in \"smtp.example.com\"; the port is mail.smtp.port",
        );
    }
    if smtp.tls == SmtpTls::None && smtp.user.is_some() && !smtp.is_local() {
        resolved.report(
            &["mail.smtp.tls", "mail.smtp.user", "mail.smtp.host"],
            Code::ConfigInvalid,
            "the password would travel readable to another machine",
            "choose tls = \"implicit\" or \"starttls\"",
        );
    }
    match (&smtp.user, &smtp.password) {
        (Some(_), None) => resolved.report(
            &["mail.smtp.user", "mail.smtp.password", "mail.smtp.password_file"],
            Code::ConfigInvalid,
            "there is a user for the SMTP server, and no password",
            "set SMTP_PASSWORD, or name a file that holds it: password_file = \"smtp-password\"",
        ),
        (None, Some(_)) => resolved.report(
            &["mail.smtp.password", "mail.smtp.password_file", "mail.smtp.user"],
            Code::ConfigInvalid,
            "there is a password for the SMTP server, and no user",
            "say whose it is: [mail.smtp] user = \"wharf\"",
        ),
        _ => {}
    }
}

/// The function's package has `wharf.toml`, and no file beside it.
fn check_files(resolved: &mut Resolved<'_>, machine: Machine) {
    if !machine.lambda {
        return;
    }
    let files = [
        keys::TEXT_FILE.name,
        keys::HTML_FILE.name,
        keys::SMTP_PASSWORD_FILE.name,
        keys::SMTP_CA_FILE.name,
    ];
    let is_named = |path: &str| files.iter().any(|file| path.ends_with(&format!(".{file}")));
    let given: Vec<String> = resolved
        .entries
        .iter()
        .filter(|(path, entry)| entry.raw.is_some() && is_named(path))
        .map(|(path, _)| path.clone())
        .collect();
    for path in given {
        resolved.report(
            &[&path],
            Code::ConfigInvalid,
            "the function on AWS Lambda has no file beside its wharf.toml",
            "write what is in it into wharf.toml",
        );
    }
}

fn check_template(resolved: &mut Resolved<'_>, path: &str, kind: LetterKind, template: &LetterTemplate) {
    let parts = [
        (&template.subject, keys::SUBJECT.name, ""),
        (&template.text, keys::TEXT.name, keys::TEXT_FILE.name),
        (&template.html, keys::HTML.name, keys::HTML_FILE.name),
    ];
    for (part, inline, file) in parts {
        let Some(text) = part else { continue };
        let inline = join(path, inline);
        let is_inline = resolved.entries.get(&inline).is_some_and(|entry| entry.raw.is_some());
        let key = if is_inline { inline } else { join(path, file) };
        for (why, hint) in placeholders::faults(text, Place::Mail(kind), true) {
            resolved.report(&[&key], Code::ConfigInvalid, why, hint);
        }
        if text.trim().is_empty() {
            resolved.report(
                &[&key],
                Code::ConfigInvalid,
                "there is nothing in it",
                "write it, or take it out",
            );
        }
        let needed = kind.needs();
        if !key.ends_with(keys::SUBJECT.name) && !text.contains(&format!("{{{needed}}}")) {
            resolved.report(
                &[&key],
                Code::ConfigInvalid,
                format!("without {{{needed}}} this mail is of no use to whoever gets it"),
                format!("put {{{needed}}} where the address belongs"),
            );
        }
    }
    if template.html.is_some() && template.text.is_none() {
        resolved.report(
            &[
                &join(path, keys::HTML.name),
                &join(path, keys::TEXT.name),
                &join(path, keys::TEXT_FILE.name),
            ],
            Code::ConfigInvalid,
            "there is HTML and no text beside it",
            "add the same as text: many readers show nothing else",
        );
    }
}
