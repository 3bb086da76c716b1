//! The account: who asks, and which looks were in vain.

use wharf_domain::Code;

use super::super::{finding::Notes, look::Who, reader::Trouble};
use crate::operations::Part;

pub(in super::super) fn identity(who: &Who, notes: &mut Notes) {
    if let Some(identity) = &who.identity {
        notes.ok(
            "identity",
            format!("{}, account {}, region {}", identity.arn, identity.account, who.region),
        );
    }
}

/// What Wharf itself has to be allowed is a fault; of what only this examination asks, a warning.
pub(in super::super) fn troubles(troubles: &[Trouble], notes: &mut Notes) {
    for Trouble { operation, failure } in troubles {
        let hint = failure.hint.clone().unwrap_or_default();
        let is_only_ours = operation.row().part == Part::Doctor;
        match failure.code {
            Code::AwsDenied if is_only_ours => notes.warn(
                format!("permission {}", operation.action()),
                format!(
                    "{}; what it would tell was not checked, and nothing but `wharf doctor` needs it",
                    failure.message
                ),
                hint,
            ),
            Code::AwsDenied => notes.fail(
                format!("permission {}", operation.action()),
                failure.message.clone(),
                hint,
            ),
            Code::AwsUnavailable => notes.fail(
                format!("service {}", operation.service()),
                failure.message.clone(),
                hint,
            ),
            _ => notes.fail(format!("call {}", operation.action()), failure.message.clone(), hint),
        }
    }
}
