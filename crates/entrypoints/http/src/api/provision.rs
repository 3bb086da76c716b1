//! `POST /provision`: a sign-up. The page's form comes here too, so that both are admitted by the same rules.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
};
use serde_json::json;
use wharf_domain::{
    Code, CompanyName, Email, Failure, ServiceName, State as InstanceState, Subdomain, Tenant,
    name::{LABEL_MAX, SUBDOMAIN_MAX},
    request::Provision,
    tenant::COMPANY_MAX,
};
use wharf_provisioning::Accepted as Taken;

use super::view::Accepted;
use crate::{
    answer,
    door::{Client, Identity},
    fields::{Field, FieldError, Fields},
    operation::{Access, Operation, STORE, Tag},
    problem::{Answer, Problem},
    request,
    state::{App, Inner},
};

pub(crate) const SUBDOMAIN: Field = Field::text(
    "subdomain",
    SUBDOMAIN_MAX,
    "The tenant's name, and the first label of its address: small letters, digits and single hyphens, starting with a letter",
    "acme",
);
pub(crate) const ADMIN_EMAIL: Field = Field::text(
    "admin_email",
    254,
    "Where the link to the first password goes",
    "admin@acme.example",
);
pub(crate) const COMPANY_NAME: Field = Field::text(
    "company_name",
    COMPANY_MAX,
    "As it should stand on the page",
    "Acme Inc.",
);

const FIELDS: &[Field] = &[
    SUBDOMAIN.required(),
    ADMIN_EMAIL.required(),
    COMPANY_NAME.required(),
    Field::text(
        "service",
        LABEL_MAX,
        "Which service it gets; the configured one unless said",
        "storefront",
    ),
];

pub(crate) const KEY: &str = "idempotency-key";

/// Headers of an operation that starts something.
pub(crate) const KEY_HEADER: &[Field] = &[Field::text(
    "Idempotency-Key",
    255,
    "Makes repeating the request safe: the same key with the same fields is the same request, for seven days. Visible ASCII, best a UUID",
    "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
)];

/// What may be wrong with a sign-up.
pub(crate) const REFUSALS: &[Code] = &[
    Code::NameInvalid,
    Code::NameReserved,
    Code::NameTaken,
    Code::NameResting,
    Code::EmailInvalid,
    Code::CompanyInvalid,
    Code::ServiceUnknown,
    Code::ServiceTenant,
    Code::KeyReused,
    Code::LimitRate,
    Code::LimitInstances,
    Code::LimitEmail,
    Code::LimitBooking,
    Code::PortExhausted,
    Code::AuthMissing,
    Code::StoreFull,
];

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/provision", "provision", Tag::SignUp, Access::Known, provision)
            .says(
                "Sign a tenant up",
                "Answers at once; the work goes on. Follow it at `status_url`, which is the caller's alone: it is left out where \
                 the name was taken by the same request before, without an idempotency key. Where sign-up is closed this needs \
                 the admin token.",
            )
            .heeds(KEY_HEADER)
            .takes("Provision", FIELDS)
            .answers::<Accepted>(202, "Taken, now or by the same request before", "Accepted")
            .with_header("Location", "The path of `status_url`")
            .like(json!({
                "id": "inst_01je4q5gkv8a9xw3n2b7c6d5eg", "status": "provisioning", "message": "acme is being set up",
                "status_url": "http://localhost:8080/provision/7dn3m0w9x4k2v8c1t5s6r7q8pz",
                "url": "http://acme.localhost:8080/", "port": 20_001
            }))
            .fails(REFUSALS)
            .fails(STORE),
    ]
}

async fn provision(State(app): State<App>, identity: Identity, request: Request) -> Answer {
    let client = app.clients.of(&request);
    let key = key(request.headers())?;
    let fields = request::object(request, FIELDS).await?;
    let taken = app.sign_up(fields, key.as_deref(), identity, client).await?;
    let accepted = app.accepted(&taken);
    let mut response = answer::json(StatusCode::ACCEPTED, &accepted);
    if let Some(path) = status_path(&taken) {
        response = answer::with_header(response, header::LOCATION, &path);
    }
    Ok(response)
}

/// The request's idempotency key, if it has one. Whether it is a good one is for the registry's rules.
pub(crate) fn key(headers: &HeaderMap) -> Answer<Option<String>> {
    Ok(request::text_header(headers, KEY)?.map(str::to_owned))
}

/// Where a sign-up can be followed, if its caller may.
pub(crate) fn status_path(taken: &Taken) -> Option<String> {
    taken
        .token
        .as_ref()
        .map(|token| format!("/provision/{}", token.reveal()))
}

/// A sign-up's fields, as values of the domain.
fn read(mut fields: Fields) -> Answer<Provision> {
    let subdomain = fields.parse::<Subdomain>("subdomain");
    let admin_email = fields.parse::<Email>("admin_email");
    let company_name = fields.parse::<CompanyName>("company_name");
    let service = fields.parse::<ServiceName>("service");
    let tenant = (|| {
        Some(Tenant {
            subdomain: subdomain?,
            admin_email: admin_email?,
            company_name: company_name?,
        })
    })();
    fields.done(tenant.map(|tenant| Provision { tenant, service }))
}

/// A refusal that is about a field says which: the page shows it there.
fn of_its_field(failure: Failure) -> Problem {
    let field = match failure.code {
        Code::NameTaken | Code::NameResting | Code::NameReserved => "subdomain",
        Code::ServiceUnknown | Code::ServiceTenant => "service",
        _ => return failure.into(),
    };
    Problem::fields(vec![FieldError::new(field, failure)])
}

impl Inner {
    /// Takes a sign-up, from whatever door it comes.
    pub(crate) async fn sign_up(
        &self,
        fields: Fields,
        key: Option<&str>,
        identity: Identity,
        client: Client,
    ) -> Answer<Taken> {
        if !self.is_open && !identity.is_admin() {
            return Err(Problem::new(
                Code::AuthMissing,
                "sign-up is closed here: the operator signs tenants up",
                "ask the operator, or send the admin token",
            ));
        }
        let request = read(fields)?;
        // What is refused above costs nobody anything and tells nobody anything; what comes now may do both.
        if !identity.is_admin() && !client.is_local {
            self.signups.take(client)?;
            if let Some(shared) = &self.shared_signups {
                shared.take(client).await?;
            }
        }
        self.wharf
            .provision(request, identity.caller(), key)
            .await
            .map_err(of_its_field)
    }

    /// What is told of a request that was taken.
    pub(crate) fn accepted(&self, taken: &Taken) -> Accepted {
        let instance = &taken.instance;
        let name = instance.name();
        let status = instance.state.name();
        let message = match &instance.state {
            InstanceState::Queued { .. } => format!("{name} waits for room"),
            InstanceState::Provisioning { .. } if instance.tenant.is_some() => format!("{name} is being set up"),
            InstanceState::Provisioning { .. } => format!("{name} is being started"),
            _ => format!("{name} is {status}"),
        };
        Accepted {
            id: taken.id.to_string(),
            status: status.to_owned(),
            message,
            status_url: status_path(taken).map(|path| format!("{}{path}", self.public_url)),
            url: self.wharf.settings().url(instance),
            port: instance.held.port,
        }
    }
}
