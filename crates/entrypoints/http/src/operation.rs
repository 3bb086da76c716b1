//! An operation as data: its address, who may ask for it, what it takes and what it answers. The router, the guard before each
//! handler and the OpenAPI document are all made from this one table, so that none of them can say something else.

use axum::{
    handler::Handler,
    http::Method,
    middleware,
    routing::{MethodFilter, MethodRouter, on},
};
use serde_json::Value;
use std::sync::Arc;
use utoipa::{
    ToSchema,
    openapi::{Ref, RefOr, Schema},
};
use wharf_domain::Code;

use crate::{
    door::{self, Gate},
    fields::Field,
    state::App,
};

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody; nobody looks who it is.
    Anyone,
    /// Anybody; the bearer of the admin token or of a console session is known as such.
    Known,
    /// Whoever has the link of a sign-up's status: the token in its path. The admin token does not open it.
    StatusLink,
    /// Whoever has the link of the mail, once: the token in its path. Neither the admin token nor a status link opens it.
    PasswordLink,
    /// Whoever has the link of the mail that asks for another name: the token in its path. Nothing else opens it.
    ChoiceLink,
    /// Whoever signs with the secret of the webhook of this name.
    Webhook,
    /// The bearer of the admin token or of a console session.
    Admin,
}

impl Access {
    /// Who may ask, in words: of each operation they stand in the document as `x-callers`, and in `docs/access.md`.
    pub(crate) const fn callers(self) -> &'static [&'static str] {
        match self {
            Self::Anyone | Self::Known => &["anybody"],
            Self::StatusLink => &["the bearer of the status link"],
            Self::PasswordLink => &["the bearer of the password link"],
            Self::ChoiceLink => &["the bearer of the choice link"],
            Self::Webhook => &["who signs with the webhook's secret"],
            Self::Admin => &["the admin token", "a console session"],
        }
    }

    /// Whether the admin token and a console session are looked at.
    pub(crate) const fn knows_operators(self) -> bool {
        matches!(self, Self::Known | Self::Admin)
    }
}

/// The sections of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    SignUp,
    Instances,
    Services,
    Operation,
    Pages,
}

impl Tag {
    pub(crate) const ALL: &[Self] = &[
        Self::SignUp,
        Self::Instances,
        Self::Services,
        Self::Operation,
        Self::Pages,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SignUp => "Sign-up",
            Self::Instances => "Instances",
            Self::Services => "Services",
            Self::Operation => "Operation",
            Self::Pages => "Pages",
        }
    }

    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::SignUp => {
                "From a name to a running application: for anybody, or for the operator alone where sign-up is closed"
            }
            Self::Instances => "What runs, how it came to be, and what can be done with it",
            Self::Services => "Services without tenants: start and stop, by name or by event",
            Self::Operation => "Health, metrics, repair, and this document",
            Self::Pages => "Pages for people",
        }
    }
}

/// One answer of an operation that is not a problem.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) about: &'static str,
    pub(crate) media: Option<&'static str>,
    pub(crate) schema: Option<&'static str>,
    pub(crate) example: Option<Value>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
}

/// What a request's body is.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) media: &'static str,
    pub(crate) shape: Shape,
    pub(crate) is_required: bool,
}

#[derive(Debug)]
pub(crate) enum Shape {
    /// An object of these fields and no others, under this name among the document's schemas.
    Fields {
        name: &'static str,
        fields: &'static [Field],
    },
    /// Whatever the example shows.
    Free { about: &'static str, example: Value },
}

/// One method on one path.
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) id: &'static str,
    pub(crate) tag: Tag,
    pub(crate) summary: &'static str,
    pub(crate) about: &'static str,
    pub(crate) query: &'static [Field],
    pub(crate) headers: &'static [Field],
    pub(crate) body: Option<Body>,
    pub(crate) answers: Vec<Answered>,
    pub(crate) problems: Vec<Code>,
    /// The form that errors have besides problem details.
    pub(crate) refusals: Option<&'static str>,
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    route: MethodRouter<App>,
}

/// What any operation on the registry may run into.
pub(crate) const STORE: &[Code] = &[Code::StoreUnavailable];

impl Operation {
    fn new<H, T>(method: Method, path: &'static str, id: &'static str, tag: Tag, access: Access, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("the constructors name methods that routers know");
        Self {
            method,
            path,
            access,
            id,
            tag,
            summary: "",
            about: "",
            query: &[],
            headers: &[],
            body: None,
            answers: Vec::new(),
            problems: Vec::new(),
            refusals: None,
            schemas: Vec::new(),
            route: on(filter, handler),
        }
    }

    pub(crate) fn get<H, T>(path: &'static str, id: &'static str, tag: Tag, access: Access, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::GET, path, id, tag, access, handler)
    }

    pub(crate) fn post<H, T>(path: &'static str, id: &'static str, tag: Tag, access: Access, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::POST, path, id, tag, access, handler)
    }

    pub(crate) fn delete<H, T>(path: &'static str, id: &'static str, tag: Tag, access: Access, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(Method::DELETE, path, id, tag, access, handler)
    }

    /// One line, and what there is to say beyond it.
    pub(crate) const fn says(mut self, summary: &'static str, about: &'static str) -> Self {
        self.summary = summary;
        self.about = about;
        self
    }

    pub(crate) const fn queries(mut self, fields: &'static [Field]) -> Self {
        self.query = fields;
        self
    }

    pub(crate) const fn heeds(mut self, headers: &'static [Field]) -> Self {
        self.headers = headers;
        self
    }

    /// A JSON object of these fields.
    pub(crate) fn takes(mut self, name: &'static str, fields: &'static [Field]) -> Self {
        self.body = Some(Body {
            media: "application/json",
            shape: Shape::Fields { name, fields },
            is_required: fields.iter().any(|field| field.is_required),
        });
        self
    }

    /// JSON that is read elsewhere.
    pub(crate) fn takes_any(mut self, about: &'static str, example: Value) -> Self {
        self.body = Some(Body {
            media: "application/json",
            shape: Shape::Free { about, example },
            is_required: true,
        });
        self
    }

    /// A form as browsers send it.
    pub(crate) fn takes_form(mut self, name: &'static str, fields: &'static [Field]) -> Self {
        self.body = Some(Body {
            media: "application/x-www-form-urlencoded",
            shape: Shape::Fields { name, fields },
            is_required: true,
        });
        self
    }

    /// JSON of this type.
    pub(crate) fn answers<T: ToSchema>(mut self, status: u16, about: &'static str, name: &'static str) -> Self {
        debug_assert_eq!(T::name(), name);
        self.schemas.push((name.to_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        self.sends_as(status, "application/json", about, Some(name))
    }

    /// Something else than JSON.
    pub(crate) fn sends(self, status: u16, media: &'static str, about: &'static str) -> Self {
        self.sends_as(status, media, about, None)
    }

    fn sends_as(mut self, status: u16, media: &'static str, about: &'static str, schema: Option<&'static str>) -> Self {
        self.answers.push(Answered {
            status,
            about,
            media: Some(media),
            schema,
            example: None,
            headers: Vec::new(),
        });
        self
    }

    /// No body: a redirect.
    pub(crate) fn redirects(mut self, about: &'static str, to: &'static str) -> Self {
        self.answers.push(Answered {
            status: 303,
            about,
            media: None,
            schema: None,
            example: None,
            headers: vec![("Location", to)],
        });
        self
    }

    /// What goes wrong may come in this form too, where somebody else's contract has one of its own.
    pub(crate) fn refuses_as<T: ToSchema>(mut self, name: &'static str) -> Self {
        debug_assert_eq!(T::name(), name);
        self.schemas.push((name.to_owned(), T::schema()));
        self.refusals = Some(name);
        self
    }

    /// What the last answer looks like.
    pub(crate) fn like(mut self, example: Value) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.example = Some(example);
        }
        self
    }

    /// A header of the last answer.
    pub(crate) fn with_header(mut self, name: &'static str, about: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, about));
        }
        self
    }

    /// What may go wrong, beyond what may go wrong with every operation of its kind.
    pub(crate) fn fails(mut self, codes: &[Code]) -> Self {
        self.problems.extend(codes);
        self
    }

    /// Whether it changes something.
    pub(crate) fn is_change(&self) -> bool {
        self.method != Method::GET
    }

    /// The route, behind its guard.
    pub(crate) fn guarded(self, app: &App) -> MethodRouter<App> {
        let gate = Gate {
            access: self.access,
            is_change: self.is_change(),
        };
        self.route
            .route_layer(middleware::from_fn_with_state((Arc::clone(app), gate), door::guard))
    }
}

/// A reference to a schema of the document.
pub(crate) fn schema_ref(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}
