//! A mail as RFC 5322 has it: text and HTML side by side, headers encoded, so that nothing that a user gave can become a header.

use mail_builder::MessageBuilder;
use wharf_domain::Timestamp;
use wharf_platform::Mail;

/// The whole message, with CRLF line ends.
pub(crate) fn render(mail: &Mail, now: Timestamp) -> std::io::Result<Vec<u8>> {
    let (name, address) = sender(&mail.from);
    let domain = address.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let message = MessageBuilder::new()
        .from((one_line(name), one_line(address)))
        .to(mail.to.as_str())
        .subject(one_line(&mail.subject))
        .message_id(format!("{}@{domain}", one_line(&mail.id)))
        .date(i64::try_from(now.as_millis() / 1000).unwrap_or(i64::MAX))
        .text_body(mail.text.as_str())
        .html_body(mail.html.as_str());
    let mut bytes = Vec::with_capacity(mail.text.len() + mail.html.len() + 1024);
    message.write_to(&mut bytes)?;
    Ok(bytes)
}

/// `Name <address>` or an address alone.
fn sender(from: &str) -> (&str, &str) {
    match from.rsplit_once('<') {
        Some((name, rest)) => (name.trim().trim_matches('"'), rest.trim_end_matches('>').trim()),
        None => ("", from.trim()),
    }
}

/// A header has one line, whatever was put into it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
