//! Answers in XML, as the Query protocol and EC2 write them.

use std::fmt::{Display, Write as _};

#[derive(Debug, Default)]
pub(crate) struct Xml {
    text: String,
}

impl Xml {
    pub(crate) fn leaf(&mut self, name: &str, value: impl Display) {
        let value = value.to_string();
        let _ = write!(self.text, "<{name}>");
        for letter in value.chars() {
            match letter {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                // XML 1.0 has no way to write other control characters.
                letter if letter.is_control() && !matches!(letter, '\n' | '\t') => {}
                letter => self.text.push(letter),
            }
        }
        let _ = write!(self.text, "</{name}>");
    }

    /// Nothing at all where there is no value.
    pub(crate) fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.leaf(name, value);
        }
    }

    pub(crate) fn branch(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        let _ = write!(self.text, "<{name}>");
        inner(self);
        let _ = write!(self.text, "</{name}>");
    }

    /// The Query protocol's list: `<Name><member>…</member>…</Name>`.
    pub(crate) fn members<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.branch(name, |xml| {
            for item in items {
                xml.branch("member", |xml| each(xml, item));
            }
        });
    }

    /// A Query list of plain values.
    pub(crate) fn values<T: Display>(&mut self, name: &str, items: impl IntoIterator<Item = T>) {
        self.branch(name, |xml| {
            for item in items {
                xml.leaf("member", item);
            }
        });
    }

    /// EC2's list: `<nameSet><item>…</item>…</nameSet>`.
    pub(crate) fn items<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.branch(name, |xml| {
            for item in items {
                xml.branch("item", |xml| each(xml, item));
            }
        });
    }

    /// What was written elsewhere, as it is.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is put into another document is of no use alone"
    )]
    pub(crate) fn raw(&mut self, inner: Self) {
        self.text.push_str(&inner.text);
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        let mut xml = Xml::default();
        xml.leaf("Value", "a<b & \"c\"\u{1}");
        assert_eq!(xml.into_text(), "<Value>a&lt;b &amp; &quot;c&quot;</Value>");
    }

    #[test]
    fn lists_have_members() {
        let mut xml = Xml::default();
        xml.values("Arns", ["one", "two"]);
        assert_eq!(xml.into_text(), "<Arns><member>one</member><member>two</member></Arns>");
    }
}
