//! From what was given (file, environment, flags) to one value for each key of the table: unknown keys are refused, each value is
//! read by its own type, and the highest source wins. What values mean together is for `rules`.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};
use toml::de::DeValue;
use wharf_domain::{Code, ServiceName};

use crate::{
    Problem, Problems, Source,
    document::{Document, Table, Value},
    keys::{ROOT, service},
    resolved::{Entry, Resolved},
    setting::{Complaint, Raw, quoted, shown},
    suggest,
    table::{AnyKey, NAME, Node, Presence, Section, VARIABLE_PREFIX, Variable, join, variable_of},
};

/// Everything that a configuration is made from.
pub(crate) struct Inputs<'a> {
    pub(crate) file: &'a Document<'a>,
    pub(crate) folder: PathBuf,
    /// The services that Wharf brings along.
    pub(crate) built_in: &'a Document<'a>,
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// Options of the command line, by their names.
    pub(crate) flags: &'a BTreeMap<&'static str, String>,
}

pub(crate) fn resolve(inputs: Inputs<'_>) -> Resolved<'_> {
    let resolved = Resolved {
        entries: BTreeMap::new(),
        sections: BTreeSet::new(),
        no_sections: BTreeSet::new(),
        services: Vec::new(),
        file: inputs.file,
        folder: inputs.folder,
        problems: Problems::default(),
    };
    let mut walk = Walk {
        resolved,
        built_in: inputs.built_in,
        environment: inputs.environment,
        flags: inputs.flags,
        variables: BTreeMap::new(),
    };
    walk.section(&ROOT, "", inputs.file, Some(inputs.file.root()));
    walk.unknown_variables();
    walk.resolved
}

/// What Kubernetes adds to the name of a service, in the variables that it sets in every container: with a service that is called
/// `wharf-server` there is a `WHARF_SERVER_SERVICE_HOST`, which nobody misspelt.
const PLATFORM_TAILS: &[&str] = &["SERVICE_HOST", "SERVICE_PORT", "PORT"];

struct Walk<'a> {
    resolved: Resolved<'a>,
    built_in: &'a Document<'a>,
    environment: &'a BTreeMap<String, String>,
    flags: &'a BTreeMap<&'static str, String>,
    /// The variables that are named after keys, and the keys.
    variables: BTreeMap<String, String>,
}

impl<'a> Walk<'a> {
    /// Reads a section that stands at `path`; `table` is what the document has of it.
    fn section(
        &mut self,
        section: &'static Section,
        path: &str,
        document: &'a Document<'a>,
        table: Option<&'a Table<'a>>,
    ) {
        for key in table.into_iter().flat_map(Table::keys) {
            if section.child(key.get_ref()).is_none() {
                self.unknown(section, path, document.source(&key.span()), key.get_ref());
            }
        }
        for node in section.children {
            let value = table.and_then(|table| table.get(node.name()));
            match node {
                Node::Leaf(key) => self.leaf(*key, path, document, value),
                Node::Section(inner) => {
                    let path = join(path, inner.name);
                    let table = value.and_then(|value| self.table(&path, document, value));
                    match inner.presence {
                        Presence::Named => self.services(inner, &path, document, table),
                        Presence::Optional if table.is_none() => {}
                        Presence::Optional | Presence::Always => {
                            self.resolved.sections.insert(path.clone());
                            self.section(inner, &path, document, table);
                        }
                    }
                }
            }
        }
    }

    /// The services of the file, and those that Wharf brings along.
    fn services(
        &mut self,
        section: &'static Section,
        path: &str,
        document: &'a Document<'a>,
        table: Option<&'a Table<'a>>,
    ) {
        for (name, value) in table.into_iter().flatten() {
            let below = join(path, &plain(name.get_ref()));
            let Some(table) = self.table(&below, document, value) else {
                continue;
            };
            match name.get_ref().parse::<ServiceName>() {
                Ok(service) => self.resolved.services.push(service),
                Err(failure) => {
                    let complaint = Complaint {
                        span: Some(name.span()),
                        hint: failure.hint,
                        ..Complaint::new(failure.message)
                    };
                    self.complain(&below, document, &Source::Default, complaint);
                    continue;
                }
            }
            self.section(section, &below, document, Some(table));
        }
        let built_in = self
            .built_in
            .root()
            .get(section.name)
            .and_then(|services| services.get_ref().as_table());
        for (name, value) in built_in.into_iter().flatten() {
            if let (Some(definition), Ok(service)) = (value.get_ref().as_table(), name.get_ref().parse::<ServiceName>())
                && table.is_none_or(|table| !replaces_built_in(table, service.as_str()))
            {
                let below = join(path, service.as_str());
                self.resolved.services.push(service);
                self.section(section, &below, self.built_in, Some(definition));
            }
        }
    }

    /// What is a table, or a problem.
    fn table(&mut self, path: &str, document: &'a Document<'a>, value: &'a Value<'a>) -> Option<&'a Table<'a>> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(table);
        }
        let complaint = Complaint {
            span: Some(value.span()),
            ..Complaint::new("expected a section")
        };
        let hint = format!("write [{path}] and its keys below, or {{ key = value }}");
        self.complain(path, document, &Source::Default, complaint.hint(hint));
        self.resolved.no_sections.insert(path.to_owned());
        None
    }

    /// Finds the value of a key: flag, environment, file, default.
    fn leaf(
        &mut self,
        key: &'static dyn AnyKey,
        section: &str,
        document: &'a Document<'a>,
        value: Option<&'a Value<'a>>,
    ) {
        let path = join(section, key.name());
        let facts = key.facts();
        let flag = facts
            .flag
            .and_then(|flag| Some((Source::Flag { flag: flag.to_owned() }, self.flags.get(flag)?.as_str())));
        let flag = flag.map(|(source, text)| (source, Raw::Text(Cow::Borrowed(text))));
        let named = self.variable_named_after(key, &path);
        let other = facts
            .variable
            .and_then(|variable| self.variable(variable).map(|found| (variable.below_file, found)));
        let (below, above) = match other {
            Some((true, found)) => (Some(found), None),
            Some((false, found)) => (None, Some(found)),
            None => (None, None),
        };
        let in_file = value.map(|value| (document.source(&value.span()), Raw::Toml(value)));

        let mut entry = Entry {
            key,
            raw: None,
            source: Source::Default,
            shown: key.default_text(),
            sound: true,
            note: None,
        };
        let mut found = false;
        // All are checked, also those that a higher one outranks: a wrong value is wrong wherever it stands.
        for (source, raw) in [flag, named, above, in_file, below].into_iter().flatten() {
            let checked = key.check(&raw).map_err(|complaints| {
                for complaint in complaints {
                    self.complain(&path, document, &source, complaint);
                }
            });
            if !found {
                found = true;
                entry.sound = checked.is_ok() || key.is_salvaged(&raw);
                entry.shown = checked.unwrap_or_else(|()| key.default_text());
                (entry.source, entry.raw) = (source, Some(raw));
            }
        }
        self.check_condition(section, &path, document, &mut entry);
        if let Some(example) = facts.required
            && !found
        {
            entry.sound = false;
            let complaint = Complaint::new("is missing").hint(format!("add {} = {example}", key.name()));
            let source = document.locate(path.split('.'));
            self.resolved.problems.push(problem(&path, source, complaint));
        }
        self.resolved.entries.insert(path, entry);
    }

    /// A key that has a meaning only beside a certain value of its sibling, which stands before it in the table.
    fn check_condition(&mut self, section: &str, path: &str, document: &Document<'_>, entry: &mut Entry<'a>) {
        let Some((sibling, value)) = entry.key.facts().when else {
            return;
        };
        let Some(chosen) = self.resolved.entries.get(&join(section, sibling)) else {
            return;
        };
        if !chosen.sound || (chosen.raw.is_some() && chosen.shown == quoted(value)) {
            return;
        }
        if entry.raw.is_some() {
            let complaint = Complaint {
                span: match &entry.raw {
                    Some(Raw::Toml(value)) => Some(value.span()),
                    _ => None,
                },
                ..Complaint::new(format!("this has a meaning only with {sibling} = \"{value}\""))
            };
            let source = entry.source.clone();
            self.complain(
                path,
                document,
                &source,
                complaint.hint(format!("add {sibling} = \"{value}\", or take it out")),
            );
        }
        entry.shown.clear();
        entry.note = Some(format!("only with {sibling} = \"{value}\""));
    }

    /// The variable that is named after a key, if it is set.
    fn variable_named_after(&mut self, key: &dyn AnyKey, path: &str) -> Option<(Source, Raw<'a>)> {
        let name = variable_of(path);
        let given = self
            .environment
            .get(&name)
            .filter(|text| !text.is_empty())
            .map(String::as_str);
        let source = Source::Environment { variable: name.clone() };
        let earlier = self.variables.insert(name.clone(), path.to_owned());
        let text = given?;
        if key.facts().file_only {
            let complaint = Complaint::new("this stands only in the file").hint(format!("unset {name}"));
            self.resolved.problems.push(problem(path, source, complaint));
            return None;
        }
        if let Some(earlier) = earlier {
            let complaint =
                Complaint::new(format!("{name} means {earlier} as well")).hint("set both in the file instead");
            self.resolved.problems.push(problem(path, source, complaint));
            return None;
        }
        Some((source, Raw::Text(Cow::Borrowed(text))))
    }

    /// A variable with a name of its own, if it is set.
    fn variable(&self, variable: Variable) -> Option<(Source, Raw<'a>)> {
        let text = self.environment.get(variable.name).filter(|text| !text.is_empty())?;
        let bare = text.bytes().all(|b| b.is_ascii_digit());
        let text = if bare {
            Cow::Owned(format!("{text}{}", variable.unit))
        } else {
            Cow::Borrowed(text.as_str())
        };
        Some((
            Source::Environment {
                variable: variable.name.to_owned(),
            },
            Raw::Text(text),
        ))
    }

    /// Variables that were meant to be settings. Only what is nearly one is refused: others are none of ours.
    fn unknown_variables(&mut self) {
        for name in self
            .environment
            .keys()
            .filter(|name| !self.variables.contains_key(*name))
        {
            let Some(tail) = name.strip_prefix(VARIABLE_PREFIX) else {
                continue;
            };
            let Some((section, tail)) = tail.split_once('_') else {
                continue;
            };
            if PLATFORM_TAILS.iter().any(|start| tail.starts_with(start)) {
                continue;
            }
            let start = format!("{VARIABLE_PREFIX}{section}_");
            let known = self.variables.keys().filter_map(|known| known.strip_prefix(&start));
            if let Some(meant) = suggest::nearest(tail, known) {
                let meant = format!("{start}{meant}");
                let path = self.variables.get(&meant).cloned().unwrap_or_default();
                let complaint = Complaint::new("unknown variable").hint(format!("did you mean {meant}?"));
                self.resolved.problems.push(problem(
                    &path,
                    Source::Environment { variable: name.clone() },
                    complaint,
                ));
            }
        }
    }

    fn unknown(&mut self, section: &'static Section, path: &str, source: Source, name: &str) {
        let hint = if let Some(near) = suggest::nearest(name, section.children.iter().map(|node| node.name())) {
            format!("did you mean \"{near}\"?")
        } else if let Some(elsewhere) = elsewhere(name) {
            format!("did you mean {elsewhere}?")
        } else {
            let known: Vec<_> = section.children.iter().map(|node| node.name()).collect();
            format!("known here: {}", known.join(", "))
        };
        self.resolved.problems.push(problem(
            &join(path, &plain(name)),
            source,
            Complaint::new("unknown key").hint(hint),
        ));
    }

    fn complain(&mut self, path: &str, document: &Document<'_>, source: &Source, complaint: Complaint) {
        let source = complaint
            .span
            .as_ref()
            .map_or_else(|| source.clone(), |span| document.source(span));
        let key = complaint
            .within
            .as_ref()
            .map_or_else(|| path.to_owned(), |name| join(path, &plain(name)));
        self.resolved.problems.push(problem(&key, source, complaint));
    }
}

fn problem(key: &str, source: Source, complaint: Complaint) -> Problem {
    Problem {
        key: key.to_owned(),
        source,
        message: complaint.message,
        hint: complaint.hint,
        code: Code::ConfigInvalid,
    }
}

/// The file's own services for tenants, or one of the same name, take the place of a built-in one.
fn replaces_built_in(services: &Table<'_>, name: &str) -> bool {
    let is_for_tenants = |value: &Value<'_>| {
        let tenant = value
            .get_ref()
            .as_table()
            .and_then(|table| table.get(service::TENANT.name));
        tenant.and_then(|value| value.get_ref().as_bool()) == Some(true)
    };
    services.contains_key(name) || services.iter().any(|(_, value)| is_for_tenants(value))
}

/// The path of a key that has this name somewhere else in the table.
fn elsewhere(name: &str) -> Option<String> {
    let mut keys = Vec::new();
    ROOT.keys("", &mut keys);
    let found = keys.into_iter().find(|(_, key)| key.name() == name);
    found.map(|(path, _)| path).or_else(|| {
        let service = service::SERVICES.child(name)?;
        Some(format!("{}.{NAME}.{}", service::SERVICES.name, service.name()))
    })
}

/// A name as it stands in a path: quoted where TOML would have to.
fn plain(name: &str) -> String {
    let bare = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { name.to_owned() } else { shown(name) }
}
