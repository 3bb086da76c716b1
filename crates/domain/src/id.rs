//! Identifiers. Each has its own type, and a prefix by which a reader of a log knows what it is.

use data_encoding::Encoding;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr, sync::LazyLock};

use crate::Timestamp;

/// Crockford's base 32 in lower case: sorts as the bytes do, and has no letter that reads as another.
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = data_encoding::Specification::new();
    spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    spec.encoding().expect("the alphabet is a valid one")
});

const INSTANCE_PREFIX: &str = "inst_";
const DEPLOYMENT_PREFIX: &str = "dep_";
/// With an instance and an attempt it has to fit into what ECS keeps of a task's starter (128 characters).
const DEPLOYMENT_NAME_MAX: usize = 32;

/// Why a text is not the id that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id of the form {form}")]
pub struct ParseIdError {
    pub text: String,
    pub form: &'static str,
}

/// One instance: `inst_` and 26 characters. Ids made later sort later. It grants nothing: it may stand in a log or a header.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId(String);

impl InstanceId {
    /// 48 bits of time and 80 of chance, so that an index over ids grows at its end.
    #[must_use]
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&now.as_millis().to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        Self(format!("{INSTANCE_PREFIX}{}", BASE32.encode(&bytes)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(INSTANCE_PREFIX) {
            Some(rest) if rest.len() == 26 && BASE32.decode(rest.as_bytes()).is_ok() => Ok(Self(text.to_owned())),
            _ => Err(ParseIdError {
                text: text.chars().take(64).collect(),
                form: "inst_ and 26 characters",
            }),
        }
    }
}

impl TryFrom<String> for InstanceId {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One deployment of Wharf: what its resources in the world are marked with. Made once and kept in the registry, or given a name where
/// something outside has to know it before there is a registry (a rule that filters events by their mark).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentId(String);

impl DeploymentId {
    #[must_use]
    pub fn new(random: [u8; 10]) -> Self {
        Self(format!("{DEPLOYMENT_PREFIX}{}", BASE32.encode(&random)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeploymentId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_made = text
            .strip_prefix(DEPLOYMENT_PREFIX)
            .is_some_and(|rest| rest.len() == 16 && BASE32.decode(rest.as_bytes()).is_ok());
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=DEPLOYMENT_NAME_MAX).contains(&text.len()) && text.bytes().all(plain);
        if is_made || is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseIdError {
                text: text.chars().take(64).collect(),
                form: "dep_ and 16 characters, or a name of 1 to 32 lower-case letters, digits and hyphens",
            })
        }
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a task within its instance's life: 1 at first, one more for each heal, restart or wake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What lets its bearer watch one instance's way to Ready: 128 bits, shown once, kept only as its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusToken(String);

impl StatusToken {
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(BASE32.encode(&bytes))
    }

    /// `None` where the text cannot be a token at all.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 26 && BASE32.decode(text.as_bytes()).is_ok()).then(|| Self(text.to_owned()))
    }

    /// The token itself. Only an answer to the one who asked for the instance may hold it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// SHA-256 in hexadecimal: what the registry keeps.
    #[must_use]
    pub fn hash(&self) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(self.0.as_bytes()))
    }
}

impl fmt::Debug for StatusToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatusToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_ids_sort_by_time_and_parse_back() {
        let early = InstanceId::new(Timestamp(1_000), [255; 10]);
        let late = InstanceId::new(Timestamp(1_001), [0; 10]);
        assert!(early < late);
        assert_eq!(early.as_str().parse(), Ok(early.clone()));
    }

    #[test]
    fn nonsense_is_no_id() {
        for text in [
            "",
            "inst_",
            "inst_0123",
            "dep_00000000000000000000000000",
            "inst_!!!!!!!!!!!!!!!!!!!!!!!!!!",
        ] {
            assert!(text.parse::<InstanceId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_deployment_is_made_or_named() {
        let made = DeploymentId::new([3; 10]);
        assert_eq!(made.as_str().parse(), Ok(made.clone()));
        for name in ["dev", "shop-prod-2"] {
            assert_eq!(name.parse::<DeploymentId>().expect("a name").as_str(), name);
        }
        for text in ["", "Dev", "a/b", "dep_short", &"a".repeat(33)] {
            assert!(text.parse::<DeploymentId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let token = StatusToken::new([7; 16]);
        assert!(!format!("{token:?}").contains(token.reveal()));
        assert_eq!(StatusToken::parse(token.reveal()), Some(token));
    }
}
