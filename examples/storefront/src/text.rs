//! What people may type: lengths, and the characters that have no business in a shop. Escaping is not done here: whatever shows a text escapes it.

/// Why a text cannot be taken, in words for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAText {
    #[error("Please fill this in.")]
    Empty,
    #[error("This is too long: {length} characters, and at most {limit} fit.")]
    TooLong { length: usize, limit: usize },
    #[error("There is a character in it that cannot be shown.")]
    Unprintable,
}

/// A text of one line, 1 to `limit` characters, without blanks around it.
pub(crate) fn line(text: &str, limit: usize) -> Result<String, NotAText> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NotAText::Empty);
    }
    bounded(text, limit, |_| false)
}

/// A text of any number of lines, at most `limit` characters, possibly none. Line ends come out as `\n`.
pub(crate) fn lines(text: &str, limit: usize) -> Result<String, NotAText> {
    bounded(&text.trim().replace("\r\n", "\n"), limit, |c| c == '\n' || c == '\t')
}

fn bounded(text: &str, limit: usize, also: impl Fn(char) -> bool) -> Result<String, NotAText> {
    let length = text.chars().count();
    if length > limit {
        return Err(NotAText::TooLong { length, limit });
    }
    if text.chars().any(|c| is_unprintable(c) && !also(c)) {
        return Err(NotAText::Unprintable);
    }
    Ok(text.to_owned())
}

/// Control characters, and marks that change the reading direction of what follows: in a name those can make a page say what it does not.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_trimmed_and_counted_in_characters() {
        assert_eq!(line("  Zoë ", 3), Ok("Zoë".to_owned()));
        assert_eq!(line("Zoë!", 3), Err(NotAText::TooLong { length: 4, limit: 3 }));
        assert_eq!(line(" \t ", 3), Err(NotAText::Empty));
    }

    #[test]
    fn control_and_direction_characters_are_refused() {
        for text in ["a\0b", "a\nb", "a\u{1b}[31mb", "a\u{202e}b", "a\u{85}b"] {
            assert_eq!(line(text, 80), Err(NotAText::Unprintable), "{text:?}");
        }
        assert_eq!(lines("a\0b", 80), Err(NotAText::Unprintable));
    }

    #[test]
    fn lines_keep_their_ends_as_one_character() {
        assert_eq!(
            lines("ring twice\r\nthen wait\n", 80),
            Ok("ring twice\nthen wait".to_owned())
        );
        assert_eq!(lines("", 80), Ok(String::new()));
    }
}
