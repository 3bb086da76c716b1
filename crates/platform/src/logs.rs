//! What tasks print.

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use wharf_domain::{Failure, InstanceId, instance::TaskRef, service::RunSpec};

/// One line of output, at most 16 KiB of it, and safe to show: see [`clean`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub text: String,
}

/// Whose output is read.
#[derive(Clone, Debug)]
pub struct Printer {
    pub instance: InstanceId,
    /// The task that prints, or printed last; `None` if none was ever started.
    pub task: Option<TaskRef>,
    pub run: RunSpec,
}

/// Reads instances' output.
///
/// Guarantees wanted: what is read went through [`clean`], and is one line each; output is kept within a bound for each instance, oldest lost first, whatever a task prints; a task is never held up for long by a slow reader.
#[async_trait]
pub trait Logs: Send + Sync + 'static {
    /// The last `lines` lines, and with `follow` those to come until the reader drops the stream.
    async fn read(&self, printer: &Printer, lines: usize, follow: bool)
    -> Result<BoxStream<'static, LogLine>, Failure>;

    /// Forgets an ended instance's output.
    async fn remove(&self, instance: &InstanceId) -> Result<(), Failure>;
}

/// Bytes as text: what is not UTF-8 is replaced, terminal sequences (colours, cursor, titles) and control characters
/// other than tab and line feed are left out. What a tenant prints must not drive the terminal of who reads it.
#[must_use]
pub fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.peek() {
                // CSI: parameters, then one final letter.
                Some('[') => {
                    characters.next();
                    while characters.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                    characters.next_if(|c| matches!(c, '@'..='~'));
                }
                // OSC and its like: text up to BEL or ESC \, which must not swallow the line if it never comes.
                Some(']' | 'P' | '^' | '_' | 'X') => {
                    let mut ahead = characters.clone();
                    if ahead.any(|c| matches!(c, '\u{7}' | '\u{1b}')) {
                        ahead.next_if_eq(&'\\');
                        characters = ahead;
                    } else {
                        characters.next();
                    }
                }
                Some(' '..='~') => {
                    characters.next();
                }
                _ => {}
            },
            '\n' | '\t' => kept.push(character),
            other if other.is_control() => {}
            other => kept.push(other),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_sequences_and_control_characters_are_left_out() {
        let cases: [(&[u8], &str); 8] = [
            (b"\x1b[1;32mready\x1b[0m", "ready"),
            (b"\x1b]0;title\x07shell", "shell"),
            (b"\x1b]8;;http://x\x1b\\link", "link"),
            (b"\x1b]never ends", "never ends"),
            (b"a\x00b\x08c\x7f\td", "abc\td"),
            (b"caf\xc3\xa9 \xff", "caf\u{e9} \u{fffd}"),
            (b"\x1bcreset", "reset"),
            (b"\x1b", ""),
        ];
        for (bytes, text) in cases {
            assert_eq!(clean(bytes), text, "{}", bytes.escape_ascii());
        }
    }
}
