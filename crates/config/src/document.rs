//! A TOML text with the places of its keys and values. What the keys mean is no concern of this file.

use std::ops::Range;
use toml::{Spanned, de::DeTable, de::DeValue};

use crate::Source;

pub(crate) type Table<'a> = DeTable<'a>;
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// A parsed text. The built-in services are one too, without a file's name.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// How the file is called in messages; `None` is the built-in text.
    file: Option<String>,
    text: &'a str,
    /// Byte offsets at which the lines start.
    lines: Vec<usize>,
    root: Table<'a>,
}

/// A text that is not TOML, and where.
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) source: Source,
}

impl<'a> Document<'a> {
    /// Parses a text; every syntax error is reported, not only the first.
    pub(crate) fn parse(file: Option<String>, text: &'a str) -> Result<Self, Vec<SyntaxError>> {
        let (root, errors) = Table::parse_recoverable(text);
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let document = Self {
            file,
            text,
            lines,
            root: root.into_inner(),
        };
        if errors.is_empty() {
            return Ok(document);
        }
        let end = text.len()..text.len();
        let located = |error: toml::de::Error| SyntaxError {
            source: document.source(&error.span().unwrap_or_else(|| end.clone())),
            message: error.message().to_owned(),
        };
        Err(errors.into_iter().map(located).collect())
    }

    /// Nothing: no file was given.
    pub(crate) fn empty() -> Self {
        Self {
            file: Some(String::new()),
            text: "",
            lines: vec![0],
            root: Table::new(),
        }
    }

    pub(crate) fn root(&self) -> &Table<'a> {
        &self.root
    }

    /// The place of a span, as people and editors count.
    pub(crate) fn source(&self, span: &Range<usize>) -> Source {
        let Some(file) = &self.file else { return Source::BuiltIn };
        if self.text.is_empty() {
            return Source::Default;
        }
        let offset = self.text.floor_char_boundary(span.start);
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Source::File {
            file: file.clone(),
            line,
            column,
        }
    }

    /// The place of a path, or of the nearest thing around it that stands in the text. Numbers lead into arrays.
    pub(crate) fn locate<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Source {
        let mut path = path.into_iter();
        let Some((key, mut value)) = path.next().and_then(|name| self.root.get_key_value(name)) else {
            return Source::Default;
        };
        let mut span = key.span();
        for name in path {
            let inner = match value.get_ref() {
                DeValue::Table(table) => table.get_key_value(name).map(|(key, inner)| (key.span(), inner)),
                DeValue::Array(array) => name
                    .parse()
                    .ok()
                    .and_then(|i: usize| array.get(i))
                    .map(|inner| (inner.span(), inner)),
                _ => None,
            };
            let Some((at, inner)) = inner else {
                return self.source(&span);
            };
            (span, value) = (at, inner);
        }
        match value.get_ref() {
            DeValue::Table(_) => self.source(&span),
            _ => self.source(&value.span()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, column: usize) -> Source {
        Source::File {
            file: "wharf.toml".into(),
            line,
            column,
        }
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "# ä\n[services.auth]\nénv = { a = \"ö\", b = [1, 22] }\n";
        let text = text.replace("énv", "\"é\"");
        let document = Document::parse(Some("wharf.toml".into()), &text).unwrap_or_else(|_| panic!("TOML"));
        let locate = |path: &[&str]| document.locate(path.iter().copied());
        assert_eq!(locate(&["services", "auth", "é", "a"]), at(3, 13));
        assert_eq!(locate(&["services", "auth", "é", "b", "1"]), at(3, 26));
        assert_eq!(locate(&["services", "auth"]), at(2, 11));
        assert_eq!(
            locate(&["services", "auth", "missing", "deeper"]),
            at(2, 11),
            "the nearest thing around it"
        );
        assert_eq!(locate(&["nothing"]), Source::Default);
    }

    #[test]
    fn every_syntax_error_is_reported() {
        let errors = Document::parse(Some("wharf.toml".into()), "a = \nb = 1\nb = 2\nc = [1,\n").expect_err("not TOML");
        let sources: Vec<_> = errors.into_iter().map(|error| error.source).collect();
        assert!(sources.contains(&at(3, 1)), "{sources:?}");
        assert!(sources.len() >= 3, "{sources:?}");
    }
}
