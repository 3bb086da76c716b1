//! The OpenAPI document, made from the table of operations: what is not in the one is not in the other.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ComponentsBuilder, Content, ContentBuilder, HeaderBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder,
        PathsBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
        example::ExampleBuilder,
        extensions::Extensions,
        path::{
            HttpMethod, Operation as Documented, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
        },
        request_body::{RequestBody, RequestBodyBuilder},
        schema::{AdditionalProperties, ObjectBuilder, Type},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};
use wharf_domain::{Code, Failure};
use wharf_provisioning::answers;

use crate::{
    fields::{Field, Kind},
    operation::{Access, Body, Operation, Shape, Tag, schema_ref},
    problem::{self, ProblemBody},
};

/// Who may ask, beyond what `security` can say: a link is not among its schemes.
const CALLERS: &str = "x-callers";
const TOKEN: &str = "admin_token";
const SESSION: &str = "console_session";

const ABOUT: &str = "\
Wharf gives each customer, or each start request, a container of its own and an address that works.

Changes are JSON (`Content-Type: application/json`), at most 64 KiB of it. Where a request carries an `Origin`, it has to be \
Wharf's own. Answers that say `202` come at once, and the work goes on: follow it by its events. Errors are problem details \
(RFC 9457) with a stable `code`; a browser gets them as pages. Points in time are milliseconds since 1970-01-01T00:00Z. `HEAD` is \
answered wherever `GET` is.";

/// The words in paths.
const WORDS: &[(&str, &str)] = &[
    ("code", "A code, as problems have it"),
    ("file", "A file of the pages, with the hash of its content in its name"),
    ("id", "An instance's id, or its tenant's name"),
    ("name", "The name"),
    ("subdomain", "The tenant's name"),
    ("token", "The token of the link, which is all that it takes"),
];

/// The document as text, as it is served.
pub(crate) fn text(operations: &[Operation]) -> String {
    let mut text = document(operations)
        .to_pretty_json()
        .expect("the document is made of texts, numbers and maps with texts as keys");
    text.push('\n');
    text
}

fn document(operations: &[Operation]) -> OpenApi {
    let mut paths = PathsBuilder::new();
    for operation in operations {
        let method = match operation.method {
            Method::POST => HttpMethod::Post,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        paths = paths.path(operation.path, PathItem::new(method, documented(operation)));
    }
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Wharf")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(ABOUT))
                .license(Some(License::new(env!("CARGO_PKG_LICENSE"))))
                .build(),
        )
        .tags(Some(Tag::ALL.iter().map(|tag| {
            TagBuilder::new()
                .name(tag.name())
                .description(Some(tag.about()))
                .build()
        })))
        .paths(paths)
        .components(Some(components(operations).build()))
        .build()
}

fn components(operations: &[Operation]) -> ComponentsBuilder {
    let mut schemas = vec![("Problem".to_owned(), ProblemBody::schema())];
    ProblemBody::schemas(&mut schemas);
    for operation in operations {
        schemas.extend(operation.schemas.iter().cloned());
        if let Some(Body {
            shape: Shape::Fields { name, fields },
            ..
        }) = &operation.body
        {
            schemas.push(((*name).to_owned(), object(fields)));
        }
    }
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "The admin token. It is made at the first start, and stands in the data directory.",
        ))
        .build();
    let session = ApiKeyValue::with_description(
        "wharf_session",
        "The console's session, begun with the admin token at /login. With TLS its name is __Host-wharf_session.",
    );
    ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(TOKEN, SecurityScheme::Http(token))
        .security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(session)))
}

fn documented(operation: &Operation) -> Documented {
    let mut documented = OperationBuilder::new()
        .operation_id(Some(operation.id))
        .tag(operation.tag.name())
        .summary(Some(operation.summary))
        .description(Some(operation.about).filter(|about| !about.is_empty()))
        .securities(securities(operation.access))
        .extensions(Some(Extensions::from_iter([(
            CALLERS,
            json!(operation.access.callers()),
        )])))
        .request_body(operation.body.as_ref().map(body));
    for (word, about) in words(operation.path) {
        let text = ObjectBuilder::new().schema_type(Type::String);
        documented = documented.parameter(parameter(word, ParameterIn::Path, true, about, text.into()));
    }
    for (fields, place) in [
        (operation.query, ParameterIn::Query),
        (operation.headers, ParameterIn::Header),
    ] {
        for field in fields {
            documented = documented.parameter(parameter(
                field.name,
                place.clone(),
                field.is_required,
                field.about,
                value(field),
            ));
        }
    }
    for (status, response) in answers(operation).into_iter().chain(problems(operation)) {
        documented = documented.response(status.to_string(), response);
    }
    documented.build()
}

fn securities(access: Access) -> Option<Vec<SecurityRequirement>> {
    let none: [&str; 0] = [];
    let token = SecurityRequirement::new(TOKEN, none);
    let session = SecurityRequirement::new(SESSION, none);
    match access {
        Access::Anyone | Access::StatusLink | Access::PasswordLink | Access::ChoiceLink | Access::Webhook => None,
        Access::Known => Some(vec![SecurityRequirement::default(), token, session]),
        Access::Admin => Some(vec![token, session]),
    }
}

fn words(path: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|word| {
            let known = WORDS.iter().find(|(name, _)| *name == word);
            (word, known.map_or("", |(_, about)| *about))
        })
}

fn parameter(name: &str, place: ParameterIn, is_required: bool, about: &str, schema: RefOr<Schema>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(if is_required { Required::True } else { Required::False })
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

/// A field's value.
fn value(field: &Field) -> RefOr<Schema> {
    let schema = ObjectBuilder::new();
    let text = Value::from(field.example);
    match &field.kind {
        Kind::Text { longest } => schema
            .schema_type(Type::String)
            .max_length(Some(*longest))
            .examples([text]),
        Kind::OneOf(known) => schema
            .schema_type(Type::String)
            .enum_values(Some(known.iter().copied())),
        Kind::Whole { least, most } => {
            let bounded = schema.schema_type(Type::Integer).minimum(Some(*least as f64));
            if *most == u64::MAX {
                bounded
            } else {
                bounded.maximum(Some(*most as f64))
            }
        }
        Kind::Flag => schema.schema_type(Type::Boolean),
        Kind::Variables => schema
            .schema_type(Type::Object)
            .additional_properties(Some(ObjectBuilder::new().schema_type(Type::String))),
    }
    .into()
}

/// A body of these fields and no others.
fn object(fields: &[Field]) -> RefOr<Schema> {
    let mut object = ObjectBuilder::new().schema_type(Type::Object);
    for field in fields {
        let mut schema = value(field);
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.description = Some(field.about.to_owned());
        }
        object = object.property(field.name, schema);
        if field.is_required {
            object = object.required(field.name);
        }
    }
    object
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .into()
}

fn body(body: &Body) -> RequestBody {
    let content = match &body.shape {
        Shape::Fields { name, fields } => ContentBuilder::new()
            .schema(Some(schema_ref(name)))
            .example(Some(example(fields))),
        Shape::Free { about, example } => ContentBuilder::new()
            .schema(Some(
                ObjectBuilder::new().schema_type(Type::Object).description(Some(*about)),
            ))
            .example(Some(example.clone())),
    };
    RequestBodyBuilder::new()
        .required(Some(if body.is_required {
            Required::True
        } else {
            Required::False
        }))
        .content(body.media, content.build())
        .build()
}

fn example(fields: &[Field]) -> Value {
    let of = |field: &Field| match field.kind {
        Kind::Text { .. } | Kind::OneOf(_) => json!(field.example),
        _ => serde_json::from_str(field.example).unwrap_or(Value::Null),
    };
    fields
        .iter()
        .map(|field| (field.name.to_owned(), of(field)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The answers that are no problems, one for each status.
fn answers(operation: &Operation) -> BTreeMap<u16, Response> {
    let mut responses: BTreeMap<u16, ResponseBuilder> = BTreeMap::new();
    for answer in &operation.answers {
        let mut response = responses
            .remove(&answer.status)
            .unwrap_or_else(|| ResponseBuilder::new().description(answer.about));
        if let Some(media) = answer.media {
            let text = || ObjectBuilder::new().schema_type(Type::String).into();
            let schema = match (answer.schema, media) {
                (Some(name), _) => Some(schema_ref(name)),
                // A stream has no form as a whole.
                (None, "application/json" | "text/event-stream") => None,
                (None, _) => Some(text()),
            };
            let content: Content = ContentBuilder::new()
                .schema(schema)
                .example(answer.example.clone())
                .build();
            response = response.content(media, content);
        }
        for (name, about) in &answer.headers {
            response = response.header(*name, HeaderBuilder::new().description(Some(*about)).build());
        }
        responses.insert(answer.status, response);
    }
    responses
        .into_iter()
        .map(|(status, response)| (status, response.build()))
        .collect()
}

/// The problems, gathered by status: those that the operation names, and those that come with what it is.
fn problems(operation: &Operation) -> Vec<(u16, Response)> {
    let status = |code: Code| answers::status(&Failure::new(code, ""));
    let mut codes: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    let mut add = |status: u16, code: Code| {
        let of = codes.entry(status).or_default();
        if !of.contains(&code) {
            of.push(code);
        }
    };
    for code in &operation.problems {
        add(status(*code), *code);
    }
    if let Some(Body { shape, .. }) = &operation.body {
        add(status(Code::RequestTooLarge), Code::RequestTooLarge);
        add(status(Code::RequestInvalid), Code::RequestInvalid);
        add(StatusCode::UNSUPPORTED_MEDIA_TYPE.as_u16(), Code::RequestInvalid);
        add(StatusCode::REQUEST_TIMEOUT.as_u16(), Code::RequestInvalid);
        // Several fields that are understood and cannot be used are told together.
        if matches!(shape, Shape::Fields { .. }) && operation.problems.contains(&Code::NameInvalid) {
            add(StatusCode::UNPROCESSABLE_ENTITY.as_u16(), Code::RequestInvalid);
        }
    }
    if operation.headers.iter().any(|field| field.name == "Idempotency-Key") {
        add(status(Code::RequestInvalid), Code::RequestInvalid);
    }
    if words(operation.path).next().is_some() {
        add(status(Code::RequestNotFound), Code::RequestNotFound);
    }
    if operation.is_change() {
        add(status(Code::OriginRefused), Code::OriginRefused);
    }
    if operation.access.knows_operators() {
        // A console session may have been ended: the registry knows.
        add(status(Code::StoreUnavailable), Code::StoreUnavailable);
        add(status(Code::AuthDenied), Code::AuthDenied);
        add(status(Code::RequestInvalid), Code::RequestInvalid);
    }
    if operation.access == Access::Admin {
        add(status(Code::AuthMissing), Code::AuthMissing);
        if operation.is_change() {
            add(StatusCode::UNSUPPORTED_MEDIA_TYPE.as_u16(), Code::RequestInvalid);
        }
    }
    add(status(Code::Internal), Code::Internal);
    codes
        .into_iter()
        .map(|(status, codes)| (status, trouble(status, &codes, operation.refusals)))
        .collect()
}

fn trouble(status: u16, codes: &[Code], besides: Option<&str>) -> Response {
    let names: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
    let examples = codes.iter().map(|code| {
        let example = json!({
            "type": format!("/errors/{code}"), "title": code.summary(), "status": status, "detail": code.summary(), "code": code
        });
        (code.to_string(), ExampleBuilder::new().value(Some(example)).build())
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(examples)
        .build();
    let mut response = ResponseBuilder::new()
        .description(names.join(", "))
        .content(problem::MEDIA, content);
    if let Some(name) = besides {
        let content = ContentBuilder::new().schema(Some(schema_ref(name)));
        response = response.content("application/json", content.build());
    }
    response.build()
}
