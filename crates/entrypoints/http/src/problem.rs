//! What went wrong, as an answer: RFC 9457 problem details with the stable code. Pages for browsers are made from the same
//! problem, by `around`.

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use utoipa::ToSchema;
use wharf_domain::{Code, Failure, Fault};
use wharf_provisioning::answers;

use crate::fields::FieldError;

pub(crate) const MEDIA: &str = "application/problem+json";

/// A request that is not done as asked.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// Boxed, so that what may fail stays small to pass on.
    pub(crate) failure: Box<Failure>,
    pub(crate) errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    shows_evidence: bool,
}

/// What an operation's handler gives.
pub(crate) type Answer<T = Response> = Result<T, Problem>;

/// The problem details object.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// A reference to the page about this code, relative to this server.
    #[serde(rename = "type")]
    #[schema(example = "/errors/name.taken")]
    kind: String,
    /// What the code means, in one line. The same for every problem of the code.
    #[schema(example = "another instance has the name")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 409)]
    status: u16,
    /// What happened this time, with the values that matter.
    #[schema(example = "the name \"acme\" is taken")]
    detail: String,
    /// The stable code: what programs decide by.
    #[schema(value_type = String, example = "name.taken")]
    code: Code,
    /// What to do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "choose another name, for example \"acme-shop\"")]
    hint: Option<String>,
    /// Every field that cannot be used, where it is fields that cannot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// For operators: several lines of evidence, such as a task's last output.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure::new(code, detail).hint(hint).into()
    }

    /// Fields that cannot be used. One speaks for itself; several are told together.
    pub(crate) fn fields(errors: Vec<FieldError>) -> Self {
        let status = |error: &FieldError| answers::status(&Failure::new(error.code, ""));
        let is_understood = errors.iter().all(|error| status(error) == 422);
        let failure = match errors.as_slice() {
            [only] if only.code == Code::RequestInvalid => Failure::new(
                only.code,
                format!("the field {:?} cannot be used: {}", only.field, only.detail),
            ),
            [only] => Failure::new(only.code, only.detail.clone()),
            several => {
                let names: Vec<&str> = several.iter().map(|error| error.field.as_str()).collect();
                Failure::new(
                    Code::RequestInvalid,
                    format!("{} fields cannot be used: {}", several.len(), names.join(", ")),
                )
                .hint("each of them says what is wrong with it")
            }
        };
        let hint = match errors.as_slice() {
            [only] => only.hint.clone(),
            _ => failure.hint.clone(),
        };
        let problem = Self::from(Failure { hint, ..failure });
        let status = if is_understood {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            problem.status
        };
        Self {
            status,
            errors,
            ..problem
        }
    }

    /// With another status than the code's own.
    pub(crate) const fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Says when trying again may help.
    pub(crate) const fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// Tells the failure's evidence too: for operators only.
    pub(crate) const fn with_evidence(mut self) -> Self {
        self.shows_evidence = true;
        self
    }

    /// What a visitor may know of a fault that is the operator's to mend: that there is one.
    pub(crate) fn for_visitors(mut self) -> Self {
        let is_ours = matches!(self.failure.code.fault(), Fault::Operator | Fault::Wharf);
        if is_ours && self.status.is_server_error() {
            let code = self.failure.code;
            let hint = if code.is_passing() {
                "try again in a while"
            } else {
                "tell the operator of this page"
            };
            self.failure = Box::new(Failure::new(code, code.summary()).hint(hint));
        }
        self.shows_evidence = false;
        self
    }

    fn body(&self) -> ProblemBody {
        let Failure {
            code,
            message,
            hint,
            detail,
        } = &*self.failure;
        ProblemBody {
            kind: format!("/errors/{code}"),
            title: code.summary(),
            status: self.status.as_u16(),
            detail: message.clone(),
            code: *code,
            hint: hint.clone(),
            errors: self.errors.clone(),
            evidence: detail.clone().filter(|_| self.shows_evidence),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self {
            status: StatusCode::from_u16(answers::status(&failure)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            failure: Box::new(failure),
            errors: Vec::new(),
            retry_after: None,
            shows_evidence: false,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        response.headers_mut().extend(self.headers());
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA));
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl Problem {
    /// What it says beside its body, in whatever form that comes.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"wharf\""),
            );
        }
        if let Some(pause) = self.retry_after {
            // Rounded up: a client that comes exactly then is let in.
            let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(field: &str, code: Code) -> FieldError {
        FieldError {
            field: field.into(),
            code,
            detail: "bad".into(),
            hint: Some("mend it".into()),
        }
    }

    #[test]
    fn one_bad_field_gives_its_own_code() {
        let problem = Problem::fields(vec![error("subdomain", Code::NameReserved)]);
        assert_eq!(
            (problem.status.as_u16(), problem.failure.code),
            (422, Code::NameReserved)
        );
        assert_eq!(problem.failure.hint.as_deref(), Some("mend it"));
    }

    #[test]
    fn several_are_told_together() {
        let understood = vec![
            error("subdomain", Code::NameInvalid),
            error("admin_email", Code::EmailInvalid),
        ];
        let problem = Problem::fields(understood);
        assert_eq!(
            (problem.status.as_u16(), problem.failure.code),
            (422, Code::RequestInvalid)
        );
        assert!(problem.failure.message.contains("subdomain, admin_email"));
        let garbled = vec![error("subdomain", Code::NameInvalid), error("x", Code::RequestInvalid)];
        assert_eq!(Problem::fields(garbled).status.as_u16(), 400);
    }

    #[test]
    fn visitors_are_not_told_where_the_registry_is() {
        let failure = Failure::new(Code::StoreUnavailable, "/srv/wharf/wharf.db is locked").detail("trace");
        let body = Problem::from(failure).with_evidence().for_visitors().body();
        assert_eq!(body.detail, Code::StoreUnavailable.summary());
        assert_eq!(body.evidence, None);
        let own = Failure::new(Code::NameTaken, "the name \"acme\" is taken");
        assert_eq!(
            Problem::from(own).for_visitors().body().detail,
            "the name \"acme\" is taken"
        );
    }

    #[test]
    fn a_pause_is_rounded_up() {
        let problem = Problem::new(Code::LimitRate, "slow down", "wait").retry_after(Duration::from_millis(1_200));
        let response = problem.into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }
}
