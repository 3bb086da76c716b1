//! How a task says whose it is: `startedBy`, tags, and the token by which ECS knows a request that is repeated. Pure.

use aws_sdk_ecs::types::Tag;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use wharf_domain::{Attempt, ServiceName};
use wharf_platform::Owner;

use super::{definitions::NetworkMode, shape::Shape};

const PREFIX: &str = "wharf/";

/// `wharf/<deployment>/<instance>/<attempt>`: 60 to 68 characters, of which ECS takes 128.
pub(crate) fn started_by(owner: &Owner) -> String {
    format!("{PREFIX}{}/{}/{}", owner.deployment, owner.instance, owner.attempt)
}

/// Whose a task is; `None` where Wharf did not start it.
pub(crate) fn owner_of(started_by: &str) -> Option<Owner> {
    let mut parts = started_by.strip_prefix(PREFIX)?.split('/');
    let owner = Owner {
        deployment: parts.next()?.parse().ok()?,
        instance: parts.next()?.parse().ok()?,
        attempt: Attempt(parts.next()?.parse().ok()?),
    };
    parts.next().is_none().then_some(owner)
}

/// 64 hexadecimal digits, as long as a token may be.
pub(crate) fn client_token(owner: &Owner) -> String {
    HEXLOWER.encode(&Sha256::digest(started_by(owner)))
}

/// What a later look, in whatever process, has to know of a task beside what ECS tells: it stands in the task's tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) container: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) network: Option<NetworkMode>,
    /// Its endpoint is where visitors go: a public address rather than a private one.
    pub(crate) public: bool,
    pub(crate) host_address: Option<IpAddr>,
}

const CONTAINER: &str = "wharf:container";
const PORT: &str = "wharf:port";
const NETWORK: &str = "wharf:network-mode";
const ADDRESS: &str = "wharf:address";
const HOST_ADDRESS: &str = "wharf:host-address";

impl Notes {
    pub(crate) fn of(shape: &Shape, public: bool, host_address: Option<IpAddr>) -> Self {
        Self {
            container: Some(shape.container.clone()),
            port: Some(shape.port),
            network: Some(shape.network),
            public,
            host_address,
        }
    }

    pub(crate) fn read<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut notes = Self::default();
        for (key, value) in tags {
            match key {
                CONTAINER => notes.container = Some(value.to_owned()),
                PORT => notes.port = value.parse().ok(),
                NETWORK => notes.network = NetworkMode::named(value),
                ADDRESS => notes.public = value == "public",
                HOST_ADDRESS => notes.host_address = value.parse().ok(),
                _ => {}
            }
        }
        notes
    }
}

/// The tags of a task, always in this order: a repeated request has to be the same one.
pub(crate) fn tags(owner: &Owner, service: &ServiceName, notes: &Notes) -> Vec<Tag> {
    let mut pairs = vec![
        ("wharf:deployment", owner.deployment.to_string()),
        ("wharf:instance", owner.instance.to_string()),
        ("wharf:attempt", owner.attempt.to_string()),
        ("wharf:service", service.to_string()),
    ];
    let address = if notes.public { "public" } else { "private" };
    pairs.push((ADDRESS, address.to_owned()));
    pairs.extend(notes.container.clone().map(|container| (CONTAINER, container)));
    pairs.extend(notes.port.map(|port| (PORT, port.to_string())));
    pairs.extend(notes.network.map(|network| (NETWORK, network.name().to_owned())));
    pairs.extend(notes.host_address.map(|address| (HOST_ADDRESS, address.to_string())));
    pairs.into_iter().map(|(key, value)| tag(key, value)).collect()
}

pub(crate) fn tag(key: &str, value: impl Into<String>) -> Tag {
    Tag::builder().key(key).value(value).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::{DeploymentId, InstanceId, Timestamp};

    fn owner() -> Owner {
        Owner {
            deployment: DeploymentId::new([1; 10]),
            instance: InstanceId::new(Timestamp(1), [2; 10]),
            attempt: Attempt(u32::MAX),
        }
    }

    #[test]
    fn a_task_says_whose_it_is() {
        let text = started_by(&owner());
        assert!(text.len() <= 128, "{text}");
        assert!(
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b)),
            "{text}"
        );
        assert_eq!(owner_of(&text), Some(owner()));
    }

    #[test]
    fn others_tasks_are_nobody_s() {
        let own = started_by(&owner());
        for text in [
            "",
            "ecs-svc/1234",
            "wharf/",
            "wharf/dep/inst/1",
            &format!("{own}/2"),
            &own[1..],
        ] {
            assert_eq!(owner_of(text), None, "{text}");
        }
    }

    #[test]
    fn each_attempt_has_a_token_of_its_own() {
        let next = Owner {
            attempt: Attempt(1),
            ..owner()
        };
        assert_ne!(client_token(&owner()), client_token(&next));
        assert_eq!(client_token(&owner()), client_token(&owner()));
        assert_eq!(client_token(&owner()).len(), 64);
    }

    #[test]
    fn what_is_noted_is_read_back() {
        let notes = Notes {
            container: Some("web".into()),
            port: Some(8080),
            network: Some(NetworkMode::Bridge),
            public: true,
            host_address: Some("192.0.2.7".parse().expect("an address")),
        };
        let tags = tags(&owner(), &"shop".parse().expect("a name"), &notes);
        let pairs = tags.iter().filter_map(|tag| Some((tag.key()?, tag.value()?)));
        assert_eq!(Notes::read(pairs), notes);
    }
}
