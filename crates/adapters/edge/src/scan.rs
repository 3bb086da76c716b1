//! A strict second look at the bytes of a request, for what the HTTP parser forgives and a proxy must not: a line that ends
//! in a bare line feed, and more than one header that says how long the body is. Pure: bytes in, facts out.
//!
//! What must not be here: any decision. The scan never says where hyper has to read on; it only notices.

use memchr::{memchr, memchr_iter};

/// The longest prefix of a line that has to be known: `transfer-encoding:`.
const PREFIX: usize = 18;
const CONTENT_LENGTH: &[u8] = b"content-length:";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding:";

/// What stood in a head that its parsed form no longer shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// A line ended in a line feed without a carriage return.
    pub(crate) bare_line_feed: bool,
    /// Lines named `Content-Length`; counted no further than 2.
    pub(crate) content_lengths: u8,
    /// Lines named `Transfer-Encoding`; counted no further than 2.
    pub(crate) transfer_encodings: u8,
    /// The parser wanted to read on where the scan saw the head's end.
    pub(crate) disagreement: bool,
}

/// Reads one head, in however many pieces it comes.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    facts: Facts,
    /// A line that is not empty has begun: from now on an empty one ends the head.
    begun: bool,
    /// The line under way, as far as earlier pieces held it: its length, its first bytes, its last byte.
    carried: usize,
    prefix: [u8; PREFIX],
    last: u8,
}

impl HeadScan {
    /// Whether anything of a head has been seen.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun || self.carried > 0
    }

    /// The facts and the number of bytes up to and with the head's end, if it is in this piece.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Option<(usize, Facts)> {
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            let empty = self.line(&bytes[start..end]);
            start = end + 1;
            if empty && self.begun {
                return Some((start, self.facts));
            }
            self.begun |= !empty;
        }
        self.carry(&bytes[start..]);
        None
    }

    /// Takes a line whose line feed was found; `rest` is what no earlier piece held. Says whether the line is empty.
    fn line(&mut self, rest: &[u8]) -> bool {
        let returned = match rest.last() {
            Some(last) => *last == b'\r',
            None => self.carried > 0 && self.last == b'\r',
        };
        let length = self.carried + rest.len() - usize::from(returned);
        self.facts.bare_line_feed |= !returned;
        if length > 0 {
            if self.carried == 0 {
                self.count(rest);
            } else {
                self.carry(rest);
                let prefix = self.prefix;
                self.count(&prefix[..self.carried.min(PREFIX)]);
            }
        }
        self.carried = 0;
        length == 0
    }

    fn carry(&mut self, rest: &[u8]) {
        let Some(last) = rest.last() else { return };
        self.last = *last;
        if self.carried < PREFIX {
            let taken = rest.len().min(PREFIX - self.carried);
            self.prefix[self.carried..self.carried + taken].copy_from_slice(&rest[..taken]);
        }
        self.carried = self.carried.saturating_add(rest.len());
    }

    fn count(&mut self, line: &[u8]) {
        let begins = |name: &[u8]| {
            line.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        match line.first() {
            Some(b'c' | b'C') if begins(CONTENT_LENGTH) => {
                self.facts.content_lengths = (self.facts.content_lengths + 1).min(2);
            }
            Some(b't' | b'T') if begins(TRANSFER_ENCODING) => {
                self.facts.transfer_encodings = (self.facts.transfer_encodings + 1).min(2);
            }
            _ => {}
        }
    }
}

/// Finds where a chunked body ends. It is laxer than the decoder that the body itself goes through: what is not a chunked
/// body ends there, in an error.
#[derive(Debug, Default)]
pub(crate) enum ChunkScan {
    #[default]
    SizeStart,
    Size(u64),
    /// After the size, up to the line feed.
    Extension(u64),
    Data(u64),
    /// The line break after a chunk's data.
    DataEnd,
    /// In a trailer's line; whether it is empty so far, and whether its last byte was a carriage return.
    Trailer {
        empty: bool,
        returned: bool,
    },
}

/// A line of a chunked body's trailers ends in a bare line feed or carriage return, which the decoder forgives: who reads it
/// otherwise sees the body's end elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BareLineEnd;

impl ChunkScan {
    /// The number of bytes up to and with the body's end, if it is in this piece.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, BareLineEnd> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            match self {
                Self::SizeStart | Self::Size(_) => {
                    let size = if let Self::Size(size) = self { *size } else { 0 };
                    *self = match char::from(byte).to_digit(16) {
                        Some(digit) => Self::Size(size.wrapping_mul(16).wrapping_add(u64::from(digit))),
                        None if byte == b'\n' => Self::after_size(size),
                        None => Self::Extension(size),
                    };
                    at += 1;
                }
                Self::Extension(size) => match memchr(b'\n', &bytes[at..]) {
                    Some(offset) => {
                        *self = Self::after_size(*size);
                        at += offset + 1;
                    }
                    None => return Ok(None),
                },
                Self::Data(left) => {
                    let here = (bytes.len() - at) as u64;
                    if *left > here {
                        *left -= here;
                        return Ok(None);
                    }
                    at += usize::try_from(*left).unwrap_or(usize::MAX);
                    *self = Self::DataEnd;
                }
                Self::DataEnd => {
                    if byte == b'\n' {
                        *self = Self::SizeStart;
                    }
                    at += 1;
                }
                Self::Trailer { empty, returned } => {
                    at += 1;
                    match (byte, *returned) {
                        (b'\n', true) if *empty => return Ok(Some(at)),
                        (b'\n', true) => (*empty, *returned) = (true, false),
                        (b'\n', false) | (_, true) => return Err(BareLineEnd),
                        (b'\r', false) => *returned = true,
                        _ => *empty = false,
                    }
                }
            }
        }
        Ok(None)
    }

    fn after_size(size: u64) -> Self {
        if size == 0 {
            Self::Trailer {
                empty: true,
                returned: false,
            }
        } else {
            Self::Data(size)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Option<(usize, Facts)> {
        HeadScan::default().scan(text.as_bytes())
    }

    /// The same head in two pieces, cut at every place.
    fn in_pieces(text: &str) -> Vec<Option<(usize, Facts)>> {
        (1..text.len())
            .map(|cut| {
                let mut scan = HeadScan::default();
                let (first, second) = text.as_bytes().split_at(cut);
                scan.scan(first)
                    .or_else(|| scan.scan(second).map(|(end, facts)| (end + cut, facts)))
            })
            .collect()
    }

    #[test]
    fn a_head_ends_at_its_empty_line_and_not_before() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(whole(&format!("{text}GET")), Some((text.len(), Facts::default())));
        assert_eq!(whole("GET / HTTP/1.1\r\nHost: a\r\n"), None);
        assert_eq!(
            whole(&format!("\r\n\r\n{text}")).map(|(end, _)| end),
            Some(text.len() + 4)
        );
    }

    #[test]
    fn how_a_head_is_cut_changes_nothing() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-LENGTH: 3\r\nTransfer-Encoding : chunked\r\nTRANSFER-ENCODING:chunked\r\n\r\n",
            "\r\nGET / HTTP/1.1\nContent-Length: 3\r\nContent-Length: 3\r\nX-Content-Length: 3\r\n\n",
        ] {
            let expected = whole(text);
            assert!(expected.is_some(), "{text}");
            for (cut, found) in in_pieces(text).into_iter().enumerate() {
                assert_eq!(found, expected, "cut at {} of {text:?}", cut + 1);
            }
        }
    }

    #[test]
    fn lengths_are_counted_and_bare_line_feeds_noticed() {
        let (_, facts) = whole("POST / HTTP/1.1\r\nContent-Length: 3\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        assert_eq!((facts.content_lengths, facts.transfer_encodings), (1, 1));
        assert!(!facts.bare_line_feed);
        assert!(
            whole("GET / HTTP/1.1\r\nA: b\nHost: a\r\n\r\n")
                .unwrap()
                .1
                .bare_line_feed
        );
    }

    #[test]
    fn a_chunked_body_ends_after_its_trailers_however_it_is_cut() {
        for text in [
            "0\r\n\r\n",
            "5;x=y\r\nhello\r\n0\r\n\r\n",
            "3\r\n\r\n0\r\nA\r\nabcdefghij\r\n0\r\nTrailer: yes\r\nOther: no\r\n\r\n",
        ] {
            let text = format!("{text}GET / HTTP/1.1");
            let end = text.len() - 14;
            assert_eq!(ChunkScan::default().scan(text.as_bytes()), Ok(Some(end)), "{text:?}");
            for cut in 1..end {
                let mut scan = ChunkScan::default();
                let (first, second) = text.as_bytes().split_at(cut);
                assert_eq!(scan.scan(first), Ok(None), "cut at {cut} of {text:?}");
                assert_eq!(scan.scan(second), Ok(Some(end - cut)), "cut at {cut} of {text:?}");
            }
        }
    }

    #[test]
    fn a_trailer_that_ends_in_a_bare_line_feed_is_noticed_however_it_is_cut() {
        for text in [
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: b\r\n\n",
            "0\r\nA: b\rc\r\n\r\n",
            "0\r\n\r\r\n",
        ] {
            assert_eq!(ChunkScan::default().scan(text.as_bytes()), Err(BareLineEnd), "{text:?}");
            for cut in 1..text.len() {
                let mut scan = ChunkScan::default();
                let (first, second) = text.as_bytes().split_at(cut);
                let noticed = scan.scan(first).is_err() || scan.scan(second).is_err();
                assert!(noticed, "cut at {cut} of {text:?}");
            }
        }
    }
}
