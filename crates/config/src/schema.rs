//! The JSON schema of `wharf.toml`, for editors: the table of keys in another form.

use serde_json::{Map, Value as Json, json};

use crate::{
    keys::ROOT,
    table::{Node, Presence, Section},
};

/// The schema, JSON Schema 2020-12. It knows what the file alone can say; what depends on other settings is for `wharf config check`.
#[must_use]
pub fn schema() -> Json {
    let mut schema = section(&ROOT);
    if let Json::Object(fields) = &mut schema {
        fields.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        fields.insert("title".into(), json!("wharf.toml"));
        fields.insert("description".into(), json!("The configuration of Wharf."));
    }
    schema
}

fn section(section: &Section) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut conditions = Map::new();
    for node in section.children {
        let schema = match node {
            Node::Leaf(key) => {
                let facts = key.facts();
                if facts.required.is_some() {
                    required.push(key.name());
                }
                if let Some((sibling, values)) = facts.when {
                    let condition = json!({"properties": {sibling: {"enum": values}}, "required": [sibling]});
                    conditions.insert(key.name().to_owned(), condition);
                }
                key.schema()
            }
            Node::Section(inner) if inner.presence == Presence::Named => json!({
                "type": "object",
                "description": inner.doc,
                "propertyNames": {"pattern": "^[a-z]([a-z0-9]|-(?!-))*$", "maxLength": 63},
                "additionalProperties": self::section(inner),
            }),
            Node::Section(inner) => self::section(inner),
        };
        properties.insert(node.name().to_owned(), schema);
    }
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let Json::Object(fields) = &mut schema {
        if section.presence != Presence::Named {
            fields.insert("description".into(), json!(section.doc));
        }
        if !required.is_empty() {
            fields.insert("required".into(), json!(required));
        }
        if !conditions.is_empty() {
            fields.insert("dependentSchemas".into(), Json::Object(conditions));
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schema of what stands at a path.
    fn at<'s>(schema: &'s Json, path: &[&str]) -> &'s Json {
        path.iter().fold(schema, |schema, name| {
            match schema.pointer(&format!("/properties/{name}")) {
                Some(inner) => inner,
                None => &schema["additionalProperties"],
            }
        })
    }

    #[test]
    fn every_key_of_the_table_is_in_the_schema_with_its_meaning() {
        let schema = schema();
        let mut keys = Vec::new();
        ROOT.keys("", &mut keys);
        assert!(keys.len() > 70);
        for (path, key) in keys {
            let found = at(&schema, &path.split('.').collect::<Vec<_>>());
            assert_eq!(found["description"], json!(key.facts().doc), "{path}");
        }
    }

    #[test]
    fn bounds_defaults_and_conditions_are_part_of_it() {
        let schema = schema();
        assert_eq!(at(&schema, &["server", "max_instances"])["maximum"], 1_000_000);
        assert_eq!(at(&schema, &["server", "listen"])["default"], "127.0.0.1:8080");
        assert_eq!(
            at(&schema, &["platform", "kind"])["enum"],
            json!(["process", "docker", "ecs"])
        );
        let port = at(&schema, &["services", "NAME", "port"]);
        assert_eq!(
            port["dependentSchemas"]["range"]["properties"]["kind"]["enum"],
            json!(["static"])
        );
        assert_eq!(
            at(&schema, &["services", "NAME", "process"])["required"],
            json!(["command"])
        );
        assert_eq!(schema["additionalProperties"], false);
    }
}
