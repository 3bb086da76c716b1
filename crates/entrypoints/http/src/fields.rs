//! What a request may say, as tables: from one table come the check of a body or a query, and its description in the
//! OpenAPI document. Whatever is wrong with a request is said at once, field by field.

use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, str::FromStr};
use utoipa::ToSchema;
use wharf_domain::{Code, Failure};

use crate::problem::Problem;

/// A field of a request: in a JSON body, a form, or a query.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) is_required: bool,
    pub(crate) about: &'static str,
    pub(crate) example: &'static str,
}

/// What stands in a field.
#[derive(Debug)]
pub(crate) enum Kind {
    Text {
        longest: usize,
    },
    OneOf(&'static [&'static str]),
    Whole {
        least: u64,
        most: u64,
    },
    Flag,
    /// Names and texts: an environment.
    Variables,
}

impl Kind {
    /// As a person would say it: what a value of this kind is.
    const fn noun(&self) -> &'static str {
        match self {
            Self::Text { .. } | Self::OneOf(_) => "a text",
            Self::Whole { .. } => "a whole number",
            Self::Flag => "true or false",
            Self::Variables => "an object of texts",
        }
    }
}

impl Field {
    pub(crate) const fn text(name: &'static str, longest: usize, about: &'static str, example: &'static str) -> Self {
        Self::new(name, Kind::Text { longest }, about, example)
    }

    pub(crate) const fn new(name: &'static str, kind: Kind, about: &'static str, example: &'static str) -> Self {
        Self {
            name,
            kind,
            is_required: false,
            about,
            example,
        }
    }

    pub(crate) const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// The field's name; of a query, the parameter's.
    #[schema(example = "subdomain")]
    pub(crate) field: String,
    /// The stable code, as the problem's own.
    #[schema(value_type = String, example = "name.invalid")]
    pub(crate) code: Code,
    /// What is wrong with it.
    pub(crate) detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl FieldError {
    pub(crate) fn new(field: &str, failure: Failure) -> Self {
        Self {
            field: field.to_owned(),
            code: failure.code,
            detail: failure.message,
            hint: failure.hint,
        }
    }
}

/// A request's fields, checked against their table. Read them, then ask [`Fields::done`] whether all were good.
#[derive(Debug)]
pub(crate) struct Fields {
    table: &'static [Field],
    values: BTreeMap<&'static str, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// From a JSON object.
    pub(crate) fn from_object(table: &'static [Field], object: Map<String, Value>) -> Self {
        let mut fields = Self::empty(table);
        for (name, value) in object {
            // Null says the same as nothing.
            if let Some(field) = fields.known(&name)
                && !value.is_null()
            {
                fields.keep(field, value);
            }
        }
        fields.missing();
        fields
    }

    /// From a query or a form: everything is text, and an empty text says the same as nothing.
    pub(crate) fn from_pairs(table: &'static [Field], pairs: Vec<(String, String)>) -> Self {
        let mut fields = Self::empty(table);
        for (name, text) in pairs {
            let Some(field) = fields.known(&name) else { continue };
            if fields.values.contains_key(field.name) {
                fields.wrong(field.name, "it is given more than once", Some("give it once".into()));
            } else if !text.is_empty() || field.is_required {
                let value = match field.kind {
                    Kind::Whole { .. } => text.parse::<u64>().map_or(Value::String(text), Value::from),
                    Kind::Flag if matches!(text.as_str(), "true" | "false") => Value::Bool(text == "true"),
                    _ => Value::String(text),
                };
                fields.keep(field, value);
            }
        }
        fields.missing();
        fields
    }

    const fn empty(table: &'static [Field]) -> Self {
        Self {
            table,
            values: BTreeMap::new(),
            errors: Vec::new(),
        }
    }

    fn known(&mut self, name: &str) -> Option<&'static Field> {
        if let Some(field) = self.table.iter().find(|field| field.name == name) {
            return Some(field);
        }
        let names: Vec<&str> = self.table.iter().map(|field| field.name).collect();
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        let nearest = names
            .iter()
            .map(|known| (strsim::jaro_winkler(known, &shown), known))
            .filter(|(likeness, known)| *likeness > 0.8 || known.split('_').any(|part| part == shown))
            .max_by(|(one, _), (other, _)| one.total_cmp(other));
        let hint = match nearest {
            Some((_, known)) => format!("perhaps {known:?} is meant"),
            None if names.is_empty() => "none is expected".to_owned(),
            None => format!("the fields are {}", names.join(", ")),
        };
        self.wrong(&shown, "there is no such field", Some(hint));
        None
    }

    fn keep(&mut self, field: &'static Field, value: Value) {
        let fits = match (&field.kind, &value) {
            (Kind::Text { .. } | Kind::OneOf(_), Value::String(_)) | (Kind::Flag, Value::Bool(_)) => true,
            (Kind::Whole { .. }, value) => value.is_u64(),
            (Kind::Variables, Value::Object(variables)) => variables.values().all(Value::is_string),
            _ => false,
        };
        let complaint = match (&field.kind, &value) {
            _ if !fits => Some(format!("it is {}, and should be {}", noun(&value), field.kind.noun())),
            (Kind::OneOf(known), Value::String(text)) if !known.contains(&text.as_str()) => {
                Some(format!("it is none of {}", known.join(", ")))
            }
            (Kind::Whole { least, most }, value)
                if value.as_u64().is_none_or(|number| !(*least..=*most).contains(&number)) =>
            {
                Some(format!("it is {value}, and should be from {least} to {most}"))
            }
            _ => None,
        };
        match complaint {
            Some(complaint) => self.wrong(field.name, complaint, Some(format!("for example {}", field.example))),
            None => {
                self.values.insert(field.name, value);
            }
        }
    }

    fn missing(&mut self) {
        for field in self.table {
            let is_said = self.values.contains_key(field.name) || self.errors.iter().any(|e| e.field == field.name);
            if field.is_required && !is_said {
                self.wrong(
                    field.name,
                    "it is missing",
                    Some(format!("for example {}", field.example)),
                );
            }
        }
    }

    pub(crate) fn wrong(&mut self, field: &str, detail: impl Into<String>, hint: Option<String>) {
        self.errors.push(FieldError {
            field: field.to_owned(),
            code: Code::RequestInvalid,
            detail: detail.into(),
            hint,
        });
    }

    /// What is wrong with a field by a rule that the table does not know.
    pub(crate) fn refuse(&mut self, field: &'static str, failure: Failure) {
        self.errors.push(FieldError::new(field, failure));
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_str()
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.values.get(name)?.as_u64()
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.values.get(name)?.as_bool()
    }

    pub(crate) fn variables(&self, name: &str) -> BTreeMap<String, String> {
        let object = self.values.get(name).and_then(Value::as_object);
        object
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    /// A value of the domain, if the field is there and good.
    pub(crate) fn parse<T: FromStr<Err = Failure>>(&mut self, name: &'static str) -> Option<T> {
        match self.text(name)?.parse() {
            Ok(value) => Some(value),
            Err(failure) => {
                self.refuse(name, failure);
                None
            }
        }
    }

    /// Whether anything was wrong: everything that was, as one problem.
    pub(crate) fn check(self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(Problem::fields(self.in_order()))
    }

    /// What is wrong, in the table's order; what is not in it comes last.
    fn in_order(mut self) -> Vec<FieldError> {
        let place = |error: &FieldError| self.table.iter().position(|field| field.name == error.field);
        self.errors.sort_by_key(|error| place(error).unwrap_or(usize::MAX));
        self.errors
    }

    /// What was read, if nothing was wrong with it.
    pub(crate) fn done<T>(self, read: Option<T>) -> Result<T, Problem> {
        self.check()?;
        read.ok_or_else(|| Failure::internal("a field that was good gave nothing").into())
    }
}

/// What a JSON value is, in words.
const fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wharf_domain::Subdomain;

    const TABLE: &[Field] = &[
        Field::text("subdomain", 58, "", "acme").required(),
        Field::text("admin_email", 254, "", "a@b.c").required(),
        Field::new("limit", Kind::Whole { least: 1, most: 10 }, "", "5"),
        Field::new("live", Kind::Flag, "", "true"),
        Field::new("state", Kind::OneOf(&["ready", "down"]), "", "ready"),
        Field::new("environment", Kind::Variables, "", "{}"),
    ];

    fn errors(object: Value) -> Vec<(String, String)> {
        let Value::Object(object) = object else {
            panic!("an object")
        };
        Fields::from_object(TABLE, object)
            .in_order()
            .into_iter()
            .map(|error| (error.field, error.detail + " | " + &error.hint.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let found = errors(json!({
            "subdomain": 7, "email": "a@b.c", "limit": 11, "live": "yes", "state": "fine", "environment": {"A": 1}
        }));
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "subdomain",
                "admin_email",
                "limit",
                "live",
                "state",
                "environment",
                "email"
            ]
        );
        assert!(found[0].1.contains("is a number, and should be a text"));
        assert!(found[1].1.contains("missing"));
        assert!(found[2].1.contains("from 1 to 10"));
        assert!(found[6].1.contains("\"admin_email\""), "{}", found[6].1);
    }

    #[test]
    fn a_query_reads_numbers_and_flags_from_text() {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<Vec<_>>()
        };
        let good = Fields::from_pairs(
            TABLE,
            pairs(&[
                ("subdomain", "a"),
                ("admin_email", "a@b"),
                ("limit", "3"),
                ("live", "true"),
                ("state", ""),
            ]),
        );
        assert_eq!(
            (good.number("limit"), good.flag("live"), good.text("state")),
            (Some(3), Some(true), None)
        );
        assert!(good.check().is_ok());
        let twice = Fields::from_pairs(TABLE, pairs(&[("limit", "3"), ("limit", "4"), ("live", "1")]));
        assert_eq!(twice.errors.len(), 4, "{:?}", twice.errors);
    }

    #[test]
    fn null_says_the_same_as_nothing() {
        let found = errors(json!({"subdomain": null, "admin_email": "a@b", "limit": null}));
        assert_eq!(found.len(), 1);
        assert!(found[0].1.contains("missing"));
    }

    #[test]
    fn what_the_domain_refuses_is_an_error_of_the_field() {
        let Value::Object(object) = json!({"subdomain": "A.B", "admin_email": "a@b"}) else {
            panic!("an object")
        };
        let mut fields = Fields::from_object(TABLE, object);
        assert_eq!(fields.parse::<Subdomain>("subdomain"), None);
        assert_eq!(fields.errors[0].code, Code::NameInvalid);
        assert!(fields.check().is_err());
    }
}
