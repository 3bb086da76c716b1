//! The variables by which a process and its descendants are known to be a task's.
//!
//! What must not be here: how a process's environment is read.

use wharf_domain::{Attempt, DeploymentId, InstanceId};
use wharf_platform::Owner;

pub(super) const DEPLOYMENT: &str = "WHARF_DEPLOYMENT";
/// Part of the contract with services: the instance names itself by it in its identity header.
pub(super) const INSTANCE: &str = "WHARF_INSTANCE_ID";
pub(super) const ATTEMPT: &str = "WHARF_ATTEMPT";

/// A task within its deployment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) instance: InstanceId,
    pub(super) attempt: Attempt,
}

impl Key {
    pub(super) fn of(owner: &Owner) -> Self {
        Self {
            instance: owner.instance.clone(),
            attempt: owner.attempt,
        }
    }

    pub(super) fn owner(&self, deployment: &DeploymentId) -> Owner {
        Owner {
            deployment: deployment.clone(),
            instance: self.instance.clone(),
            attempt: self.attempt,
        }
    }
}

/// This deployment's mark on a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Task(Key),
    /// It does not say which task's: the program changed its own environment.
    Unclaimed,
}

/// Searches an environment, its variables separated by zeros. `None`: it is not this deployment's.
pub(super) fn find(environment: &[u8], deployment: &str) -> Option<Mark> {
    let value = |name: &str| {
        environment.split(|b| *b == 0).find_map(|variable| {
            let value = variable.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            str::from_utf8(value).ok()
        })
    };
    if value(DEPLOYMENT)? != deployment {
        return None;
    }
    let key = || {
        Some(Key {
            instance: value(INSTANCE)?.parse().ok()?,
            attempt: Attempt(value(ATTEMPT)?.parse().ok()?),
        })
    };
    Some(key().map_or(Mark::Unclaimed, Mark::Task))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::Timestamp;

    #[test]
    fn a_mark_is_found_among_other_variables_and_only_its_own() {
        let instance = InstanceId::new(Timestamp(1), [1; 10]);
        let environment = |deployment: &str| {
            format!(
                "PATH=/bin\0XWHARF_DEPLOYMENT=other\0WHARF_DEPLOYMENT={deployment}\0WHARF_INSTANCE_ID={instance}\0WHARF_ATTEMPT=3\0"
            )
        };
        let key = Key {
            instance: instance.clone(),
            attempt: Attempt(3),
        };
        assert_eq!(find(environment("mine").as_bytes(), "mine"), Some(Mark::Task(key)));
        assert_eq!(find(environment("mine2").as_bytes(), "mine"), None);
        assert_eq!(find(b"PATH=/bin\0", "mine"), None);
        assert_eq!(
            find(b"WHARF_DEPLOYMENT=mine\0WHARF_ATTEMPT=x\0", "mine"),
            Some(Mark::Unclaimed)
        );
        assert_eq!(find(b"", "mine"), None);
    }
}
