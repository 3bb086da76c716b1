//! A mail as RFC 5322 has it: text and HTML side by side, headers encoded, so that nothing that a user gave can become a header.
//!
//! What must not be here: sending. The same mail at the same time is the same bytes.

use mail_builder::{
    MessageBuilder,
    headers::{
        address::{Address, EmailAddress},
        content_type::ContentType,
    },
    mime::MimePart,
};
use wharf_domain::Timestamp;
use wharf_platform::{Mail, MailError};

/// RFC 2046's limit for a boundary is 70 characters; two more are put before it.
const BOUNDARY_MAX: usize = 60;
/// A Message-ID has to fit into a line of 998 characters, and a file's name into 255.
const ID_MAX: usize = 200;

/// RFC 5321's limit for a path is 256 characters, with its angle brackets. Longer ones would make lines that no server has to take.
const ADDRESS_MAX: usize = 254;

/// The whole message, with CRLF line ends. What cannot be a mail is a permanent error: trying again does not mend it.
pub fn render(mail: &Mail, now: Timestamp) -> Result<Vec<u8>, MailError> {
    check_id(&mail.id)?;
    let from = sender(&mail.from)?;
    let domain = from.email.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let message_id = format!("{}@{domain}", mail.id);
    let message = MessageBuilder::new()
        .from(Address::Address(from.clone()))
        .to(mail.to.as_str())
        .subject(one_line(&mail.subject))
        .message_id(message_id)
        .date(i64::try_from(now.as_millis() / 1000).unwrap_or(i64::MAX))
        .header("Auto-Submitted", mail_builder::headers::raw::Raw::new("auto-generated"))
        .body(alternatives(mail));
    message
        .write_to_vec()
        .map_err(|error| MailError::Permanent(format!("the mail cannot be put together: {error}")))
}

/// Readers show the last part that they can.
fn alternatives(mail: &Mail) -> MimePart<'_> {
    // "=_" is in no line of quoted-printable or base64 text, so that no body holds the boundary by accident.
    let boundary: String = "=_".chars().chain(mail.id.chars()).take(BOUNDARY_MAX).collect();
    let parts = vec![
        MimePart::new("text/plain", mail.text.as_str()),
        MimePart::new("text/html", mail.html.as_str()),
    ];
    MimePart::new(
        ContentType::new("multipart/alternative").attribute("boundary", boundary),
        parts,
    )
}

/// The id becomes a Message-ID's local part, a boundary, a file's name and a header of HTTP. Ids are Wharf's own; one that is not plain
/// is a mistake.
pub(crate) fn check_id(id: &str) -> Result<(), MailError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_dotted_wrong = id.starts_with('.') || id.ends_with('.') || id.contains("..");
    if id.is_empty() || id.len() > ID_MAX || is_dotted_wrong || !id.chars().all(is_plain) {
        return Err(MailError::Permanent(format!("{id:?} cannot be a mail's id")));
    }
    Ok(())
}

/// `Name <address>`, or an address alone.
pub(crate) fn sender(from: &str) -> Result<EmailAddress<'static>, MailError> {
    let (name, address) = match from.rsplit_once('<') {
        Some((name, rest)) => (
            Some(name.trim().trim_matches('"')).filter(|name| !name.is_empty()),
            rest.trim_end().strip_suffix('>').unwrap_or(rest).trim(),
        ),
        None => (None, from.trim()),
    };
    let is_address = address.contains('@')
        && address.len() <= ADDRESS_MAX
        && address
            .chars()
            .all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | ':' | '"' | '\\'));
    if !is_address {
        return Err(MailError::Permanent(format!(
            "{from:?} is not a sender of the form Name <address>"
        )));
    }
    Ok(EmailAddress {
        name: name.map(|name| one_line(name).into()),
        email: address.to_owned().into(),
    })
}

/// A header has one line, whatever was put into it.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;

    fn mail() -> Mail {
        Mail {
            id: "ready-inst_0001".to_owned(),
            from: "Wharf <hello@wharf.example>".to_owned(),
            to: "ada@example.com".parse().unwrap(),
            subject: "Your shop is ready".to_owned(),
            text: "Grüße\n".to_owned(),
            html: "<p>Grüße</p>".to_owned(),
        }
    }

    fn text(mail: &Mail) -> String {
        String::from_utf8(render(mail, Timestamp(1_763_674_800_000)).unwrap()).unwrap()
    }

    #[test]
    fn the_same_mail_is_the_same_bytes() {
        assert_eq!(text(&mail()), text(&mail()));
    }

    #[test]
    fn the_headers_are_those_of_a_mail_program() {
        let text = text(&mail());
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: \"Wharf\" <hello@wharf.example>",
            "To: <ada@example.com>",
            "Subject: Your shop is ready",
            "Message-ID: <ready-inst_0001@wharf.example>",
            "Date: Thu, 20 Nov 2025 21:40:00 +0000",
            "MIME-Version: 1.0",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(
                head.split("\r\n").any(|known| known == line),
                "{line} is missing in {head}"
            );
        }
        assert!(head.is_ascii(), "{head}");
    }

    #[test]
    fn every_line_ends_as_the_protocol_wants_and_is_not_too_long() {
        let long = "x".repeat(3000);
        let mail = Mail {
            from: format!("{long} <hello@wharf.example>"),
            subject: long.clone(),
            text: format!("{long}\nnext\r\nlast"),
            ..mail()
        };
        for line in text(&mail).split_inclusive('\n') {
            assert!(line.ends_with("\r\n") || line.starts_with("--"), "{line:?}");
            assert!(line.len() <= 1000, "{}", line.len());
        }
    }

    #[test]
    fn a_sender_too_long_for_a_line_is_refused() {
        let from = |length| Mail {
            from: format!("{}@wharf.example", "x".repeat(length - 14)),
            ..mail()
        };
        assert!(render(&from(ADDRESS_MAX), Timestamp(0)).is_ok());
        let refused = render(&from(ADDRESS_MAX + 1), Timestamp(0));
        assert!(matches!(refused, Err(MailError::Permanent(_))), "{refused:?}");
    }

    #[test]
    fn a_subject_of_two_lines_is_one() {
        let mail = Mail {
            subject: "Hello\r\nBcc: eve@example.com".to_owned(),
            ..mail()
        };
        let bytes = render(&mail, Timestamp(0)).unwrap();
        let parsed = MessageParser::new().parse(&bytes).unwrap();
        assert_eq!(parsed.subject(), Some("Hello  Bcc: eve@example.com"));
        assert!(parsed.bcc().is_none());
    }

    #[test]
    fn what_cannot_be_a_mail_will_never_be_one() {
        let with_id = |id: &str| Mail {
            id: id.to_owned(),
            ..mail()
        };
        let with_from = |from: &str| Mail {
            from: from.to_owned(),
            ..mail()
        };
        let long = "x".repeat(201);
        for mail in [
            with_id(""),
            with_id("../mail"),
            with_id(".hidden"),
            with_id("a b"),
            with_id("a>\r\nBcc: x"),
            with_id(&long),
            with_from(""),
            with_from("Wharf"),
            with_from("Wharf <hello@wharf.example\r\nBcc: eve@example.com>"),
            with_from("Wharf <a@b.example>, Eve <eve@example.com>, <x@y.example"),
            with_from("<a@b.example, eve@example.com>"),
        ] {
            let refused = render(&mail, Timestamp(0));
            let is_refused = matches!(refused, Err(MailError::Permanent(_)));
            // The last address is the sender; what stands before it is a name, however it looks.
            let is_one_sender = refused.is_ok_and(|bytes| {
                let parsed = MessageParser::new().parse(&bytes).unwrap();
                parsed.from().unwrap().iter().count() == 1
            });
            assert!(is_refused || is_one_sender, "{mail:?}");
        }
    }
}
