//! A labelled field of a form, with its hint and what is wrong with it, tied together so that a screen reader says all of it.

use maud::{Markup, html};

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// One line of text, at most so many characters.
    Line(usize),
    /// Several lines of text, at most so many characters.
    Lines(usize),
    /// An amount such as 12.50.
    Price,
    /// A whole number from 0 to this.
    Count(i64),
    Password,
}

#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    /// The form's name for it, and its id in the page.
    pub(super) name: &'a str,
    pub(super) label: &'a str,
    pub(super) hint: Option<&'a str>,
    pub(super) kind: Kind,
    pub(super) required: bool,
    /// What stands in it.
    pub(super) value: &'a str,
    pub(super) error: Option<&'a str>,
    pub(super) autocomplete: &'a str,
}

impl Field<'_> {
    pub(super) fn show(&self) -> Markup {
        let hint_id = self.hint.map(|_| format!("{}-hint", self.name));
        let error_id = self.error.map(|_| format!("{}-error", self.name));
        let described: Vec<&str> = [&error_id, &hint_id].into_iter().filter_map(Option::as_deref).collect();
        let described = (!described.is_empty()).then(|| described.join(" "));
        let invalid = self.error.map(|_| "true");
        html! {
            div.field {
                label for=(self.name) { (self.label) @if !self.required { span.optional { " (optional)" } } }
                @if let (Some(hint), Some(id)) = (self.hint, &hint_id) { p.hint id=(id) { (hint) } }
                @if let (Some(error), Some(id)) = (self.error, &error_id) { p.error id=(id) { (error) } }
                @match self.kind {
                    Kind::Lines(limit) => textarea id=(self.name) name=(self.name) rows="4" maxlength=(limit) required[self.required]
                        autocomplete=(self.autocomplete) aria-describedby=[described] aria-invalid=[invalid] { (self.value) },
                    kind => input id=(self.name) name=(self.name) value=(self.value) required[self.required]
                        type=(kind.input_type()) inputmode=[kind.input_mode()] maxlength=[kind.limit()] min=[kind.most().map(|_| 0)] max=[kind.most()]
                        autocomplete=(self.autocomplete) aria-describedby=[described] aria-invalid=[invalid];
                }
            }
        }
    }
}

impl Kind {
    const fn input_type(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Count(_) => "number",
            Self::Line(_) | Self::Lines(_) | Self::Price => "text",
        }
    }

    const fn input_mode(self) -> Option<&'static str> {
        match self {
            Self::Price => Some("decimal"),
            Self::Count(_) => Some("numeric"),
            Self::Line(_) | Self::Lines(_) | Self::Password => None,
        }
    }

    const fn limit(self) -> Option<usize> {
        match self {
            Self::Line(limit) | Self::Lines(limit) => Some(limit),
            Self::Price => Some(10),
            Self::Count(_) | Self::Password => None,
        }
    }

    const fn most(self) -> Option<i64> {
        match self {
            Self::Count(most) => Some(most),
            _ => None,
        }
    }
}
