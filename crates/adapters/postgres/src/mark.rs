//! Whose a role is, and since when it waits for its end: what Wharf writes into the comment of a tenant's role.
//!
//! The form stands in servers that outlive this version: a mark that cannot be read is somebody else's.

use serde::{Deserialize, Serialize};
use wharf_domain::{DeploymentId, InstanceId, Timestamp};

/// Begins every comment of Wharf's.
const PREFIX: &str = "wharf ";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) deployment: DeploymentId,
    pub(crate) instance: InstanceId,
    /// There once its instance has given it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) removed: Option<Removed>,
}

/// What was an instance's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Removed {
    /// What it was called.
    pub(crate) name: String,
    pub(crate) at: Timestamp,
    /// Nobody had used it: it is neither kept nor archived.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unused: bool,
}

impl Mark {
    pub(crate) fn new(deployment: &DeploymentId, instance: &InstanceId) -> Self {
        Self {
            deployment: deployment.clone(),
            instance: instance.clone(),
            removed: None,
        }
    }

    pub(crate) fn removed(self, name: &str, at: Timestamp) -> Self {
        Self {
            removed: Some(Removed {
                name: name.to_owned(),
                at,
                unused: false,
            }),
            ..self
        }
    }

    /// The same of what nobody had used.
    pub(crate) fn discarded(self, name: &str, at: Timestamp) -> Self {
        let mut mark = self.removed(name, at);
        if let Some(removed) = &mut mark.removed {
            removed.unused = true;
        }
        mark
    }

    /// As it stands in a comment.
    pub(crate) fn text(&self) -> String {
        let json = serde_json::to_string(self).expect("ids and numbers are JSON");
        format!("{PREFIX}{json}")
    }

    /// What a comment says, if it is one of Wharf's.
    pub(crate) fn read(comment: &str) -> Option<Self> {
        serde_json::from_str(comment.strip_prefix(PREFIX)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_by_every_version() {
        let mark = Mark::new(&DeploymentId::new([1; 10]), &InstanceId::new(Timestamp(1), [2; 10]));
        let text = format!(
            "wharf {{\"deployment\":\"{}\",\"instance\":\"{}\"}}",
            mark.deployment, mark.instance
        );
        assert_eq!(mark.text(), text);
        assert_eq!(Mark::read(&text), Some(mark.clone()));
        let removed = mark.clone().removed("user_acme", Timestamp(7));
        assert!(
            removed
                .text()
                .ends_with("\"removed\":{\"name\":\"user_acme\",\"at\":7}}")
        );
        for gone in [removed, mark.discarded("user_acme", Timestamp(7))] {
            assert_eq!(Mark::read(&gone.text()), Some(gone));
        }
        for other in ["", "accounting", "wharf ", "wharf {}", "wharf {\"deployment\":\"x y\"}"] {
            assert_eq!(Mark::read(other), None, "{other:?}");
        }
    }
}
