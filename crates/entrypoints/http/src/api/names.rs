//! `GET /names/{name}`: whether a text can be a tenant's name, by the rules alone. Whether it is taken is not told: that would
//! tell anybody who is a customer.

use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use wharf_domain::{
    Code, Failure, Subdomain,
    name::{SUBDOMAIN_MAX, suggest},
    service::RouteRule,
};

use crate::{
    answer,
    operation::{Access, Operation, Tag},
    problem::Answer,
    request::Word,
    state::{App, Inner},
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/names/{name}", "check_name", Tag::SignUp, Access::Anyone, check)
            .says(
                "Whether a text can be a name",
                "By the rules alone: whether the name is taken is told by a sign-up, and not here.",
            )
            .answers::<Verdict>(200, "What the rules say", "Verdict")
            .like(json!({
                "name": "Acme Inc.", "valid": false, "code": "name.invalid",
                "error": "a name has only small letters, digits and hyphens; 'A' is none of them", "suggestion": "acme-inc"
            })),
    ]
}

/// What the rules say about a name.
#[derive(Debug, Serialize, ToSchema)]
struct Verdict {
    /// What was asked about.
    name: String,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "name.invalid")]
    code: Option<Code>,
    /// The rule that it breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The nearest name that breaks none, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<String>,
    /// The address that it would have, where tenants are reached by host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "http://acme.localhost:8080/")]
    address: Option<String>,
}

async fn check(State(app): State<App>, Word(name): Word) -> Answer {
    let broken = match Subdomain::check(&name) {
        Err(rule) => {
            let code = name
                .parse::<Subdomain>()
                .err()
                .map_or(Code::NameInvalid, |Failure { code, .. }| code);
            Some((code, rule.to_string()))
        }
        Ok(()) if app.is_reserved(&name) => Some((Code::NameReserved, format!("{name:?} is reserved"))),
        Ok(()) => None,
    };
    let suggestion = suggest(&name, SUBDOMAIN_MAX).filter(|better| !app.is_reserved(better));
    let verdict = Verdict {
        valid: broken.is_none(),
        suggestion: suggestion.filter(|_| broken.is_some()),
        address: broken.is_none().then(|| app.address_of(&name)).flatten(),
        // No longer than an address may be at all, and no part of a line that it could end.
        name: name.chars().filter(|c| !c.is_control()).take(200).collect(),
        code: broken.as_ref().map(|(code, _)| *code),
        error: broken.map(|(_, rule)| rule),
    };
    Ok(answer::json(StatusCode::OK, &verdict))
}

impl Inner {
    fn is_reserved(&self, name: &str) -> bool {
        self.wharf
            .settings()
            .reserved_names
            .iter()
            .any(|reserved| reserved == name)
    }

    /// The address that a tenant of this name would have.
    pub(crate) fn address_of(&self, name: &str) -> Option<String> {
        let is_by_host = matches!(self.wharf.tenant_service()?.route, RouteRule::Host);
        is_by_host.then(|| self.wharf.settings().addresses.tenant_url(name))
    }
}
