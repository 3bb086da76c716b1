//! `docs/configuration.md`: the table of keys as a page, between an introduction and what holds across keys.

use std::fmt::Write as _;

use crate::{
    builtin::STOREFRONT_TEXT,
    keys::ROOT,
    rules::placeholder_table,
    table::{AnyKey, NAME, Node, Presence, Section, condition, join},
};

const HEAD: &str = include_str!("head.md");
const TAIL: &str = include_str!("tail.md");

/// The reference of all settings, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for node in ROOT.children {
        if let Node::Section(section) = node {
            write_section(&mut page, section, section.name);
        }
    }
    let placeholders: String = placeholder_table()
        .iter()
        .fold(String::new(), |mut rows, (place, words)| {
            let words: Vec<_> = words.iter().map(|word| format!("`{{{word}}}`")).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(rows, "| {place} | {} |", words.join(", "));
            rows
        });
    let tail = TAIL
        .replace("<!-- placeholders -->\n", &placeholders)
        .replace("<!-- built in -->\n", STOREFRONT_TEXT);
    page + &tail
}

/// A section, and after it those within it that have keys of their own.
fn write_section(page: &mut String, section: &Section, path: &str) {
    let path = if section.presence == Presence::Named {
        join(path, NAME)
    } else {
        path.to_owned()
    };
    let _ = writeln!(page, "\n## `[{path}]`\n\n{}\n", section.doc);
    let _ = writeln!(page, "| key | type | default | |\n|---|---|---|---|");
    let mut inner = Vec::new();
    for node in section.children {
        match node {
            Node::Leaf(key) => write_key(page, &path, *key),
            Node::Section(below) => {
                let (name, below_path) = (below.name, join(&path, below.name));
                let as_of = twin(below).map(|general| join(&format!("services.{NAME}"), general.name));
                let place = as_of.clone().unwrap_or_else(|| below_path.clone());
                let default = if below.presence == Presence::Optional {
                    "—"
                } else {
                    "its own"
                };
                let _ = writeln!(
                    page,
                    "| `{name}` | a section | {default} | {} See `[{place}]`. |",
                    below.doc
                );
                if as_of.is_none() {
                    inner.push((below, below_path));
                }
            }
        }
    }
    for (below, below_path) in inner {
        write_section(page, below, &below_path);
    }
}

/// The group of a service that has the same keys as this group of a platform's section.
fn twin(section: &Section) -> Option<&'static Section> {
    let names = |section: &Section| section.children.iter().map(|node| node.name()).collect::<Vec<_>>();
    let Some(Node::Section(general)) = crate::keys::service::SERVICES.child(section.name) else {
        return None;
    };
    (section.presence == Presence::Optional && general.presence == Presence::Always && names(section) == names(general))
        .then_some(general)
}

fn write_key(page: &mut String, path: &str, key: &dyn AnyKey) {
    let facts = key.facts();
    let default = match (facts.default_note, key.default_text()) {
        (Some(note), _) => note.to_owned(),
        (None, _) if facts.required.is_some() => "*required*".to_owned(),
        (None, text) if text.is_empty() => "—".to_owned(),
        (None, text) => format!("`{text}`"),
    };
    let range = key
        .range()
        .map(|range| format!(", {}", range.replace('"', "")))
        .unwrap_or_default();
    let mut doc = facts.doc.to_owned();
    if let Some((sibling, values)) = facts.when {
        let _ = write!(doc, " Only with `{}`.", condition(sibling, values));
    }
    if let Some(flag) = facts.flag {
        let _ = write!(doc, " Option `{flag}`.");
    }
    for (below_file, rank) in [
        (false, "which outranks the file"),
        (true, "which counts where the file says nothing"),
    ] {
        let names: Vec<_> = facts
            .variables
            .iter()
            .filter(|variable| variable.below_file == below_file)
            .map(|variable| {
                let unit = if variable.unit == "s" { " in seconds" } else { "" };
                let value = if variable.implies.is_empty() {
                    String::new()
                } else {
                    format!(" (`\"{}\"` where it is set)", variable.implies)
                };
                format!("`{}`{unit}{value}", variable.name_at(path))
            })
            .collect();
        if !names.is_empty() {
            let _ = write!(doc, " Variable {}, {rank}.", names.join(" or "));
        }
    }
    if facts.file_only {
        doc.push_str(" Only in the file.");
    }
    let _ = writeln!(
        page,
        "| `{}` | {}{range} | {default} | {doc} |",
        key.name(),
        key.type_name()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed page is this one. `WHARF_BLESS=1 cargo nextest run -p wharf-config` writes it anew.
    #[test]
    fn the_committed_reference_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let generated = reference();
        if std::env::var_os("WHARF_BLESS").is_some() {
            std::fs::write(path, &generated).expect("docs/configuration.md can be written");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == generated,
            "docs/configuration.md is not what the table of keys says: run this test with WHARF_BLESS=1, and commit it"
        );
    }

    #[test]
    fn no_cell_breaks_its_table() {
        for line in reference().lines().filter(|line| line.starts_with("| `")) {
            assert_eq!(line.matches('|').count(), 5, "{line}");
        }
    }
}
