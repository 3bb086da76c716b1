//! The sign-up page, and where its form goes without a script.

use axum::{
    extract::{Request, State},
    response::Response,
};
use data_encoding::HEXLOWER;
use maud::{Markup, html};
use wharf_domain::{Code, Failure, name::SUBDOMAIN_MAX, tenant::COMPANY_MAX};

use super::{
    CONSOLE,
    layout::{self, Layout},
    prose::sentence,
    with_form,
};
use crate::{
    answer,
    api::provision::{ADMIN_EMAIL, COMPANY_NAME, REFUSALS, SUBDOMAIN, status_path},
    around,
    door::Identity,
    fields::{Field, Fields},
    operation::{Access, Operation, STORE, Tag},
    problem::{Answer, Problem},
    request,
    state::{App, Inner},
};

/// What may be filled in already: a second try begins with what the first one said.
const PREFILLED: &[Field] = &[SUBDOMAIN, COMPANY_NAME];

const FORM: &[Field] = &[
    SUBDOMAIN.required(),
    ADMIN_EMAIL.required(),
    COMPANY_NAME.required(),
    Field::text(
        "idempotency_key",
        255,
        "As the header of POST /provision: the page puts a fresh one into the form",
        "6f1ed002ab5595859014ebf0951522d9",
    ),
];

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/", "signup_page", Tag::Pages, Access::Anyone, show)
            .says("The sign-up page", "")
            .queries(PREFILLED)
            .sends(200, "text/html", "The page"),
        Operation::post("/signup", "signup_form", Tag::Pages, Access::Known, submit)
            .says(
                "The sign-up page's form",
                "As POST /provision, for browsers without a script. A browser gets what is wrong on the page.",
            )
            .takes_form("SignUp", FORM)
            .redirects("Taken", "The status page")
            .fails(REFUSALS)
            .fails(STORE),
    ]
}

/// What stands in the form.
#[derive(Default)]
struct Filled {
    subdomain: String,
    admin_email: String,
    company_name: String,
    problem: Option<Problem>,
}

async fn show(State(app): State<App>, request: Request) -> Response {
    // Whatever else stands in the query is somebody else's (a campaign's, a search engine's) and does no harm.
    let filled = request::query(&request, PREFILLED)
        .map(|fields| Filled::from(&fields))
        .unwrap_or_default();
    with_form(page(&app, &filled))
}

async fn submit(State(app): State<App>, identity: Identity, request: Request) -> Answer {
    let client = app.clients.of(&request);
    let is_page = around::prefers_page(request.headers());
    let fields = request::form(request, FORM).await?;
    let filled = Filled::from(&fields);
    let key = fields.text("idempotency_key").map(str::to_owned);
    match app.sign_up(fields, key.as_deref(), identity, client).await {
        Ok(taken) => {
            let path = status_path(&taken).ok_or_else(|| taken_already(&filled.subdomain))?;
            Ok(answer::see_other(&path))
        }
        Err(problem) if is_page => {
            let problem = problem.for_visitors();
            let (status, headers) = (problem.status, problem.headers());
            let filled = Filled {
                problem: Some(problem),
                ..filled
            };
            let mut response = with_form(page(&app, &filled));
            *response.status_mut() = status;
            response.headers_mut().extend(headers);
            Ok(response)
        }
        Err(problem) => Err(problem),
    }
}

fn taken_already(name: &str) -> Failure {
    Failure::new(Code::NameTaken, format!("the name {name:?} is taken"))
        .hint("its status link is with whoever asked first")
}

impl From<&Fields> for Filled {
    fn from(fields: &Fields) -> Self {
        let text = |name| fields.text(name).unwrap_or_default().to_owned();
        Self {
            subdomain: text("subdomain"),
            admin_email: text("admin_email"),
            company_name: text("company_name"),
            problem: None,
        }
    }
}

fn page(app: &Inner, filled: &Filled) -> String {
    let service = app.wharf.tenant_service().map(|service| service.name.as_str());
    let main = html! {
        h1 { "Your own " (service.unwrap_or("application")) ", in a moment" }
        p.lead { "Choose a name. A moment later it runs for you alone, with its own database, at its own address." }
        @if service.is_none() {
            p.card { "There is nothing to sign up for yet: no service for tenants is configured." }
        } @else if !app.is_open {
            p.card { "Sign-up is closed here. The operator signs tenants up, in the " a href=(CONSOLE) { "console" } " or on the command line." }
        } @else {
            (form(app, filled))
        }
    };
    layout::page("Sign up", &Layout::default(), &main)
}

fn form(app: &Inner, filled: &Filled) -> Markup {
    let mut key = [0; 16];
    app.ids.fill(&mut key);
    // "http://", ".example.com:8080"
    let address = app.address_of("acme");
    let around = address
        .as_deref()
        .and_then(|address| address.trim_end_matches('/').split_once("acme"));
    let general = filled.problem.as_ref().filter(|problem| problem.errors.is_empty());
    html! {
        form.card id="signup" method="post" action="/signup" {
            input type="hidden" name="idempotency_key" value=(HEXLOWER.encode(&key));
            p.alert id="trouble" role="alert" hidden[general.is_none()] {
                @if let Some(problem) = general {
                    (sentence(&problem.failure.message)) " "
                    @if let Some(hint) = &problem.failure.hint { (sentence(hint)) }
                }
            }
            (labelled(filled, "subdomain", "Address", &html! {
                span.joined {
                    @if let Some((scheme, _)) = around { span.affix { (scheme) } }
                    input id="subdomain" name="subdomain" value=(filled.subdomain) required maxlength=(SUBDOMAIN_MAX)
                        autocomplete="off" autocapitalize="none" spellcheck="false" placeholder="acme"
                        aria-describedby="subdomain-hint subdomain-error" aria-invalid=[is_wrong(filled, "subdomain")];
                    @if let Some((_, domain)) = around { span.affix { (domain) } }
                }
            }, "Small letters, digits and single hyphens, starting with a letter."))
            (labelled(filled, "admin_email", "E-mail", &html! {
                input id="admin_email" name="admin_email" type="email" value=(filled.admin_email) required maxlength="254"
                    autocomplete="email" placeholder="you@company.example"
                    aria-describedby="admin_email-hint admin_email-error" aria-invalid=[is_wrong(filled, "admin_email")];
            }, "The link to your first password goes there."))
            (labelled(filled, "company_name", "Company", &html! {
                input id="company_name" name="company_name" value=(filled.company_name) required maxlength=(COMPANY_MAX)
                    autocomplete="organization" placeholder="Acme Inc."
                    aria-describedby="company_name-hint company_name-error" aria-invalid=[is_wrong(filled, "company_name")];
            }, "As it should stand on your pages."))
            button.main type="submit" { "Create it" }
        }
    }
}

/// A field with its label, its hint, and what is wrong with it.
fn labelled(filled: &Filled, name: &str, label: &str, input: &Markup, hint: &str) -> Markup {
    let error = error(filled, name);
    html! {
        div.field {
            label for=(name) { (label) }
            (input)
            p.hint id={ (name) "-hint" } { (hint) }
            p.error id={ (name) "-error" } aria-live="polite" {
                @if let Some((detail, hint)) = error {
                    (sentence(detail)) " "
                    @if let Some(hint) = hint { (sentence(hint)) }
                }
            }
        }
    }
}

fn error<'a>(filled: &'a Filled, name: &str) -> Option<(&'a str, Option<&'a str>)> {
    let errors = filled.problem.iter().flat_map(|problem| &problem.errors);
    errors
        .filter(|error| error.field == name)
        .map(|error| (error.detail.as_str(), error.hint.as_deref()))
        .next()
}

fn is_wrong(filled: &Filled, name: &str) -> Option<&'static str> {
    error(filled, name).map(|_| "true")
}
