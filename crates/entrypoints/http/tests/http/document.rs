//! The OpenAPI document: that it is the committed one, that it is complete, and that answers keep to it.

use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use std::collections::BTreeSet;

use crate::site::{Site, media};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/openapi.json");

/// The document, to hold answers against.
pub(crate) struct Document(Value);

/// One operation of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) described: &'a Value,
}

impl Operation<'_> {
    pub(crate) fn id(&self) -> &str {
        self.described["operationId"].as_str().expect("an id")
    }

    pub(crate) fn method(&self) -> Method {
        self.method.to_uppercase().parse().expect("a method")
    }

    /// `None`: nobody looks. Otherwise whether nobody may ask without credentials.
    pub(crate) fn needs_admin(&self) -> Option<bool> {
        let securities = self.described["security"].as_array()?;
        Some(!securities.iter().any(|security| security == &serde_json::json!({})))
    }

    /// The path with something in place of its words.
    pub(crate) fn path_with(&self, word: &str) -> String {
        self.path
            .split('/')
            .map(|part| if part.starts_with('{') { word } else { part })
            .collect::<Vec<_>>()
            .join("/")
    }

    /// A body as the document shows it, with its media type.
    pub(crate) fn example(&self) -> Option<(String, Value)> {
        let (media, content) = self.described["requestBody"]["content"].as_object()?.iter().next()?;
        Some((media.clone(), content["example"].clone()))
    }
}

impl Document {
    pub(crate) fn read() -> Self {
        Self(serde_json::from_str(&wharf_http::openapi()).expect("JSON"))
    }

    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().expect("paths");
        let mut operations = Vec::new();
        for (path, item) in paths {
            for (method, described) in item.as_object().expect("operations") {
                operations.push(Operation {
                    method,
                    path,
                    described,
                });
            }
        }
        operations
    }

    fn find(&self, method: &Method, target: &str) -> Option<Operation<'_>> {
        let path = target.split('?').next().unwrap_or_default();
        let method = if *method == Method::HEAD {
            "GET"
        } else {
            method.as_str()
        };
        // A path without words is meant before one with words.
        let mut fitting: Vec<_> = self
            .operations()
            .into_iter()
            .filter(|operation| operation.method.eq_ignore_ascii_case(method))
            .filter(|operation| {
                let (known, asked): (Vec<_>, Vec<_>) = (operation.path.split('/').collect(), path.split('/').collect());
                known.len() == asked.len()
                    && known
                        .iter()
                        .zip(&asked)
                        .all(|(known, asked)| known == asked || (known.starts_with('{') && !asked.is_empty()))
            })
            .collect();
        fitting.sort_by_key(|operation| operation.path.matches('{').count());
        fitting.first().copied()
    }

    /// The answer's status and media type are documented.
    pub(crate) fn must_know(&self, method: &Method, target: &str, status: StatusCode, headers: &HeaderMap) {
        let Some(operation) = self.find(method, target) else {
            let is_nowhere = matches!(status.as_u16(), 404 | 405) || *method == Method::OPTIONS;
            assert!(is_nowhere, "{method} {target} answers {status} and is not documented");
            return;
        };
        let answer = &operation.described["responses"][status.as_str()];
        // A page instead of a problem, and the way to the login instead of a 401, are for browsers: the document says so once for all.
        let is_page = media(headers) == "text/html";
        if is_page && !status.is_success() || status == StatusCode::SEE_OTHER {
            return;
        }
        assert!(
            answer.is_object(),
            "{method} {target}: {status} is not among the answers of {}",
            operation.id()
        );
        let known: Vec<&str> = answer["content"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(media, _)| media.split(';').next())
            .collect();
        assert!(
            known.contains(&media(headers)),
            "{method} {target}: {status} comes as {:?}, and is documented as {known:?}",
            media(headers)
        );
    }

    /// The answer has the documented form.
    pub(crate) fn must_describe(&self, method: &Method, target: &str, status: u16, body: &Value) {
        let operation = self.find(method, target).expect("an operation");
        let schema = &operation.described["responses"][status.to_string()]["content"]["application/json"]["schema"];
        if let Some(reference) = schema["$ref"].as_str() {
            self.must_fit(reference.rsplit('/').next().expect("a name"), body);
        }
    }

    /// A value has the form of a schema, as far as names and types of fields go.
    pub(crate) fn must_fit(&self, name: &str, value: &Value) {
        let schema = &self.0["components"]["schemas"][name];
        assert!(schema.is_object(), "there is no schema {name}");
        self.fit(schema, value, name);
    }

    fn fit(&self, schema: &Value, value: &Value, place: &str) {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.must_fit(reference.rsplit('/').next().expect("a name"), value);
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let of_null = value.is_null() && choices.iter().any(|choice| choice["type"] == "null");
            if !of_null {
                let choice = choices
                    .iter()
                    .find(|choice| choice["type"] != "null")
                    .expect("a choice");
                self.fit(choice, value, place);
            }
            return;
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        assert!(
            types.is_empty() || types.contains(&is),
            "{place} is {value}, and is documented as {types:?}"
        );
        for part in schema["allOf"].as_array().into_iter().flatten() {
            // The parts of a flattened object: each knows only its own fields.
            for required in self.required(part) {
                assert!(value.get(&required).is_some(), "{place} lacks {required}: {value}");
            }
        }
        if let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object()) {
            for required in self.required(schema) {
                assert!(object.contains_key(&required), "{place} lacks {required}: {value}");
            }
            for (name, value) in object {
                let known = properties
                    .get(name)
                    .unwrap_or_else(|| panic!("{place}.{name} is not documented: {value}"));
                self.fit(known, value, &format!("{place}.{name}"));
            }
        }
        for item in value.as_array().into_iter().flatten() {
            self.fit(&schema["items"], item, &format!("{place}[]"));
        }
    }

    fn required(&self, schema: &Value) -> Vec<String> {
        let schema = match schema["$ref"].as_str() {
            Some(reference) => &self.0["components"]["schemas"][reference.rsplit('/').next().expect("a name")],
            None => schema,
        };
        let names = schema["required"].as_array().into_iter().flatten();
        names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let generated = wharf_http::openapi();
    if std::env::var_os("WHARF_BLESS").is_some() {
        std::fs::write(COMMITTED, &generated).expect("docs/openapi.json is written");
        return;
    }
    let committed = std::fs::read_to_string(COMMITTED).expect("docs/openapi.json");
    assert!(
        committed == generated,
        "docs/openapi.json is not what the code says: run this test with WHARF_BLESS=1, and look at the difference"
    );
}

#[test]
fn every_operation_is_described() {
    let document = Document::read();
    let operations = document.operations();
    let ids: BTreeSet<&str> = operations.iter().map(Operation::id).collect();
    assert_eq!(ids.len(), operations.len(), "ids are distinct");
    for operation in &operations {
        let described = operation.described;
        assert!(
            described["summary"].as_str().is_some_and(|text| !text.is_empty()),
            "{}",
            operation.id()
        );
        for parameter in described["parameters"].as_array().into_iter().flatten() {
            assert!(
                parameter["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{}: {parameter}",
                operation.id()
            );
        }
        let responses = described["responses"].as_object().expect("answers");
        assert!(
            responses
                .keys()
                .any(|status| status.starts_with('2') || status == "303"),
            "{} never succeeds",
            operation.id()
        );
        if let Some(body) = described.get("requestBody") {
            let (_, content) = body["content"]
                .as_object()
                .expect("content")
                .iter()
                .next()
                .expect("one");
            assert!(content["example"].is_object(), "{} has no example", operation.id());
        }
        for (status, response) in responses {
            for (media, content) in response["content"].as_object().into_iter().flatten() {
                if media == "application/json" && status.starts_with('2') && operation.id() != "openapi" {
                    assert!(
                        content["example"].is_object(),
                        "{} {status} has no example",
                        operation.id()
                    );
                }
            }
        }
    }
}

#[test]
fn the_documents_own_examples_have_the_documented_form() {
    let document = Document::read();
    for operation in document.operations() {
        for (status, response) in operation.described["responses"].as_object().expect("answers") {
            let content = &response["content"]["application/json"];
            if content["example"].is_object() {
                let status = status.parse().expect("a status");
                document.must_describe(&operation.method(), operation.path, status, &content["example"]);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_document_is_served() {
    let site = Site::new().await;
    let reply = site.get("/openapi.json").send().await;
    assert_eq!((reply.status, reply.media()), (200, "application/json"));
    assert_eq!(reply.text(), wharf_http::openapi());
    assert_eq!(reply.json()["openapi"], "3.1.0");
}
