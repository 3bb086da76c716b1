//! The settings of containers that have words of their own.

use wharf_domain::service::{Protection, Pull};

use crate::setting::{Choice, Complaint, Text, shown};

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullPolicy {
    Missing,
    Always,
    Never,
}

impl Choice for PullPolicy {
    const TYPE: &'static str = "one of missing, always, never";
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("missing", Self::Missing),
        ("always", Self::Always),
        ("never", Self::Never),
    ];
}

impl From<PullPolicy> for Pull {
    fn from(policy: PullPolicy) -> Self {
        match policy {
            PullPolicy::Missing => Self::Missing,
            PullPolicy::Always => Self::Always,
            PullPolicy::Never => Self::Never,
        }
    }
}

/// A protection that is loosened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loosened(pub(crate) Protection);

impl Choice for Loosened {
    const TYPE: &'static str = "one of capabilities, new-privileges, pids, read-only-root, non-root-user";
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("capabilities", Self(Protection::Capabilities)),
        ("new-privileges", Self(Protection::NewPrivileges)),
        ("pids", Self(Protection::Pids)),
        ("read-only-root", Self(Protection::ReadOnlyRoot)),
        ("non-root-user", Self(Protection::NonRootUser)),
    ];
}

/// System and processor of an image: `linux/arm64`, `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImagePlatform(pub(crate) String);

impl Text for ImagePlatform {
    const TYPE: &'static str = "a platform of images";
    const EXAMPLE: &'static str = "\"linux/arm64\"";

    fn parse(text: &str) -> Result<Self, Complaint> {
        let text = text.trim();
        let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let parts: Vec<&str> = text.split('/').collect();
        if (2..=3).contains(&parts.len()) && parts[0] == "linux" && parts.iter().all(|part| is_part(part)) {
            return Ok(Self(text.to_owned()));
        }
        Err(Complaint::new(format!("{} is not a platform of images", shown(text)))
            .hint("write it as in \"linux/arm64\""))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_a_system_and_a_processor() {
        for good in ["linux/amd64", "linux/arm/v7"] {
            assert_eq!(ImagePlatform::parse(good).expect(good).text(), good);
        }
        for bad in ["amd64", "windows/amd64", "linux/", "linux/a/b/c", "linux/ä"] {
            assert!(ImagePlatform::parse(bad).is_err(), "{bad}");
        }
    }
}
