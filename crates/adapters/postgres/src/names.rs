//! Names as PostgreSQL takes them: which may be a tenant's, which are Wharf's own, and how they stand in a statement.
//!
//! A tenant's name is taken as it is, quoted, or refused: none is ever changed into another.

use wharf_domain::{DeploymentId, Failure, InstanceId};
use wharf_saga::Ids;

/// `NAMEDATALEN - 1`: PostgreSQL cuts longer names without an error.
const NAME_MAX: usize = 63;
/// Begins the names that Wharf gives by itself. Tenants' begin with `user_`.
const OWN: &str = "wharf_";
/// Of chance, in a name.
const RANDOM_BYTES: usize = 6;

/// Refuses what is not a tenant's database name.
pub(crate) fn check(name: &str) -> Result<(), Failure> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    if name.is_empty() || name.len() > NAME_MAX || name.starts_with(OWN) || !name.bytes().all(is_plain) {
        return Err(Failure::internal(format!("{name:?} is not a database's name")));
    }
    Ok(())
}

/// As an identifier, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// As a string constant, whatever is in it and however `standard_conforming_strings` is set.
pub(crate) fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "''");
    if escaped.contains('\\') {
        format!(" E'{escaped}'")
    } else {
        format!("'{escaped}'")
    }
}

/// Begins the names of a deployment's databases in stock.
pub(crate) fn spare_prefix(deployment: &DeploymentId) -> String {
    format!("{OWN}spare_{deployment}_")
}

/// A name for one more database in stock.
pub(crate) fn spare(deployment: &DeploymentId, ids: &dyn Ids) -> String {
    format!("{}{}", spare_prefix(deployment), random(ids))
}

/// Whether a name is that of a database in this deployment's stock: another deployment's id may begin as this one's does.
pub(crate) fn is_spare(deployment: &DeploymentId, name: &str) -> bool {
    name.strip_prefix(&spare_prefix(deployment)).is_some_and(|rest| {
        rest.len() == 2 * RANDOM_BYTES
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// A name under which a removed instance's database and role wait for their end.
pub(crate) fn removed(instance: &InstanceId, ids: &dyn Ids) -> String {
    format!("{OWN}removed_{instance}_{}", random(ids))
}

fn random(ids: &dyn Ids) -> String {
    let mut bytes = [0; RANDOM_BYTES];
    ids.fill(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::Timestamp;

    struct Same;

    impl Ids for Same {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xab);
        }
    }

    #[test]
    fn only_names_that_postgres_keeps_whole_are_tenants() {
        check("user_acme-co").unwrap();
        check(&format!("user_{}", "a".repeat(58))).unwrap();
        for name in [
            "",
            "user_\"",
            "User_a",
            "user a",
            "wharf_spare_x",
            "user_ä",
            &"a".repeat(64),
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn own_names_fit_and_are_known_again() {
        let deployment: DeploymentId = "a".repeat(32).parse().unwrap();
        let name = spare(&deployment, &Same);
        assert!(name.len() <= NAME_MAX, "{name}");
        assert!(is_spare(&deployment, &name));
        assert!(!is_spare(&"a".parse().unwrap(), &name));
        assert!(!is_spare(&deployment, &format!("{name}0")));
        let instance = InstanceId::new(Timestamp(1), [1; 10]);
        assert!(removed(&instance, &Same).len() <= NAME_MAX);
        assert!(check(&name).is_err());
    }

    #[test]
    fn whatever_is_in_a_text_stays_in_it() {
        assert_eq!(quoted("a\"; DROP DATABASE b; --"), "\"a\"\"; DROP DATABASE b; --\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\' or 1"), " E'\\\\'' or 1'");
    }
}
