//! Another name for what was paid for, behind the mail's link. A look uses nothing up; a name that cannot be had leaves the link as it is.

use axum::{
    extract::{Request, State},
    response::Response,
};
use maud::html;
use wharf_domain::{Code, Subdomain, name::SUBDOMAIN_MAX};
use wharf_provisioning::webhooks::Choice;

use super::{
    layout::{self, Layout},
    prose::sentence,
    with_form,
};
use crate::{
    answer,
    api::provision::{SUBDOMAIN, status_path},
    around,
    fields::{Field, FieldError},
    operation::{Access, Operation, STORE, Tag},
    problem::{Answer, Problem},
    request::{self, Word},
    state::{App, Inner},
};

const FORM: &[Field] = &[SUBDOMAIN.required()];

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/choose/{token}", "choose_page", Tag::Pages, Access::ChoiceLink, show)
            .says(
                "The page of the link to choose a name",
                "For somebody who has paid for a name that cannot be had.",
            )
            .sends(200, "text/html", "The page")
            .fails(&[Code::ChoiceUsed])
            .fails(STORE),
        Operation::post("/choose/{token}", "choose_name", Tag::Pages, Access::ChoiceLink, choose)
            .says(
                "Choose a name, once",
                "What was paid for is provisioned under it. A browser gets what is wrong with a name on the page.",
            )
            .takes_form("Choose", FORM)
            .redirects("Taken", "The status page")
            .fails(&[
                Code::ChoiceUsed,
                Code::NameInvalid,
                Code::NameReserved,
                Code::NameTaken,
                Code::NameResting,
                Code::ServiceUnknown,
                Code::ServiceTenant,
                Code::LimitInstances,
                Code::PortExhausted,
                Code::StoreFull,
            ])
            .fails(STORE),
    ]
}

async fn show(State(app): State<App>, Word(token): Word) -> Answer<Response> {
    let choice = app.wharf.choice(&token).await?;
    Ok(with_form(page(&app, &token, &choice, "", None)))
}

async fn choose(State(app): State<App>, Word(token): Word, request: Request) -> Answer {
    let is_page = around::prefers_page(request.headers());
    // Whoever has no link learns nothing of names.
    let choice = app.wharf.choice(&token).await?;
    let mut fields = request::form(request, FORM).await?;
    let given = fields.text("subdomain").unwrap_or_default().to_owned();
    let name = fields.parse::<Subdomain>("subdomain");
    let chosen = match fields.done(name) {
        Ok(name) => app.wharf.choose(&token, name).await.map_err(of_the_name),
        Err(problem) => Err(problem),
    };
    match chosen {
        Ok(accepted) => {
            let path = status_path(&accepted).ok_or_else(|| {
                Problem::new(
                    Code::ChoiceUsed,
                    "a name was chosen already",
                    "the mail that comes when the application is ready has its address",
                )
            })?;
            Ok(answer::see_other(&path))
        }
        Err(problem) if is_page && problem.failure.code != Code::ChoiceUsed => {
            let problem = problem.for_visitors();
            let (status, headers) = (problem.status, problem.headers());
            let mut response = with_form(page(&app, &token, &choice, &given, Some(&problem)));
            *response.status_mut() = status;
            response.headers_mut().extend(headers);
            Ok(response)
        }
        Err(problem) => Err(problem),
    }
}

fn of_the_name(failure: wharf_domain::Failure) -> Problem {
    match failure.code {
        Code::NameTaken | Code::NameResting | Code::NameReserved => {
            Problem::fields(vec![FieldError::new("subdomain", failure)])
        }
        _ => failure.into(),
    }
}

fn page(app: &Inner, token: &str, choice: &Choice, given: &str, problem: Option<&Problem>) -> String {
    let address = app.address_of("acme");
    let around = address
        .as_deref()
        .and_then(|address| address.trim_end_matches('/').split_once("acme"));
    let wrong = problem.map(|problem| {
        let of_field = problem.errors.first();
        of_field.map_or(
            (problem.failure.message.as_str(), problem.failure.hint.as_deref()),
            |error| (error.detail.as_str(), error.hint.as_deref()),
        )
    });
    let is_wrong = problem.map(|_| "true");
    let main = html! {
        h1 { "Choose a name for " (choice.company_name) }
        p.lead { "It is paid for. The name that came with the payment cannot be had: " (choice.reason) "." }
        form.card method="post" action={ "/choose/" (token) } {
            div.field {
                label for="subdomain" { "Address" }
                span.joined {
                    @if let Some((scheme, _)) = around { span.affix { (scheme) } }
                    input id="subdomain" name="subdomain" value=(given) required maxlength=(SUBDOMAIN_MAX)
                        autocomplete="off" autocapitalize="none" spellcheck="false" placeholder="acme"
                        aria-describedby="subdomain-hint subdomain-error" aria-invalid=[is_wrong];
                    @if let Some((_, domain)) = around { span.affix { (domain) } }
                }
                p.hint id="subdomain-hint" { "Small letters, digits and single hyphens, starting with a letter." }
                p.error id="subdomain-error" aria-live="polite" {
                    @if let Some((detail, hint)) = wrong {
                        (sentence(detail)) " "
                        @if let Some(hint) = hint { (sentence(hint)) }
                    }
                }
            }
            button.main type="submit" { "Take this name" }
        }
    };
    layout::page("Choose a name", &Layout::default(), &main)
}
