//! HTTP/1.1 read by somebody who forgives nothing: what he does not understand at once, in one way, he refuses. The second opinion on what the edge passes on.

use std::collections::BTreeMap;

/// A request's head, or why it is none.
pub(crate) fn head(bytes: &[u8]) -> Result<Head, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not ASCII")?;
    let text = text.strip_suffix("\r\n\r\n").ok_or("it does not end")?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("its first line has not three words");
    };
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err("its method is no token");
    }
    if !(target.starts_with('/') || target == "*") || !target.bytes().all(|byte| (0x21..=0x7E).contains(&byte)) {
        return Err("its target is not one");
    }
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a line has no colon")?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err("a name is no token");
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err("a value has a control character");
        }
        headers
            .entry(name.to_ascii_lowercase())
            .or_default()
            .push(value.trim_matches([' ', '\t']).to_owned());
    }
    Ok(Head {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
    })
}

/// What a strict reader takes for a request.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    headers: BTreeMap<String, Vec<String>>,
}

impl Head {
    /// The one value of a header; `None` where it is not there. Twice is an error.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, &'static str> {
        match self.headers.get(name).map(Vec::as_slice) {
            None => Ok(None),
            Some([value]) => Ok(Some(value)),
            Some(_) => Err("it is there more than once"),
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.keys().map(String::as_str)
    }

    pub(crate) fn values(&self, name: &str) -> &[String] {
        self.headers.get(name).map_or(&[], Vec::as_slice)
    }

    /// How long the body is; `Err` where that can be read in two ways.
    pub(crate) fn length(&self) -> Result<Length, &'static str> {
        let coding = self.one("transfer-encoding")?;
        let length = self.one("content-length")?;
        match (coding, length) {
            (None, None) => Ok(Length::None),
            (Some(_), Some(_)) => Err("it says twice how long its body is"),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Length::Chunked),
            (Some(_), None) => Err("its coding is unknown"),
            (None, Some(length)) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().map(Length::Bytes).map_err(|_| "its length is too large")
            }
            (None, Some(_)) => Err("its length is no number"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    None,
    Bytes(u64),
    Chunked,
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Where a chunked body ends that is written as it should be; `None` where it is not, or not whole.
pub(crate) fn chunked_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    let line = |at: usize| {
        let end = bytes[at..].windows(2).position(|pair| pair == b"\r\n")? + at;
        let line = &bytes[at..end];
        (!line.contains(&b'\r') && !line.contains(&b'\n')).then_some((line, end + 2))
    };
    loop {
        let (size, next) = line(at)?;
        let digits = size.split(|byte| *byte == b';').next()?;
        if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        at = next;
        if size == 0 {
            break;
        }
        let end = at.checked_add(size)?;
        if bytes.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    loop {
        let (trailer, next) = line(at)?;
        at = next;
        if trailer.is_empty() {
            return Some(at);
        }
    }
}
