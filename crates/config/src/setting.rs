//! What a value of a type looks like in TOML, in a variable of the environment, in the reference and in the JSON schema.
//!
//! A type that is written as a text implements [`Text`], one with a few fixed words [`Choice`]; both are a [`Setting`].
//! The types themselves are in `values`; which setting has which type is in `keys`.

use serde_json::{Value as Json, json};
use std::{borrow::Cow, ops::Range};
use toml::de::DeValue;

use crate::{document::Value, suggest};

/// What was given for a setting.
#[derive(Clone, Debug)]
pub(crate) enum Raw<'a> {
    Toml(&'a Value<'a>),
    /// From the environment or the command line.
    Text(Cow<'a, str>),
}

/// Why a value is refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// The part of the value that is meant, where it is in the file.
    pub(crate) span: Option<Range<usize>>,
    /// The name within the value, where it is a table.
    pub(crate) within: Option<String>,
    /// What was written, where it is none of the numbers that its type can hold: a key that allows fewer says which.
    pub(crate) beyond: Option<String>,
}

impl Complaint {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A type that a setting can have.
pub(crate) trait Setting: Sized + Sync + 'static {
    /// How the reference calls the type, with its article: "a duration".
    const TYPE: &'static str;
    /// The form to follow, in TOML; empty where the type says it all.
    const EXAMPLE: &'static str;

    /// Reads what was given, with everything that is wrong with it.
    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>>;

    /// What is good of a value that is wrong in part, so that the rest of it is checked all the same.
    fn salvage(_raw: &Raw<'_>) -> Option<Self> {
        None
    }

    /// The value as one would write it in the file; empty if there is none.
    fn show(&self) -> String;

    /// Its JSON schema.
    fn schema() -> Json;

    /// Whether the value is between the two, both included.
    fn is_between(&self, _least: &Self, _most: &Self) -> bool {
        true
    }
}

/// A type that is written as a text.
pub(crate) trait Text: Sized + Sync + 'static {
    const TYPE: &'static str;
    const EXAMPLE: &'static str;
    /// The same of a list of it.
    const LIST: &'static str = "a list of texts";
    const LIST_EXAMPLE: &'static str = "[\"a\", \"b\"]";

    fn parse(text: &str) -> Result<Self, Complaint>;

    /// The text that reads as this value.
    fn text(&self) -> String;

    fn schema() -> Json {
        json!({"type": "string", "examples": [Self::EXAMPLE.trim_matches('"')]})
    }

    fn is_between(&self, _least: &Self, _most: &Self) -> bool {
        true
    }
}

/// A type that is one of a few words.
pub(crate) trait Choice: Copy + PartialEq + Sync + 'static {
    const TYPE: &'static str;
    const CHOICES: &'static [(&'static str, Self)];
    /// Other spellings that the environment may use.
    const ALIASES: &'static [(&'static str, Self)] = &[];
}

/// A text as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    // A JSON string is a TOML basic string, but for DEL, which JSON leaves as it is.
    Json::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// At most so much of a wrong value is repeated in a message.
const SHOWN_MAX: usize = 60;

/// A wrong value as a message repeats it: short, and without what would upset a terminal.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(SHOWN_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        short.push('…');
    }
    format!("\"{short}\"")
}

/// What a TOML value is, in words.
fn kind_of(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", shown(text)),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// The complaint that a value is of another type.
pub(crate) fn mistyped<T: Setting>(value: &Value<'_>) -> Complaint {
    Complaint {
        span: Some(value.span()),
        hint: (!T::EXAMPLE.is_empty()).then(|| format!("write it as in {}", T::EXAMPLE)),
        ..Complaint::new(format!("expected {}, found {}", T::TYPE, kind_of(value.get_ref())))
    }
}

impl<T: Text> Setting for T {
    const TYPE: &'static str = <T as Text>::TYPE;
    const EXAMPLE: &'static str = <T as Text>::EXAMPLE;

    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
        match raw {
            Raw::Text(text) => T::parse(text).map_err(|complaint| vec![complaint]),
            Raw::Toml(value) => {
                let text = value.get_ref().as_str().ok_or_else(|| vec![mistyped::<Self>(value)])?;
                T::parse(text).map_err(|complaint| {
                    vec![Complaint {
                        span: Some(value.span()),
                        ..complaint
                    }]
                })
            }
        }
    }

    fn show(&self) -> String {
        quoted(&self.text())
    }

    fn schema() -> Json {
        <T as Text>::schema()
    }

    fn is_between(&self, least: &Self, most: &Self) -> bool {
        <T as Text>::is_between(self, least, most)
    }
}

impl<T: Choice> Text for T {
    const TYPE: &'static str = <T as Choice>::TYPE;
    const EXAMPLE: &'static str = "";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let find =
            |list: &[(&str, Self)], text: &str| list.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        let lower = text.to_ascii_lowercase();
        find(T::CHOICES, text)
            .or_else(|| find(T::CHOICES, &lower))
            .or_else(|| find(T::ALIASES, &lower))
            .ok_or_else(|| {
                let words: Vec<_> = T::CHOICES.iter().map(|(word, _)| *word).collect();
                let complaint = Complaint::new(format!("{} is none of {}", shown(text), words.join(", ")));
                match suggest::nearest(text, words) {
                    Some(word) => complaint.hint(format!("did you mean \"{word}\"?")),
                    None => complaint,
                }
            })
    }

    fn text(&self) -> String {
        T::CHOICES
            .iter()
            .find(|(_, choice)| choice == self)
            .map_or_else(String::new, |(word, _)| (*word).to_owned())
    }

    fn schema() -> Json {
        json!({"enum": T::CHOICES.iter().map(|(word, _)| *word).collect::<Vec<_>>()})
    }
}

impl Setting for bool {
    const TYPE: &'static str = "true or false";
    const EXAMPLE: &'static str = "";

    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
        match raw {
            Raw::Toml(value) => value.get_ref().as_bool().ok_or_else(|| vec![mistyped::<Self>(value)]),
            Raw::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(vec![Complaint::new(format!(
                    "expected true or false, found {}",
                    shown(text)
                ))]),
            },
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn schema() -> Json {
        json!({"type": "boolean"})
    }
}

/// A whole number; `Key::between` says which are allowed.
macro_rules! whole_number {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            const TYPE: &'static str = "a whole number";
            const EXAMPLE: &'static str = "";

            fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
                let range = |text: &str| Complaint {
                    beyond: Some(text.to_owned()),
                    ..Complaint::new(format!("{text} is not from 0 to {}", <$number>::MAX))
                };
                match raw {
                    Raw::Toml(value) => {
                        let number = value.get_ref().as_integer().ok_or_else(|| vec![mistyped::<Self>(value)])?;
                        Self::from_str_radix(number.as_str(), number.radix())
                            .map_err(|_| vec![Complaint { span: Some(value.span()), ..range(&number.to_string()) }])
                    }
                    Raw::Text(text) => text.trim().parse().map_err(|_| vec![range(&shown(text))]),
                }
            }

            fn show(&self) -> String {
                self.to_string()
            }

            fn schema() -> Json {
                json!({"type": "integer", "minimum": 0, "maximum": <$number>::MAX})
            }

            fn is_between(&self, least: &Self, most: &Self) -> bool {
                (least..=most).contains(&self)
            }
        }
    )*};
}
whole_number!(u16, u32);

impl<T: Setting> Setting for Option<T> {
    const TYPE: &'static str = T::TYPE;
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
        T::read(raw).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, T::show)
    }

    fn schema() -> Json {
        T::schema()
    }

    fn is_between(&self, least: &Self, most: &Self) -> bool {
        match (self, least, most) {
            (Some(value), Some(least), Some(most)) => value.is_between(least, most),
            _ => true,
        }
    }
}

/// A list in the file, words between commas in the environment.
impl<T: Text> Setting for Vec<T> {
    const TYPE: &'static str = T::LIST;
    const EXAMPLE: &'static str = T::LIST_EXAMPLE;

    fn read(raw: &Raw<'_>) -> Result<Self, Vec<Complaint>> {
        let items: Vec<Result<T, Vec<Complaint>>> = match raw {
            Raw::Toml(value) => {
                let array = value
                    .get_ref()
                    .as_array()
                    .ok_or_else(|| vec![mistyped::<Self>(value)])?;
                array.iter().map(|item| T::read(&Raw::Toml(item))).collect()
            }
            Raw::Text(text) => {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                words.map(|word| T::read(&Raw::Text(word.into()))).collect()
            }
        };
        let (good, bad): (Vec<_>, Vec<_>) = items.into_iter().partition(Result::is_ok);
        let complaints: Vec<_> = bad.into_iter().filter_map(Result::err).flatten().collect();
        if complaints.is_empty() {
            Ok(good.into_iter().filter_map(Result::ok).collect())
        } else {
            Err(complaints)
        }
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(T::show).collect::<Vec<_>>().join(", "))
    }

    fn schema() -> Json {
        json!({"type": "array", "items": <T as Setting>::schema()})
    }
}
