//! The words of mails: Wharf's own, or an operator's in their place, with their placeholders filled in.
//!
//! What must not be here: where the values come from, and who gets the mail.

use std::{collections::BTreeMap, fmt::Write};
use wharf_domain::{LetterKind, LetterTemplate, ServiceName};

use crate::template::fill;

/// How the mails of one service differ from those of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceLetters {
    /// `Name <address>`; the deployment's own where it is not given.
    pub from: Option<String>,
    pub templates: BTreeMap<LetterKind, LetterTemplate>,
}

/// What an operator wants mails to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letters {
    /// For all services.
    pub templates: BTreeMap<LetterKind, LetterTemplate>,
    pub services: BTreeMap<ServiceName, ServiceLetters>,
}

/// A mail's words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// What is filled in for what: a placeholder's word, and the value as it was given.
pub(crate) type Values = Vec<(&'static str, String)>;

impl Letters {
    /// Who the mails of this service are from, where it has a sender of its own.
    #[must_use]
    pub fn from(&self, service: &ServiceName) -> Option<&str> {
        self.services.get(service)?.from.as_deref()
    }

    /// The service's template, then the deployment's; what both leave open is Wharf's own.
    fn template(&self, kind: LetterKind, service: &ServiceName) -> LetterTemplate {
        let general = self.templates.get(&kind).cloned().unwrap_or_default();
        let own = self
            .services
            .get(service)
            .and_then(|letters| letters.templates.get(&kind));
        own.map_or_else(|| general.clone(), |own| own.or(&general))
    }

    pub(crate) fn write(&self, kind: LetterKind, service: &ServiceName, values: &Values) -> Written {
        let template = self.template(kind, service);
        let (subject, text, html) = own_words(kind);
        let plain = |template: &str| fill(template, values);
        let escaped: Values = values.iter().map(|(word, value)| (*word, escape(value))).collect();
        let (text, html) = match (&template.text, &template.html) {
            (None, None) => (plain(text), fill(html, &escaped)),
            (Some(text), Some(html)) => (plain(text), fill(html, &escaped)),
            (Some(text), None) => {
                let text = plain(text);
                let html = as_page(&text);
                (text, html)
            }
            // The configuration asks for a text beside HTML.
            (None, Some(html)) => (plain(text), fill(html, &escaped)),
        };
        Written {
            subject: plain(template.subject.as_deref().unwrap_or(subject)),
            text,
            html,
        }
    }
}

/// Wharf's own subject, text and HTML.
const fn own_words(kind: LetterKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        LetterKind::Ready => (
            "{company_name} is ready",
            include_str!("ready.txt"),
            include_str!("ready.html"),
        ),
        LetterKind::Choose => (
            "Choose a name for {company_name}",
            include_str!("choose.txt"),
            include_str!("choose.html"),
        ),
        LetterKind::Trial => (
            "{company_name} ends on {ends_at}",
            include_str!("trial.txt"),
            include_str!("trial.html"),
        ),
    }
}

/// A text for readers that show HTML alone.
fn as_page(text: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"></head>\n\
         <body style=\"font-family: sans-serif; white-space: pre-wrap\">{}</body>\n</html>\n",
        escape(text)
    )
}

/// A value as it may stand in HTML, between tags and within quotes of either kind.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // Some readers take a grave accent for a quote.
            '\'' | '`' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceName {
        name.parse().expect("a name")
    }

    fn template(subject: Option<&str>, text: Option<&str>, html: Option<&str>) -> LetterTemplate {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        LetterTemplate {
            subject: owned(subject),
            text: owned(text),
            html: owned(html),
        }
    }

    fn letters() -> Letters {
        Letters {
            templates: [(
                LetterKind::Ready,
                template(Some("General {company_name}"), Some("general"), Some("<p>general")),
            )]
            .into(),
            services: [(
                service("shop"),
                ServiceLetters {
                    from: Some("Shop <shop@example.com>".to_owned()),
                    templates: [(
                        LetterKind::Ready,
                        template(None, Some("{url} for {company_name}"), None),
                    )]
                    .into(),
                },
            )]
            .into(),
        }
    }

    fn values() -> Values {
        vec![
            ("company_name", "{url} <b onclick='x'>\"&`".to_owned()),
            ("url", "http://acme.localhost/".to_owned()),
        ]
    }

    #[test]
    fn a_service_has_its_own_words_before_those_of_all() {
        let letters = letters();
        let own = letters.write(LetterKind::Ready, &service("shop"), &values());
        assert_eq!(own.text, "http://acme.localhost/ for {url} <b onclick='x'>\"&`");
        assert!(own.subject.starts_with("General {url}"), "{}", own.subject);
        let general = letters.write(LetterKind::Ready, &service("blog"), &values());
        assert_eq!(
            (general.text.as_str(), general.html.as_str()),
            ("general", "<p>general")
        );
        let other = letters.write(LetterKind::Choose, &service("shop"), &values());
        assert!(other.text.contains("thank you for your payment"), "{}", other.text);
    }

    #[test]
    fn a_text_without_html_is_a_page_all_the_same_and_nothing_of_a_value_is_a_tag() {
        let html = letters().write(LetterKind::Ready, &service("shop"), &values()).html;
        assert!(
            html.contains("http://acme.localhost/ for {url} &lt;b onclick=&#39;x&#39;&gt;&quot;&amp;&#96;</body>"),
            "{html}"
        );
    }

    #[test]
    fn wharfs_own_words_leave_no_placeholder_open() {
        for kind in LetterKind::ALL {
            let values: Values = kind.placeholders().map(|word| (word, format!("[{word}]"))).collect();
            let written = Letters::default().write(*kind, &service("shop"), &values);
            for text in [&written.subject, &written.text, &written.html] {
                let open = kind.placeholders().find(|word| text.contains(&format!("{{{word}}}")));
                assert_eq!(open, None, "{text}");
            }
            let needed = format!("[{}]", kind.needs());
            assert!(written.text.contains(&needed) && written.html.contains(&needed));
        }
    }
}
