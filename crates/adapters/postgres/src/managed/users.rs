//! Who runs the server: Wharf's own user, or, where that is root, an ordinary one.

use std::fs;
use wharf_domain::{Code, Failure};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) id: u32,
    pub(super) group: u32,
}

/// Wharf's own user.
pub(super) fn own() -> Result<User, Failure> {
    let id = rustix::process::geteuid().as_raw();
    find(|user| user.id == id)?.ok_or_else(|| {
        Failure::new(
            Code::ConfigInvalid,
            format!("the user {id} that runs Wharf has no name on this machine"),
        )
        .hint(
            "PostgreSQL knows users by name: add it to /etc/passwd, or use a server elsewhere with WHARF_POSTGRES_URL",
        )
    })
}

/// Whom the server has to be started as; `None`: as ourselves.
pub(super) fn runner(configured: &str) -> Result<Option<User>, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let user = find(|user| user.name == configured)?.ok_or_else(|| {
        Failure::new(Code::ConfigInvalid, format!("there is no user {configured} to run the database server as"))
            .hint("PostgreSQL refuses to run as root: install Debian's postgresql, which makes a user, or name one as [databases] user")
    })?;
    if user.id == 0 {
        return Err(
            Failure::new(Code::ConfigInvalid, "the database server cannot run as root")
                .hint("name an ordinary user as [databases] user"),
        );
    }
    Ok(Some(user))
}

fn find(is_it: impl Fn(&User) -> bool) -> Result<Option<User>, Failure> {
    let text = fs::read_to_string("/etc/passwd")
        .map_err(|error| Failure::new(Code::ConfigInvalid, format!("/etc/passwd cannot be read: {error}")))?;
    Ok(text.lines().filter_map(parse).find(is_it))
}

fn parse(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let (name, _, id, group) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    Some(User {
        name: name.to_owned(),
        id: id.parse().ok()?,
        group: group.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_and_nonsense_is_none() {
        let user = parse("postgres:x:102:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash").unwrap();
        assert_eq!((user.name.as_str(), user.id, user.group), ("postgres", 102, 104));
        assert_eq!(parse("postgres:x:one:2"), None);
        assert_eq!(parse(""), None);
    }
}
