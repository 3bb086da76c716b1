//! What is asked for, parsed: the door's raw fields on one side, values that are known to be good on the other.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

use crate::{Code, Failure, ServiceName, Tenant};

/// How long a trigger's key is remembered at the least.
pub const KEY_RETENTION: std::time::Duration = std::time::Duration::from_hours(7 * 24);
const KEY_MAX: usize = 255;
/// Variables that a request may add to an instance's environment.
const ENVIRONMENT_MAX: usize = 64;

/// A sign-up: one instance for one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provision {
    pub tenant: Tenant,
    /// The configured tenants' service unless named.
    pub service: Option<ServiceName>,
}

/// A start of a service that has no tenants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Start {
    pub service: ServiceName,
    /// Laid over the service's own environment.
    pub environment: BTreeMap<String, String>,
}

impl Start {
    /// Checks what a request adds to an environment.
    pub fn check_environment(environment: &BTreeMap<String, String>) -> Result<(), Failure> {
        let refuse = |why: String| Err(Failure::new(Code::RequestInvalid, why).hint("a variable is NAME = \"value\""));
        if environment.len() > ENVIRONMENT_MAX {
            return refuse(format!(
                "{} variables are given, and at most {ENVIRONMENT_MAX} are allowed",
                environment.len()
            ));
        }
        for (name, value) in environment {
            let head = |b: u8| b.is_ascii_alphabetic() || b == b'_';
            if name.len() > 128
                || !name.bytes().next().is_some_and(head)
                || !name.bytes().all(|b| head(b) || b.is_ascii_digit())
            {
                return refuse(format!("{name:?} is not a variable's name"));
            }
            if name.starts_with("WHARF_") {
                return refuse(format!("{name} is Wharf's own"));
            }
            if value.len() > 4096 || value.contains('\0') {
                return refuse(format!("the value of {name} has a zero byte, or more than 4096 bytes"));
            }
        }
        Ok(())
    }
}

/// The key of a trigger, within the scope of one caller and one operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TriggerKey {
    /// `<caller>:<operation>`.
    pub scope: String,
    pub key: String,
}

impl TriggerKey {
    pub fn new(scope: impl Into<String>, key: &str) -> Result<Self, Failure> {
        if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Failure::new(
                Code::RequestInvalid,
                "the idempotency key has not 1 to 255 visible ASCII characters",
            )
            .hint("use a UUID, one for each thing that you ask for"));
        }
        Ok(Self {
            scope: scope.into(),
            key: key.to_owned(),
        })
    }

    /// The i-th of `count` (from 0).
    #[must_use]
    pub fn nth(&self, i: usize) -> Self {
        Self {
            scope: self.scope.clone(),
            key: format!("{}#{i}", self.key),
        }
    }

    /// The text under which the registry keeps it.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}/{}", self.scope, self.key)
    }
}

/// SHA-256 of a request's parsed fields, in hexadecimal: what a repeated key is held against.
#[must_use]
pub fn fields_hash<T: Serialize>(fields: &T) -> String {
    let json = serde_json::to_vec(fields).unwrap_or_default();
    data_encoding::HEXLOWER.encode(&Sha256::digest(json))
}
