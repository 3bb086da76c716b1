//! The stack that is deployed, held against what this crate calls and where it keeps things: `deploy/template.yaml` is written by hand.

use std::collections::BTreeSet;
use wharf_aws::{
    operations::{Operation, Part},
    store::tables::{Attribute, PORTS, REGISTRY, Table, WHARF},
};

const TEMPLATE: &str = include_str!("../../../../deploy/template.yaml");

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("there is no {start}"));
    rest.split_once(end).map_or(rest, |(inside, _)| inside)
}

#[test]
fn the_function_may_do_what_it_calls_and_nothing_else() {
    let policy = between(TEMPLATE, "# >>> operations\n", "# <<< operations\n");
    // An action is written in lists of one, of several in a line, and of several below each other.
    let words = policy
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| {
            let line = line.trim_start();
            let list = line
                .strip_prefix("Action:")
                .or_else(|| line.strip_prefix("- ").filter(|item| !item.contains(' ')));
            list.unwrap_or_default().split(['[', ']', ',', ' '])
        });
    let allowed: BTreeSet<&str> = words.filter(|word| word.contains(':') && !word.contains('*')).collect();
    let called: BTreeSet<&str> = Operation::ALL
        .iter()
        .filter(|operation| operation.row().part != Part::Doctor)
        .flat_map(|operation| operation.row().grants)
        .map(|grant| grant.action)
        .collect();
    assert_eq!(allowed, called);
}

/// A table as the template writes it.
fn written(table: &Table) -> Vec<String> {
    let pair = |name: &str, kind: &str| format!("{{ AttributeName: {name}, KeyType: {kind} }}");
    let keys = |partition: Attribute, sort: Option<Attribute>| {
        let sort = sort
            .map(|sort| format!(", {}", pair(sort.name(), "RANGE")))
            .unwrap_or_default();
        format!("KeySchema: [{}{sort}]", pair(partition.name(), "HASH"))
    };
    let mut lines = vec![keys(table.partition, table.sort)];
    let mut attributes = vec![table.partition];
    attributes.extend(table.sort);
    for index in table.indexes {
        attributes.extend([index.partition, index.sort]);
        lines.push(format!("IndexName: {}\n", index.name));
        lines.push(keys(index.partition, Some(index.sort)));
        lines.push(if index.includes.is_empty() {
            "Projection: { ProjectionType: KEYS_ONLY }".to_owned()
        } else {
            format!(
                "Projection: {{ ProjectionType: INCLUDE, NonKeyAttributes: [{}] }}",
                index.includes.join(", ")
            )
        });
    }
    lines.extend(attributes.iter().map(|attribute| {
        format!(
            "{{ AttributeName: {}, AttributeType: {} }}",
            attribute.name(),
            attribute.kind()
        )
    }));
    if let Some(attribute) = table.time_to_live {
        lines.push(format!(
            "TimeToLiveSpecification: {{ AttributeName: {attribute}, Enabled: true }}"
        ));
    }
    if table.point_in_time_recovery {
        lines.push("PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true }".to_owned());
    }
    lines
}

#[test]
fn the_stacks_tables_are_those_that_the_store_makes() {
    for (name, table) in [("Table", &WHARF), ("RegistryTable", &REGISTRY), ("PortsTable", &PORTS)] {
        let section = between(TEMPLATE, &format!("\n  {name}:\n"), "\n\n");
        for line in written(table) {
            assert!(section.contains(&line), "{name} lacks {line}");
        }
        assert_eq!(section.matches("IndexName:").count(), table.indexes.len(), "{name}");
        let attributes: BTreeSet<_> = section.split("AttributeType").collect();
        assert_eq!(
            attributes.len() - 1,
            written(table)
                .iter()
                .filter(|line| line.contains("AttributeType"))
                .collect::<BTreeSet<_>>()
                .len(),
            "{name} has no attribute that nothing is keyed by"
        );
    }
}
