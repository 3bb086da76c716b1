//! Output as lines of bounded length, for adapters that read it as bytes. What makes a line safe to show is in [`crate::logs`].
//!
//! What must not be here: where output comes from. These are functions of bytes.

use crate::logs::clean;

/// The longest line that is kept; the rest of a longer one is left out.
pub const LONGEST_LINE: usize = 16 * 1024;

/// Cuts bytes into lines as they come.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The line that has not ended yet, at most [`LONGEST_LINE`] of it.
    partial: Vec<u8>,
}

impl Splitter {
    /// Takes more bytes, and gives each line that they end.
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(String)) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.keep(&bytes[..end]);
            line(clean(&self.partial));
            self.partial.clear();
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// What came after the last end of a line, if anything did.
    pub fn rest(&mut self) -> Option<String> {
        (!self.partial.is_empty()).then(|| clean(&std::mem::take(&mut self.partial)))
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// The end of a text, at most `most` bytes, from the beginning of a line where there is one.
#[must_use]
pub fn ending(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let mut start = text.len() - most;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let (before, tail) = text.split_at(start);
    if before.ends_with('\n') {
        return tail;
    }
    match tail.split_once('\n') {
        Some((_, whole_lines)) if !whole_lines.trim().is_empty() => whole_lines,
        _ => tail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines, and how much there is of the one that has not ended.
    fn lines(chunks: &[&[u8]]) -> (Vec<String>, usize) {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, |line| lines.push(line));
        }
        (lines, splitter.partial.len())
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let (whole, rest) = lines(&[b"on", b"e\ntwo\r\n\nth", b"ree"]);
        assert_eq!(whole, ["one", "two", ""]);
        assert_eq!(rest, "three".len());
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_is_whole() {
        let long = vec![b'x'; LONGEST_LINE * 3];
        let (whole, rest) = lines(&[&long, &long, b"\nnext\n"]);
        assert_eq!(whole[0].len(), LONGEST_LINE);
        assert_eq!(&whole[1..], ["next"]);
        assert_eq!(rest, 0);
    }

    #[test]
    fn an_ending_starts_with_a_line_and_keeps_characters_whole() {
        assert_eq!(ending("short", 10), "short");
        let text = "first line\nsecond\nthird";
        for (most, expected) in [
            (23, text),
            (22, "second\nthird"),
            (12, "second\nthird"),
            (11, "third"),
            (4, "hird"),
        ] {
            assert_eq!(ending(text, most), expected, "{most}");
        }
        assert_eq!(ending("ääää", 3), "ä");
    }
}
