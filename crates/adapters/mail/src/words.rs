//! What others say of a mail, as it may stand in a log and in the console: on one line, bounded, and without addresses.

/// Of what a provider says as much as fits into a line of the console.
const WORDS_MAX: usize = 300;

/// On one line, and without addresses: servers like to repeat them.
pub(crate) fn words(message: &str) -> String {
    let words = message
        .split_whitespace()
        .map(|word| if word.contains('@') { "(address)" } else { word });
    plain(&words.collect::<Vec<_>>().join(" "))
}

pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_repeated_and_a_page_becomes_a_line() {
        assert_eq!(
            words("5.1.1 <ada@example.com>:\r\n no such\u{7} mailbox"),
            "5.1.1 (address) no such mailbox"
        );
        assert_eq!(words(&"x".repeat(5000)).len(), WORDS_MAX);
    }
}
