//! A mail on its way out: whatever a user gave, it has the headers that it should have, once each, and a reader finds in it what was put there. The input's lines
//! are sender, recipient and subject; the rest is the text.

use mail_parser::{HeaderName, MessageParser, MimeHeaders};
use wharf_domain::{Email, Timestamp};
use wharf_platform::Mail;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const ID: &str = "ready-inst_06hhgq2g017xrw4z4r41agz058";
/// What a mail of Wharf's has.
const HEADERS: &[&str] = &[
    "from",
    "to",
    "subject",
    "message-id",
    "date",
    "auto-submitted",
    "mime-version",
    "content-type",
];

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default().to_owned();
    let (from, to, subject, body) = (line(), line(), line(), line());
    let Ok(to) = to.parse::<Email>() else { return };
    let mail = Mail {
        id: ID.to_owned(),
        from,
        to,
        subject,
        text: body.clone(),
        html: body,
    };
    let Ok(bytes) = wharf_mail::rendered(&mail, NOW) else {
        return;
    };
    let message = MessageParser::new().parse(&bytes).expect("what is rendered is a mail");
    let shown = || String::from_utf8_lossy(&bytes).into_owned();
    for header in message.headers() {
        let name = header.name.as_str().to_ascii_lowercase();
        assert!(HEADERS.contains(&name.as_str()), "{name}: {}", shown());
    }
    for name in HEADERS {
        let known = HeaderName::parse(*name).expect("a header's name");
        assert_eq!(message.header_values(known).count(), 1, "{name}: {}", shown());
    }
    let to: Vec<_> = message
        .to()
        .map(|to| to.iter().filter_map(|to| to.address()).collect())
        .unwrap_or_default();
    assert_eq!(to, [mail.to.as_str()], "{}", shown());
    assert_eq!(message.from().map(|from| from.iter().count()), Some(1), "{}", shown());
    assert!(message.message_id().is_some_and(|id| id.starts_with(ID)), "{}", shown());
    assert_eq!(
        (message.text_body_count(), message.html_body_count()),
        (1, 1),
        "{}",
        shown()
    );
    assert_eq!(message.attachment_count(), 0, "{}", shown());
    let is_two_parts = message
        .parts
        .iter()
        .filter(|part| part.content_type().is_some())
        .count()
        == 3;
    assert!(is_two_parts, "{}", shown());
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
    assert!(bytes[..head].is_ascii() || mail.from.is_ascii(), "{}", shown());
    for line in bytes.split(|byte| *byte == b'\n') {
        assert!(line.len() <= 999, "a line of {} bytes", line.len());
    }
}
