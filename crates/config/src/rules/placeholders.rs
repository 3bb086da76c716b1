//! What stands between braces in a command, a variable or an address: only what can be filled in there.
//!
//! A placeholder is a word of small letters and underscores between braces. Other braces are text, and so are those of a shell's
//! `${variable}`, unless they name a placeholder.

use wharf_domain::LetterKind;

use crate::suggest;

/// Where a text stands, which decides what can be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Command,
    Environment,
    Url,
    Mail(LetterKind),
}

const TENANTS: &[&str] = &["subdomain", "company_name"];
/// What people may try to fill in, and must not: everybody on the machine can read a command line.
const SECRETS: &[&str] = &["app_password", "database_url", "password", "secret", "token"];

impl Place {
    fn known(self) -> Vec<&'static str> {
        match self {
            Self::Command => vec!["port", "subdomain", "instance_id"],
            Self::Environment => vec!["port", "subdomain", "instance_id", "company_name"],
            Self::Url => vec!["subdomain", "ip", "port"],
            Self::Mail(kind) => kind.placeholders().collect(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Command => "a command",
            Self::Environment => "a variable",
            Self::Url => "an address",
            Self::Mail(LetterKind::Ready) => "a mail that says that the application is there",
            Self::Mail(LetterKind::Trial) => "a mail that says that a trial ends",
            Self::Mail(LetterKind::Choose) => "a mail that asks for another name",
        }
    }
}

/// What can be filled in where, for the reference.
pub(crate) fn table() -> [(&'static str, Vec<&'static str>); 6] {
    [
        ("an argument of a `command`", Place::Command.known()),
        ("a value of `environment`", Place::Environment.known()),
        ("the `url` of a direct route", Place::Url.known()),
        ("a mail of kind `ready`", Place::Mail(LetterKind::Ready).known()),
        ("a mail of kind `choose`", Place::Mail(LetterKind::Choose).known()),
        ("a mail of kind `trial`", Place::Mail(LetterKind::Trial).known()),
    ]
}

/// The words between braces, in their order, each with whether a dollar sign stands before it.
pub(super) fn words(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.match_indices('{').filter_map(move |(at, _)| {
        let rest = &text[at + 1..];
        let word = &rest[..rest.find('}')?];
        let fits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
        fits.then(|| (word, text[..at].ends_with('$')))
    })
}

/// What is wrong with the placeholders of a text, and how to mend it.
pub(super) fn faults(text: &str, place: Place, tenant: bool) -> Vec<(String, String)> {
    words(text)
        .filter_map(|(word, after_dollar)| fault(word, after_dollar, place, tenant))
        .collect()
}

fn fault(word: &str, after_dollar: bool, place: Place, tenant: bool) -> Option<(String, String)> {
    let known = place.known();
    if known.contains(&word) {
        let for_nobody = TENANTS.contains(&word) && !tenant;
        return for_nobody.then(|| {
            let why = format!("{{{word}}} is known of tenants only, and this service has none");
            (why, "set tenant = true, or take it out".to_owned())
        });
    }
    let lower = word.to_ascii_lowercase();
    // `{HOME}` and `${home}` are text, and `${PORT}` is the shell's; `{PORT}` is a slip.
    if after_dollar || (lower != word && !known.contains(&lower.as_str())) {
        return None;
    }
    let why = format!("{{{word}}} is not a placeholder of {}", place.name());
    if matches!(place, Place::Mail(_)) && SECRETS.contains(&word) {
        return Some((
            why,
            "a mail is no place for a secret: {password_url} leads to the first password, once".to_owned(),
        ));
    }
    if place == Place::Command && SECRETS.contains(&word) {
        return Some((
            why,
            "everybody on the machine can read a command line: the task finds secrets in its environment".to_owned(),
        ));
    }
    let hint = suggest::nearest(word, known.clone()).map_or_else(
        || {
            format!(
                "known here: {}",
                known
                    .iter()
                    .map(|word| format!("{{{word}}}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        },
        |meant| format!("did you mean {{{meant}}}?"),
    );
    Some((why, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_filled_in_is_a_placeholder() {
        let good = [
            ("--port={port}", Place::Command),
            ("{subdomain}/{instance_id}", Place::Command),
            ("Welcome to {company_name}", Place::Environment),
            ("http://{subdomain}.{ip}.sslip.io:{port}", Place::Url),
            ("{\"a\": {}}", Place::Command),
            ("{1}{ port }{", Place::Command),
            ("${HOME}/${PORT} ${other} {HOME}", Place::Command),
            ("ü{", Place::Environment),
        ];
        for (text, place) in good {
            assert_eq!(faults(text, place, true), [], "{text}");
        }
        let bad = [
            ("{prot}", Place::Command, "did you mean {port}?"),
            ("{PORT}", Place::Command, "did you mean {port}?"),
            (
                "{company_name}",
                Place::Command,
                "known here: {port}, {subdomain}, {instance_id}",
            ),
            (
                "{app_password}",
                Place::Command,
                "everybody on the machine can read a command line: the task finds secrets in its environment",
            ),
            (
                "{ip}",
                Place::Environment,
                "known here: {port}, {subdomain}, {instance_id}, {company_name}",
            ),
            ("{instance_id}", Place::Url, "known here: {subdomain}, {ip}, {port}"),
        ];
        for (text, place, hint) in bad {
            let faults = faults(text, place, true);
            assert_eq!(
                faults.iter().map(|(_, hint)| hint.as_str()).collect::<Vec<_>>(),
                [hint],
                "{text}"
            );
        }
    }

    #[test]
    fn a_tenants_words_need_a_tenant() {
        assert!(faults("{subdomain}", Place::Command, true).is_empty());
        assert_eq!(
            faults("{subdomain} {company_name} {port}", Place::Environment, false).len(),
            2
        );
    }
}
