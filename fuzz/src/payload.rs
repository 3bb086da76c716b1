//! What the function is invoked with: told by its payload what it is, or refused.

use serde_json::Value;
use wharf_lambda::{Message, Note, Payload};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let message = Message::parse(text);
    if let Ok(Message::Note(note)) = &message {
        same(note);
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        assert!(message.is_err(), "it is not JSON");
        return;
    };
    match Payload::classify(value) {
        Ok(Payload::Queue(records)) => {
            for record in records {
                let _ = (record.deliveries(), Message::parse(&record.body));
            }
        }
        Ok(Payload::Message(Message::Note(note))) => same(&note),
        Ok(_) => {}
        Err(failure) => assert!(failure.hint.is_some() && !failure.message.is_empty(), "{failure:?}"),
    }
}

fn same(note: &Note) {
    let written = serde_json::to_string(note).expect("a note is JSON");
    assert_eq!(
        Message::parse(&written).ok(),
        Some(Message::Note(note.clone())),
        "{written}"
    );
}
