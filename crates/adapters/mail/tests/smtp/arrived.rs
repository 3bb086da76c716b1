//! What a person sees of a mail that a server has.

use mail_parser::{Address, MessageParser};
use wharf_testkit::contracts::mailer::Arrived;

pub(crate) fn arrived(bytes: &[u8]) -> Arrived {
    let mail = MessageParser::new().parse(bytes).expect("a mail");
    let list = |address: Option<&Address<'_>>| -> Vec<String> {
        let addresses = address.into_iter().flat_map(Address::iter);
        addresses
            .filter_map(|address| address.address().map(str::to_owned))
            .collect()
    };
    let from = mail.from().and_then(Address::first).expect("a sender");
    let address = from.address().unwrap_or_default();
    Arrived {
        to: list(mail.to()),
        from: from
            .name()
            .map_or_else(|| address.to_owned(), |name| format!("{name} <{address}>")),
        subject: mail.subject().unwrap_or_default().to_owned(),
        text: mail.body_text(0).unwrap_or_default().into_owned(),
        html: mail.body_html(0).unwrap_or_default().into_owned(),
    }
}
