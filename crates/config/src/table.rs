//! The shape of the table of keys: keys with a type, sections that hold them. The table itself is in `keys`.
//!
//! One table serves the check for unknown keys, the reading of values, `explain`, the reference and the JSON schema.

use serde_json::{Value as Json, json};
use std::fmt;

use crate::setting::{Complaint, Raw, Setting, quoted};

/// A setting: its name within its section, its type, its default, and what it is for.
pub(crate) struct Key<T: 'static> {
    pub(crate) name: &'static str,
    pub(crate) default: fn() -> T,
    facts: Facts,
    bounds: Option<&'static [T; 2]>,
}

/// What a key says of itself whatever its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// What it is for, in sentences.
    pub(crate) doc: &'static str,
    /// What the reference shows where the default is no fixed value.
    pub(crate) default_note: Option<&'static str>,
    /// There is no default: the file says it, as in this example.
    pub(crate) required: Option<&'static str>,
    /// It has a meaning only where a sibling has one of these values.
    pub(crate) when: Option<(&'static str, &'static [&'static str])>,
    /// It stands only in the file.
    pub(crate) file_only: bool,
    /// The option of the command line that sets it.
    pub(crate) flag: Option<&'static str>,
    /// Documented variables beside the one that is named after the key, in the order of their ranks.
    pub(crate) variables: &'static [Variable],
}

/// A variable with a name of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    name: &'static str,
    /// One for each service, with the service's name before it.
    pub(crate) of_service: bool,
    /// It stands in for what the file leaves out, rather than to outrank it.
    pub(crate) below_file: bool,
    /// The unit of a bare number in it.
    pub(crate) unit: &'static str,
    /// The value that the key has where the variable is set at all; empty where the variable's text is the value.
    pub(crate) implies: &'static str,
}

impl Variable {
    /// It outranks the file.
    pub(crate) const fn above(name: &'static str) -> Self {
        Self {
            name,
            of_service: false,
            below_file: false,
            unit: "",
            implies: "",
        }
    }

    /// It counts where the file says nothing.
    pub(crate) const fn below(name: &'static str) -> Self {
        Self {
            below_file: true,
            ..Self::above(name)
        }
    }

    /// `NAME_<name>`, for the service of this name; it outranks the file.
    pub(crate) const fn of_service(name: &'static str) -> Self {
        Self {
            of_service: true,
            ..Self::above(name)
        }
    }

    pub(crate) const fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    pub(crate) const fn implies(self, implies: &'static str) -> Self {
        Self { implies, ..self }
    }

    /// Its name for the key at a path.
    pub(crate) fn name_at(&self, path: &str) -> String {
        if !self.of_service {
            return self.name.to_owned();
        }
        let service = path.split('.').nth(1).unwrap_or(NAME);
        format!("{}_{}", upper(service), self.name)
    }
}

impl<T> Key<T> {
    pub(crate) const fn new(name: &'static str, default: fn() -> T, doc: &'static str) -> Self {
        let facts = Facts {
            doc,
            default_note: None,
            required: None,
            when: None,
            file_only: false,
            flag: None,
            variables: &[],
        };
        Self {
            name,
            default,
            facts,
            bounds: None,
        }
    }

    pub(crate) const fn between(mut self, bounds: &'static [T; 2]) -> Self {
        self.bounds = Some(bounds);
        self
    }

    pub(crate) const fn default_note(mut self, note: &'static str) -> Self {
        self.facts.default_note = Some(note);
        self
    }

    pub(crate) const fn required(mut self, example: &'static str) -> Self {
        self.facts.required = Some(example);
        self
    }

    pub(crate) const fn when(mut self, sibling: &'static str, values: &'static [&'static str]) -> Self {
        self.facts.when = Some((sibling, values));
        self
    }

    pub(crate) const fn file_only(mut self) -> Self {
        self.facts.file_only = true;
        self
    }

    pub(crate) const fn flag(mut self, flag: &'static str) -> Self {
        self.facts.flag = Some(flag);
        self
    }

    pub(crate) const fn variables(mut self, variables: &'static [Variable]) -> Self {
        self.facts.variables = variables;
        self
    }
}

impl<T: Setting> Key<T> {
    /// A value that its type cannot hold is told what this key allows, which may be less.
    fn in_its_range(&self, complaints: Vec<Complaint>) -> Vec<Complaint> {
        let Some(range) = self.range() else { return complaints };
        let say = |complaint: Complaint| match &complaint.beyond {
            Some(value) => Complaint {
                message: format!("{value} is not {range}"),
                ..complaint
            },
            None => complaint,
        };
        complaints.into_iter().map(say).collect()
    }
}

/// A key of whatever type.
pub(crate) trait AnyKey: Sync {
    fn name(&self) -> &'static str;
    fn facts(&self) -> &Facts;
    fn type_name(&self) -> &'static str;
    /// The range of its values, in words.
    fn range(&self) -> Option<String>;
    /// The default in TOML; empty if there is none, or none that is fixed.
    fn default_text(&self) -> String;
    /// The value in TOML, or everything that is wrong with it.
    fn check(&self, raw: &Raw<'_>) -> Result<String, Vec<Complaint>>;
    /// Whether a wrong value is wrong only in part.
    fn is_salvaged(&self, raw: &Raw<'_>) -> bool;
    fn schema(&self) -> Json;
}

impl<T: Setting> AnyKey for Key<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn type_name(&self) -> &'static str {
        T::TYPE
    }

    fn range(&self) -> Option<String> {
        self.bounds
            .map(|[least, most]| format!("from {} to {}", least.show(), most.show()))
    }

    fn default_text(&self) -> String {
        if self.facts.required.is_some() {
            String::new()
        } else {
            (self.default)().show()
        }
    }

    fn check(&self, raw: &Raw<'_>) -> Result<String, Vec<Complaint>> {
        let value = T::read(raw).map_err(|complaints| self.in_its_range(complaints))?;
        if let Some(([least, most], range)) = self.bounds.zip(self.range())
            && !value.is_between(least, most)
        {
            let complaint = Complaint::new(format!("{} is not {range}", value.show()));
            let span = if let Raw::Toml(value) = raw {
                Some(value.span())
            } else {
                None
            };
            return Err(vec![Complaint { span, ..complaint }]);
        }
        Ok(value.show())
    }

    fn is_salvaged(&self, raw: &Raw<'_>) -> bool {
        T::salvage(raw).is_some()
    }

    fn schema(&self) -> Json {
        let mut schema = T::schema();
        if let Json::Object(fields) = &mut schema {
            fields.insert("description".into(), json!(self.facts.doc));
            // Of numbers the bounds are part of the schema; of durations and sizes they are not expressible.
            if let Some([least, most]) = self.bounds
                && fields.get("type") == Some(&json!("integer"))
            {
                fields.insert(
                    "minimum".into(),
                    serde_json::from_str(&least.show()).unwrap_or_default(),
                );
                fields.insert("maximum".into(), serde_json::from_str(&most.show()).unwrap_or_default());
            }
            // The default's TOML is JSON too, for everything but tables.
            if let Ok(default) = serde_json::from_str::<Json>(&self.default_text()) {
                fields.insert("default".into(), default);
            }
        }
        schema
    }
}

/// Something that may stand in a section.
#[derive(Clone, Copy)]
pub(crate) enum Node {
    Leaf(&'static dyn AnyKey),
    Section(&'static Section),
}

impl Node {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Leaf(key) => key.name(),
            Self::Section(section) => section.name,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often a section stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is there, with its defaults, whether the file has it or not.
    Always,
    /// It is there where the file has it.
    Optional,
    /// Its children stand once below each name that the file gives: `services.NAME`, `schedules.NAME`.
    Named,
}

/// A table of the file.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) presence: Presence,
    pub(crate) children: &'static [Node],
}

impl Section {
    pub(crate) fn child(&self, name: &str) -> Option<Node> {
        self.children.iter().copied().find(|node| node.name() == name)
    }

    /// Every key below, with its path; `NAME` stands for a name.
    pub(crate) fn keys(&self, path: &str, found: &mut Vec<(String, &'static dyn AnyKey)>) {
        for node in self.children {
            match node {
                Node::Leaf(key) => found.push((join(path, key.name()), *key)),
                Node::Section(section) => {
                    let below = join(path, section.name);
                    let below = if section.presence == Presence::Named {
                        join(&below, NAME)
                    } else {
                        below
                    };
                    section.keys(&below, found);
                }
            }
        }
    }
}

/// Stands for any service's name where a path is that of a kind of key.
pub(crate) const NAME: &str = "NAME";

pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The variable of the environment that is named after a key.
pub(crate) fn variable_of(path: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", upper(path))
}

/// A name or a path as it stands in the name of a variable.
fn upper(text: &str) -> String {
    let upper = text.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    });
    upper.collect()
}

/// What a key's sibling has to be, in TOML: `kind = "a" or "b"`.
pub(crate) fn condition(sibling: &str, values: &[&str]) -> String {
    let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
    format!("{sibling} = {}", values.join(" or "))
}

pub(crate) const VARIABLE_PREFIX: &str = "WHARF_";
