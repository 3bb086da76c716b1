//! A CloudFormation template as JSON: what YAML writes short (`!Ref X`) as what it stands for (`{"Ref": "X"}`). Nothing of what a template means.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::files::text;

/// A template of `deploy/`.
pub(crate) struct Template {
    pub(crate) body: Value,
}

/// A resource, with the name that the template gives it.
#[derive(Clone, Copy)]
pub(crate) struct Resource<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) whole: &'a Value,
    pub(crate) properties: &'a Value,
}

impl Template {
    pub(crate) fn read(name: &str) -> Self {
        let text = text(name);
        let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self {
            body: json_of(&documents[0]),
        }
    }

    /// The one that `wharf deploy` deploys.
    pub(crate) fn stack() -> Self {
        Self::read("template.yaml")
    }

    pub(crate) fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        let all = self.body["Resources"].as_object().expect("resources");
        all.iter().map(|(name, whole)| Resource {
            name,
            kind: whole["Type"].as_str().expect("a type"),
            whole,
            properties: &whole["Properties"],
        })
    }

    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Resource<'_>> {
        self.resources().filter(|resource| resource.kind == kind).collect()
    }

    pub(crate) fn resource(&self, name: &str) -> Resource<'_> {
        self.resources().find(|resource| resource.name == name).expect(name)
    }

    pub(crate) fn properties(&self, name: &str) -> &Value {
        self.resource(name).properties
    }

    pub(crate) fn parameters(&self) -> &Map<String, Value> {
        self.body["Parameters"].as_object().expect("parameters")
    }

    /// The items of a list's default.
    pub(crate) fn default_list(&self, parameter: &str) -> Vec<&str> {
        let default = self.parameters()[parameter]["Default"].as_str().expect(parameter);
        default.split(',').collect()
    }
}

/// Every value within a value, itself first.
pub(crate) fn all_within(value: &Value) -> Vec<&Value> {
    let mut found = vec![value];
    match value {
        Value::Array(items) => found.extend(items.iter().flat_map(all_within)),
        Value::Object(fields) => found.extend(fields.values().flat_map(all_within)),
        _ => {}
    }
    found
}

/// A list, or the one thing that stands for a list of one.
pub(crate) fn list(value: &Value) -> Vec<&Value> {
    value
        .as_array()
        .map_or_else(|| vec![value], |items| items.iter().collect())
}

fn json_of(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(boolean)) => json!(boolean),
        Yaml::Value(Scalar::Integer(integer)) => json!(integer),
        Yaml::Value(Scalar::FloatingPoint(float)) => json!(float.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(items) => items.iter().map(json_of).collect(),
        Yaml::Mapping(fields) => {
            let fields = fields.iter().map(|(key, value)| match json_of(key) {
                Value::String(key) => (key, json_of(value)),
                key => (key.to_string(), json_of(value)),
            });
            Value::Object(fields.collect())
        }
        Yaml::Tagged(tag, node) => {
            let function = match tag.suffix.as_str() {
                short @ ("Ref" | "Condition") => short.to_owned(),
                short => format!("Fn::{short}"),
            };
            let argument = match (function.as_str(), json_of(node)) {
                ("Fn::GetAtt", Value::String(text)) => text.split('.').collect(),
                // What is tagged is read as what it looks like, and a name may look like a number.
                (_, Value::Number(number)) => json!(number.to_string()),
                (_, argument) => argument,
            };
            json!({ function: argument })
        }
        other => panic!("a template has no {other:?}"),
    }
}

#[test]
fn short_forms_are_what_they_stand_for() {
    let text = "a: !Ref B\nb: !Sub \"${C}-x\"\nc: !GetAtt D.Arn\nd: !If [E, !Ref F, 1]\ne: [1, 'true', true]\n";
    let documents = Yaml::load_from_str(text).expect("YAML");
    assert_eq!(
        json_of(&documents[0]),
        json!({
            "a": {"Ref": "B"},
            "b": {"Fn::Sub": "${C}-x"},
            "c": {"Fn::GetAtt": ["D", "Arn"]},
            "d": {"Fn::If": ["E", {"Ref": "F"}, 1]},
            "e": [1, "true", true],
        })
    );
}
