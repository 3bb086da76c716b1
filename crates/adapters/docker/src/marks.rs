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

/// One container for each owner: Docker has no two of one name.
pub(crate) fn name(owner: &Owner) -> String {
    format!("wharf-{}-{}-{}", owner.deployment, owner.instance, owner.attempt)
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

/// The mark of what is the deployment's and no instance's.
pub(crate) fn deployment_label(deployment: &DeploymentId) -> HashMap<String, String> {
    HashMap::from([(DEPLOYMENT.to_owned(), deployment.to_string())])
}

pub(crate) fn is_marked(labels: &HashMap<String, String>, deployment: &DeploymentId) -> bool {
    labels
        .get(DEPLOYMENT)
        .is_some_and(|marked| marked == deployment.as_str())
}

/// What lists and events are filtered by.
pub(crate) fn filter(deployment: &DeploymentId, instance: Option<&InstanceId>) -> Vec<String> {
    let mut filter = vec![format!("{DEPLOYMENT}={deployment}")];
    filter.extend(instance.map(|instance| format!("{INSTANCE}={instance}")));
    filter
}

/// Whose a container is; `None` where Wharf did not make it.
pub(crate) fn owner(labels: &HashMap<String, String>) -> Option<Owner> {
    Some(Owner {
        deployment: labels.get(DEPLOYMENT)?.parse().ok()?,
        instance: labels.get(INSTANCE)?.parse().ok()?,
        attempt: Attempt(labels.get(ATTEMPT)?.parse().ok()?),
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
        assert_eq!(owner(&labels), Some(owner_of_it));
        assert_eq!(notes(&labels), noted);
        assert_eq!(notes(&HashMap::new()), Notes::default());
        assert_eq!(owner(&HashMap::new()), None);
    }
}
