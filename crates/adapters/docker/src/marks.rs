//! How a container says whose it is: by its name, which a start that is said again comes upon, and by its labels. Pure.

use std::collections::HashMap;
use wharf_domain::{Attempt, DeploymentId, InstanceId, ServiceName};
use wharf_platform::Owner;

const DEPLOYMENT: &str = "wharf.deployment";
const INSTANCE: &str = "wharf.instance";
const ATTEMPT: &str = "wharf.attempt";
const SERVICE: &str = "wharf.service";
const PORT: &str = "wharf.port";
const HOST_PORT: &str = "wharf.host-port";
const PUBLIC: &str = "wharf.public";
/// What a container is that was started ahead: labels stay as they are for good, and names do not, so that its name says whose it became.
const WARM: &str = "wharf.warm";
const SLOT: &str = "wharf.slot";

/// One container for each owner: Docker has no two of one name.
pub(crate) fn name(owner: &Owner) -> String {
    format!("wharf-{}-{}-{}", owner.deployment, owner.instance, owner.attempt)
}

/// A container that is nobody's yet.
pub(crate) fn warm_name(deployment: &DeploymentId, slot: &str) -> String {
    format!("wharf-{deployment}-warm-{slot}")
}

/// The deployment's network.
pub(crate) fn network(deployment: &DeploymentId) -> String {
    format!("wharf-{deployment}")
}

/// What a later look, in whatever process, has to know of a container beside what Docker tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Where the application listens.
    pub(crate) port: Option<u16>,
    /// Published on the host, for the instance's life.
    pub(crate) host_port: Option<u16>,
    /// Its endpoint is the host's, which visitors are given.
    pub(crate) public: bool,
}

pub(crate) fn labels(owner: &Owner, service: &ServiceName, notes: &Notes) -> HashMap<String, String> {
    let mut labels: HashMap<String, String> = [
        (DEPLOYMENT, owner.deployment.to_string()),
        (INSTANCE, owner.instance.to_string()),
        (ATTEMPT, owner.attempt.to_string()),
        (SERVICE, service.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let mut note = |key: &str, value: String| labels.insert(key.to_owned(), value);
    if let Some(port) = notes.port {
        note(PORT, port.to_string());
    }
    if let Some(port) = notes.host_port {
        note(HOST_PORT, port.to_string());
    }
    if notes.public {
        note(PUBLIC, "true".to_owned());
    }
    labels
}

/// Of a container that is nobody's yet. `mark` says what it could become, `slot` where it is told.
pub(crate) fn warm_labels(
    deployment: &DeploymentId,
    service: &ServiceName,
    mark: &str,
    slot: &str,
    port: u16,
) -> HashMap<String, String> {
    [
        (DEPLOYMENT, deployment.to_string()),
        (SERVICE, service.to_string()),
        (WARM, mark.to_owned()),
        (SLOT, slot.to_owned()),
        (PORT, port.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Mark and slot of a container that was started ahead, whoever's it became.
pub(crate) fn warm(labels: &HashMap<String, String>) -> Option<(String, String)> {
    Some((labels.get(WARM)?.clone(), labels.get(SLOT)?.clone()))
}

/// What lists those by.
pub(crate) fn warm_filter(deployment: &DeploymentId) -> Vec<String> {
    vec![format!("{DEPLOYMENT}={deployment}"), WARM.to_owned()]
}

/// The same by service, whatever the deployment.
pub(crate) fn warm_filter_of(service: &ServiceName) -> Vec<String> {
    vec![format!("{SERVICE}={service}"), WARM.to_owned()]
}

/// The mark of what is the deployment's and no instance's.
pub(crate) fn deployment_label(deployment: &DeploymentId) -> HashMap<String, String> {
    HashMap::from([(DEPLOYMENT.to_owned(), deployment.to_string())])
}

pub(crate) fn is_marked(labels: &HashMap<String, String>, deployment: &DeploymentId) -> bool {
    labels
        .get(DEPLOYMENT)
        .is_some_and(|marked| marked == deployment.as_str())
}

/// What lists and events are filtered by: labels.
pub(crate) fn filter(deployment: &DeploymentId) -> Vec<String> {
    vec![format!("{DEPLOYMENT}={deployment}")]
}

/// What lists of one instance's containers are filtered by: the beginning of their names, with or without Docker's slash.
pub(crate) fn names_of(deployment: &DeploymentId, instance: &InstanceId) -> Vec<String> {
    vec![format!("^/?wharf-{deployment}-{instance}-")]
}

/// Whose a container is; `None` where Wharf did not make it, or where it is nobody's yet.
pub(crate) fn owner(labels: &HashMap<String, String>, name: &str) -> Option<Owner> {
    let deployment: DeploymentId = labels.get(DEPLOYMENT)?.parse().ok()?;
    let (instance, attempt) = if labels.contains_key(WARM) {
        let own = name.trim_start_matches('/').strip_prefix("wharf-")?;
        let own = own.strip_prefix(deployment.as_str())?.strip_prefix('-')?;
        own.rsplit_once('-')?
    } else {
        (labels.get(INSTANCE)?.as_str(), labels.get(ATTEMPT)?.as_str())
    };
    Some(Owner {
        instance: instance.parse().ok()?,
        attempt: Attempt(attempt.parse().ok()?),
        deployment,
    })
}

pub(crate) fn notes(labels: &HashMap<String, String>) -> Notes {
    let number = |key| labels.get(key)?.parse().ok();
    Notes {
        port: number(PORT),
        host_port: number(HOST_PORT),
        public: labels.contains_key(PUBLIC),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::Timestamp;

    #[test]
    fn labels_say_whose_a_container_is_and_what_was_noted() {
        let owner_of_it = Owner {
            deployment: DeploymentId::new([1; 10]),
            instance: InstanceId::new(Timestamp(1), [2; 10]),
            attempt: Attempt(3),
        };
        let noted = Notes {
            port: Some(8000),
            host_port: Some(8001),
            public: true,
        };
        let labels = labels(&owner_of_it, &"shop".parse().expect("a name"), &noted);
        assert_eq!(owner(&labels, "any"), Some(owner_of_it));
        assert_eq!(notes(&labels), noted);
        assert_eq!(notes(&HashMap::new()), Notes::default());
        assert_eq!(owner(&HashMap::new(), "any"), None);
    }

    #[test]
    fn a_container_that_was_started_ahead_is_whose_name_it_has() {
        let deployment: DeploymentId = "two-words".parse().expect("a name");
        let labels = warm_labels(&deployment, &"shop".parse().expect("a name"), "mark", "slot", 8000);
        assert_eq!(warm(&labels), Some(("mark".to_owned(), "slot".to_owned())));
        assert_eq!(notes(&labels).port, Some(8000));
        assert_eq!(owner(&labels, &warm_name(&deployment, "slot")), None);
        let claimed = Owner {
            deployment,
            instance: InstanceId::new(Timestamp(1), [2; 10]),
            attempt: Attempt(12),
        };
        let name = name(&claimed);
        assert_eq!(owner(&labels, &name), Some(claimed.clone()));
        assert_eq!(owner(&labels, &format!("/{name}")), Some(claimed));
        for other in ["", "shop", "wharf-two-words-", "wharf-other-inst_1-1"] {
            assert_eq!(owner(&labels, other), None, "{other:?}");
        }
    }
}
