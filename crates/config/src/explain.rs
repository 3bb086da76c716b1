//! What a key is, what its value is, and where that came from.

use serde::Serialize;
use std::{collections::BTreeMap, fmt};
use wharf_domain::{Code, Failure};

use crate::{
    Config, Source,
    keys::ROOT,
    resolved::{Entry, Resolved},
    suggest,
    table::{AnyKey, NAME, Node, Presence, condition, variable_of},
};

/// The answer of `wharf config explain KEY`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub key: String,
    /// In TOML; `None` where there is none.
    pub value: Option<String>,
    #[serde(flatten)]
    pub source: Source,
    /// In TOML, or in words (and then in Markdown) where it depends on other settings; `None` where there is none.
    pub default: Option<String>,
    /// The type in words, with its range.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What it is for, in Markdown.
    pub doc: String,
    /// What can set it beside the file.
    pub variables: Vec<String>,
    pub flag: Option<String>,
    /// Why the value has no effect, if it has none.
    pub note: Option<String>,
}

/// What an explanation is made of, when somebody asks: nobody does at most starts.
#[derive(Clone)]
pub(crate) struct Told {
    key: &'static dyn AnyKey,
    value: String,
    source: Source,
    note: Option<String>,
}

impl Told {
    fn explain(&self, path: &str) -> Explanation {
        let explanation = Explanation::new(path, self.key);
        Explanation {
            value: (!self.value.is_empty()).then(|| self.value.clone()),
            source: self.source.clone(),
            note: self.note.clone(),
            ..explanation
        }
    }
}

impl PartialEq for Told {
    /// A path has one key.
    fn eq(&self, other: &Self) -> bool {
        (&self.value, &self.source, &self.note) == (&other.value, &other.source, &other.note)
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.value, self.source)
    }
}

impl Explanation {
    fn new(path: &str, key: &dyn AnyKey) -> Self {
        let facts = key.facts();
        let default = key.default_text();
        let default = facts
            .default_note
            .map(str::to_owned)
            .or_else(|| (!default.is_empty()).then_some(default));
        let range = key.range().map(|range| format!(", {range}")).unwrap_or_default();
        let named = (!facts.file_only).then(|| variable_of(path));
        Self {
            key: path.to_owned(),
            value: None,
            source: Source::Default,
            default,
            type_name: format!("{}{range}", key.type_name()),
            doc: facts.doc.to_owned(),
            variables: named
                .into_iter()
                .chain(facts.variables.iter().map(|variable| variable.name_at(path)))
                .collect(),
            flag: facts.flag.map(str::to_owned),
            note: facts
                .when
                .map(|(sibling, values)| format!("only with {}", condition(sibling, values))),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} = {}", self.key, self.value.as_deref().unwrap_or("(nothing)"))?;
        writeln!(f, "  from     {}", self.source)?;
        if let Some(note) = &self.note {
            writeln!(f, "  note     {note}")?;
        }
        writeln!(f, "  default  {}", self.default.as_deref().unwrap_or("none"))?;
        writeln!(f, "  type     {}", self.type_name)?;
        let others: Vec<_> = self.flag.iter().chain(&self.variables).map(String::as_str).collect();
        if !others.is_empty() {
            writeln!(f, "  also     {}", others.join(", "))?;
        }
        write!(f, "\n{}", self.doc)
    }
}

/// Of every key that has a place in this configuration.
pub(crate) fn explanations(resolved: Resolved<'_>) -> BTreeMap<String, Told> {
    // What only events are laid over is no service that anybody could ask about.
    let template = resolved.template.as_ref().map(|name| format!("services.{name}."));
    let is_told = |(path, _): &(String, _)| template.as_ref().is_none_or(|template| !path.starts_with(template));
    let told = |(path, entry): (String, Entry<'_>)| {
        let told = Told {
            key: entry.key,
            value: entry.shown,
            source: entry.source,
            note: entry.note,
        };
        (path, told)
    };
    resolved.entries.into_iter().filter(is_told).map(told).collect()
}

/// What the table has at a path; any name stands for a service's or a schedule's.
fn find(path: &str) -> Option<Node> {
    let mut node = Node::Section(&ROOT);
    let mut parts = path.split('.');
    while let Some(part) = parts.next() {
        let Node::Section(section) = node else { return None };
        node = section.child(part)?;
        if matches!(node, Node::Section(inner) if inner.presence == Presence::Named) && parts.next().is_none() {
            return Some(node);
        }
    }
    Some(node)
}

impl Config {
    /// All keys that have a place in this configuration, in the order of their names.
    pub fn explanations(&self) -> impl Iterator<Item = Explanation> {
        self.explanations.iter().map(|(path, told)| told.explain(path))
    }

    /// What a key is, what its value is, and where that came from.
    ///
    /// # Errors
    /// `config.invalid`: there is no such key; the hint has the nearest one.
    pub fn explain(&self, key: &str) -> Result<Explanation, Failure> {
        let key = key.trim();
        if let Some(told) = self.explanations.get(key) {
            return Ok(told.explain(key));
        }
        let mut parts = key.split('.');
        let is_configured = match (parts.next(), parts.next()) {
            (_, None | Some(NAME)) => true,
            (Some("services"), Some(name)) => self.services.keys().any(|known| known.as_str() == name),
            (Some("schedules"), Some(name)) => self.schedules.iter().any(|known| known.name.as_str() == name),
            _ => true,
        };
        match find(key) {
            Some(Node::Leaf(leaf)) if is_configured => return Ok(Explanation::new(key, leaf)),
            Some(Node::Section(section)) if is_configured && !key.is_empty() => {
                let below = format!("{key}.");
                let mut names: Vec<_> = self
                    .explanations
                    .keys()
                    .filter_map(|path| path.strip_prefix(&below))
                    .collect();
                if names.is_empty() {
                    names = section.children.iter().map(|node| node.name()).collect();
                }
                return Err(Failure::new(Code::ConfigInvalid, format!("{key} is a section"))
                    .hint(format!("name one of its keys: {}", names.join(", "))));
            }
            _ => {}
        }
        let shown: String = key.chars().filter(|c| !c.is_control()).take(100).collect();
        let failure = Failure::new(Code::ConfigInvalid, format!("no setting is called \"{shown}\""));
        // Sections are known too: a slip in the middle of a path is one in a section's name.
        let sections = self
            .explanations
            .keys()
            .filter_map(|path| path.rsplit_once('.').map(|(section, _)| section));
        let meant = suggest::nearest(key, self.explanations.keys().map(String::as_str))
            .or_else(|| suggest::nearest(key, sections));
        let same_name = || {
            self.explanations
                .keys()
                .find(|path| path.rsplit('.').next() == Some(key))
                .map(String::as_str)
        };
        Err(match meant.or_else(same_name) {
            Some(meant) => failure.hint(format!("did you mean {meant}?")),
            None => failure.hint("docs/configuration.md has all of them"),
        })
    }
}
