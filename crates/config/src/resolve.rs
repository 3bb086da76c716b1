//! From what was given (file, environment, flags) to one value for each key of the table: unknown keys are refused, each value is
//! read by its own type, and the highest source wins. What values mean together is for `rules`.

mod named;
mod services;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};
use toml::de::DeValue;
use wharf_domain::Code;

use crate::{
    Machine, Problem, Problems, Source,
    document::{Document, Table, Value},
    keys::{ROOT, ecs, schedule, service, system},
    resolved::{Entry, Resolved},
    setting::{Complaint, Raw, quoted, shown},
    suggest,
    table::{AnyKey, NAME, Node, Presence, Section, VARIABLE_PREFIX, Variable, condition, join, variable_of},
    values::PlatformKind,
};

/// Everything that a configuration is made from.
pub(crate) struct Inputs<'a> {
    pub(crate) file: &'a Document<'a>,
    pub(crate) folder: PathBuf,
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// Options of the command line, by their names.
    pub(crate) flags: &'a BTreeMap<&'static str, String>,
    pub(crate) machine: Machine,
}

pub(crate) fn resolve(inputs: Inputs<'_>) -> Resolved<'_> {
    let resolved = Resolved {
        entries: BTreeMap::new(),
        sections: BTreeSet::new(),
        no_sections: BTreeSet::new(),
        services: Vec::new(),
        schedules: Vec::new(),
        named: BTreeMap::new(),
        template: None,
        platform: PlatformKind::Process,
        machine: inputs.machine,
        file: inputs.file,
        folder: inputs.folder,
        problems: Problems::default(),
    };
    let mut walk = Walk {
        resolved,
        environment: inputs.environment,
        flags: inputs.flags,
        variables: BTreeMap::new(),
    };
    let scope = Scope {
        document: inputs.file,
        documented: Documented::All,
        outside: false,
    };
    walk.section(&ROOT, "", scope, Some(inputs.file.root()));
    walk.unknown_variables();
    walk.resolved
}

/// What Kubernetes adds to the name of a service, in the variables that it sets in every container: with a service that is called
/// `wharf-server` there is a `WHARF_SERVER_SERVICE_HOST`, which nobody misspelt.
const PLATFORM_TAILS: &[&str] = &["SERVICE_HOST", "SERVICE_PORT", "PORT"];

/// Which documented variables count in a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Documented {
    All,
    /// Those with the service's name: the general ones would undo what the service says elsewhere.
    OfService,
    /// None: the section is another platform's.
    No,
}

/// Where a part of the walk is.
#[derive(Clone, Copy)]
struct Scope<'a> {
    document: &'a Document<'a>,
    documented: Documented,
    /// A section that the file leaves out is there all the same if a variable supplies something of it.
    outside: bool,
}

struct Walk<'a> {
    resolved: Resolved<'a>,
    environment: &'a BTreeMap<String, String>,
    flags: &'a BTreeMap<&'static str, String>,
    /// The variables that are named after keys, and the keys.
    variables: BTreeMap<String, String>,
}

impl<'a> Scope<'a> {
    /// That of a service in this document.
    const fn of(document: &'a Document<'a>) -> Self {
        Self {
            document,
            documented: Documented::All,
            outside: false,
        }
    }

    fn honours(&self, variable: &Variable) -> bool {
        match self.documented {
            Documented::All => true,
            Documented::OfService => variable.of_service,
            Documented::No => false,
        }
    }
}

impl<'a> Walk<'a> {
    /// Reads a section that stands at `path`; `table` is what the document has of it.
    fn section(&mut self, section: &'static Section, path: &str, scope: Scope<'a>, table: Option<&'a Table<'a>>) {
        for key in table.into_iter().flat_map(Table::keys) {
            if section.child(key.get_ref()).is_none() {
                self.unknown(section, path, scope.document.source(&key.span()), key.get_ref());
            }
        }
        for node in section.children {
            let value = table.and_then(|table| table.get(node.name()));
            match node {
                Node::Leaf(key) => self.leaf(*key, path, scope, value),
                Node::Section(inner) => {
                    let scope = self.scope_of(section, inner, path, scope, value.is_some());
                    let path = join(path, inner.name);
                    let table = value.and_then(|value| self.table(&path, scope.document, value));
                    match inner.presence {
                        Presence::Named if std::ptr::eq(*inner, &raw const schedule::SCHEDULES) => {
                            self.named(inner, &path, scope.document, table, |resolved, name| {
                                resolved.schedules.push(name);
                            });
                        }
                        Presence::Named if std::ptr::eq(*inner, &raw const service::SERVICES) => {
                            self.services(inner, &path, scope.document, table);
                        }
                        Presence::Named => self.named(inner, &path, scope.document, table, |resolved, name| {
                            resolved.named.entry(inner.name).or_default().push(name);
                        }),
                        Presence::Optional if table.is_none() && !self.is_supplied(inner, &path, scope) => {}
                        Presence::Optional | Presence::Always => {
                            self.resolved.sections.insert(path.clone());
                            self.section(inner, &path, scope, table);
                        }
                    }
                }
            }
        }
        if std::ptr::eq(section, &raw const system::PLATFORM) {
            self.choose_platform();
        }
    }

    /// The platform decides on which section of a service is in force, and so comes before the services.
    fn choose_platform(&mut self) {
        self.resolved.platform = if self.resolved.machine.lambda {
            self.resolved.force(
                "platform.kind",
                &PlatformKind::Ecs,
                "AWS Lambda starts tasks on ECS only",
            );
            PlatformKind::Ecs
        } else {
            self.resolved.get(system::PLATFORM.name, &system::KIND)
        };
    }

    /// What counts in a section within another.
    fn scope_of(
        &self,
        around: &'static Section,
        inner: &'static Section,
        path: &str,
        scope: Scope<'a>,
        in_file: bool,
    ) -> Scope<'a> {
        if std::ptr::eq(inner, &raw const ecs::ECS) {
            let in_force = self.resolved.platform == PlatformKind::Ecs;
            return Scope {
                documented: if in_force { Documented::All } else { Documented::No },
                outside: in_force,
                ..scope
            };
        }
        if std::ptr::eq(inner, &raw const ecs::ROUTE) && !in_file && scope.documented == Documented::All {
            let service = path.strip_suffix(around.name).unwrap_or(path).trim_end_matches('.');
            return Scope {
                documented: if self.is_open(service) {
                    Documented::All
                } else {
                    Documented::OfService
                },
                ..scope
            };
        }
        scope
    }

    /// Whether a service leaves it open what brings requests to it, so that a target group for all may.
    fn is_open(&self, service: &str) -> bool {
        let route = join(service, service::ROUTE.name);
        let has_route = service::ROUTE.children.iter().any(|node| {
            let entry = self.resolved.entries.get(&join(&route, node.name()));
            entry.is_some_and(|entry| entry.raw.is_some())
        });
        !has_route && !self.resolved.get(service, &service::TENANT)
    }

    /// Whether the environment has something of a section that the file leaves out.
    fn is_supplied(&self, section: &'static Section, path: &str, scope: Scope<'a>) -> bool {
        let is_set = |name: &str| self.environment.get(name).is_some_and(|text| !text.is_empty());
        scope.outside
            && section.children.iter().any(|node| match node {
                Node::Section(inner) => self.is_supplied(inner, &join(path, inner.name), scope),
                Node::Leaf(key) => {
                    let path = join(path, key.name());
                    let mut documented = key.facts().variables.iter().filter(|variable| scope.honours(variable));
                    is_set(&variable_of(&path)) || documented.any(|variable| is_set(&variable.name_at(&path)))
                }
            })
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
    fn leaf(&mut self, key: &'static dyn AnyKey, section: &str, scope: Scope<'a>, value: Option<&'a Value<'a>>) {
        let document = scope.document;
        let path = join(section, key.name());
        let facts = key.facts();
        let flag = facts
            .flag
            .and_then(|flag| Some((Source::Flag { flag: flag.to_owned() }, self.flags.get(flag)?.as_str())));
        let flag = flag.map(|(source, text)| (source, Raw::Text(Cow::Borrowed(text))));
        let named = self.variable_named_after(key, &path);
        let documented = |below_file: bool| {
            let variables = facts.variables.iter();
            let variables = variables.filter(|variable| variable.below_file == below_file && scope.honours(variable));
            variables
                .filter_map(|variable| self.variable(*variable, &path))
                .collect::<Vec<_>>()
        };
        let (above, below) = (documented(false), documented(true));
        let in_file = value.map(|value| (document.source(&value.span()), Raw::Toml(value)));

        let mut entry = Entry {
            key,
            raw: None,
            source: Source::Default,
            is_documented: false,
            shown: key.default_text(),
            sound: true,
            note: None,
        };
        let mut found = false;
        let outranking = flag.into_iter().chain(named).map(|given| (given, false));
        let documented = |given| (given, true);
        let in_order = outranking
            .chain(above.into_iter().map(documented))
            .chain(in_file.map(|given| (given, false)))
            .chain(below.into_iter().map(documented));
        // All are checked, also those that a higher one outranks: a wrong value is wrong wherever it stands.
        for ((source, raw), is_documented) in in_order {
            let checked = key.check(&raw).map_err(|complaints| {
                for complaint in complaints {
                    self.complain(&path, document, &source, complaint);
                }
            });
            if !found {
                found = true;
                entry.sound = checked.is_ok() || key.is_salvaged(&raw);
                entry.shown = checked.unwrap_or_else(|()| key.default_text());
                (entry.source, entry.raw, entry.is_documented) = (source, Some(raw), is_documented);
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

    /// A key that has a meaning only beside certain values of its sibling, which stands before it in the table.
    fn check_condition(&mut self, section: &str, path: &str, document: &Document<'_>, entry: &mut Entry<'a>) {
        let Some((sibling, values)) = entry.key.facts().when else {
            return;
        };
        let Some(chosen) = self.resolved.entries.get(&join(section, sibling)) else {
            return;
        };
        if !chosen.sound || (chosen.raw.is_some() && values.iter().any(|value| chosen.shown == quoted(value))) {
            return;
        }
        let condition = condition(sibling, values);
        // A documented variable is there for every service, and decides for those that it fits; what it outranks is no slip either.
        if entry.raw.is_some() && !entry.is_documented && !chosen.is_documented {
            let complaint = Complaint {
                span: match &entry.raw {
                    Some(Raw::Toml(value)) => Some(value.span()),
                    _ => None,
                },
                ..Complaint::new(format!("this has a meaning only with {condition}"))
            };
            let source = entry.source.clone();
            self.complain(
                path,
                document,
                &source,
                complaint.hint(format!("add {condition}, or take it out")),
            );
        }
        entry.raw = None;
        entry.source = Source::Default;
        entry.shown.clear();
        entry.note = Some(format!("only with {condition}"));
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
    fn variable(&self, variable: Variable, path: &str) -> Option<(Source, Raw<'a>)> {
        let name = variable.name_at(path);
        let text = self.environment.get(&name).filter(|text| !text.is_empty())?;
        let is_bare = text.bytes().all(|b| b.is_ascii_digit());
        let text = if !variable.implies.is_empty() {
            Cow::Borrowed(variable.implies)
        } else if is_bare && !variable.unit.is_empty() {
            Cow::Owned(format!("{text}{}", variable.unit))
        } else {
            Cow::Borrowed(text.as_str())
        };
        Some((Source::Environment { variable: name }, Raw::Text(text)))
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
