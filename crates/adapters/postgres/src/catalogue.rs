//! What is on the server, and whose it is. Reads only.

use tokio_postgres::Row;
use wharf_domain::{Code, DeploymentId, Failure, InstanceId};

use crate::{mark::Mark, names, server::Server};

/// What stands under an instance's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Nothing,
    /// Our role, and no database of its name.
    Role,
    Own,
    /// Our role, beside a database that is another's.
    Usurped(Failure),
    /// What another instance has, of this deployment or of another: nothing of ours can be there.
    Others(Failure),
    /// What is not of Wharf's making.
    Foreign(Failure),
}

/// A role and a database that wait for their end.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// Of both.
    pub(crate) name: String,
    pub(crate) mark: Mark,
    pub(crate) has_database: bool,
}

/// A database in stock.
#[derive(Clone, Debug)]
pub(crate) struct Stocked {
    pub(crate) name: String,
    /// What it was made by, once it is ready.
    pub(crate) fingerprint: Option<String>,
}

fn foreign(what: &str) -> Failure {
    Failure::new(Code::ResourceForeign, format!("on the database server, {what}"))
        .hint("it is left as it is: look whose it is, and rename or drop it")
}

/// Looks at what has this name.
pub(crate) async fn look(
    server: &Server,
    deployment: &DeploymentId,
    instance: &InstanceId,
    name: &str,
) -> Result<Place, Failure> {
    let rows = server
        .query(
            "say what it has",
            "SELECT (SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1), \
                    (SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = $1)",
            &[&name],
        )
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| Failure::internal("a row without a table was not given"))?;
    let (comment, owner): (Option<String>, Option<String>) = (row.get(0), row.get(1));
    Ok(judge(deployment, instance, name, comment.as_deref(), owner.as_deref()))
}

fn judge(
    deployment: &DeploymentId,
    instance: &InstanceId,
    name: &str,
    comment: Option<&str>,
    owner: Option<&str>,
) -> Place {
    let role = comment.map(|comment| {
        Mark::read(comment)
            .filter(|mark| mark.deployment == *deployment && mark.instance == *instance && mark.removed.is_none())
    });
    match (role, owner) {
        (None, None) => Place::Nothing,
        (None, Some(owner)) => Place::Foreign(foreign(&format!("the database {name} belongs to {owner}"))),
        (Some(None), _) => match comment.and_then(Mark::read) {
            Some(mark) => Place::Others(foreign(&format!(
                "the role {name} belongs to {} of deployment {}",
                mark.instance, mark.deployment
            ))),
            None => Place::Foreign(foreign(&format!("the role {name} is not of Wharf's making"))),
        },
        (Some(Some(_)), None) => Place::Role,
        (Some(Some(_)), Some(owner)) if owner == name => Place::Own,
        (Some(Some(_)), Some(owner)) => Place::Usurped(foreign(&format!("the database {name} belongs to {owner}"))),
    }
}

async fn marked(server: &Server) -> Result<Vec<(String, Mark, bool)>, Failure> {
    let rows = server
        .query(
            "list its roles",
            "SELECT rolname::text, description, EXISTS (SELECT FROM pg_database WHERE datname = rolname AND datdba = r.oid) \
             FROM pg_roles r JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass \
             WHERE description LIKE 'wharf {%' ORDER BY rolname",
            &[],
        )
        .await?;
    let read = |row: &Row| {
        let comment: String = row.get(1);
        Mark::read(&comment).map(|mark| (row.get(0), mark, row.get(2)))
    };
    Ok(rows.iter().filter_map(read).collect())
}

/// What instances of this deployment have: a role, and mostly its database.
pub(crate) async fn all(server: &Server, deployment: &DeploymentId) -> Result<Vec<(InstanceId, String)>, Failure> {
    let marked = marked(server).await?;
    let used = marked
        .into_iter()
        .filter(|(_, mark, _)| mark.deployment == *deployment && mark.removed.is_none())
        .map(|(name, mark, _)| (mark.instance, name));
    Ok(used.collect())
}

/// What this deployment has removed and not dropped.
pub(crate) async fn waiting(server: &Server, deployment: &DeploymentId) -> Result<Vec<Waiting>, Failure> {
    let marked = marked(server).await?;
    let waiting = marked
        .into_iter()
        .filter(|(_, mark, _)| mark.deployment == *deployment && mark.removed.is_some())
        .map(|(name, mark, has_database)| Waiting {
            name,
            mark,
            has_database,
        });
    Ok(waiting.collect())
}

/// This deployment's stock: only what Wharf's own user owns.
pub(crate) async fn stock(server: &Server, deployment: &DeploymentId) -> Result<Vec<Stocked>, Failure> {
    let rows = server
        .query(
            "list its databases",
            "SELECT datname::text, shobj_description(oid, 'pg_database') FROM pg_database \
             WHERE starts_with(datname::text, $1) AND pg_get_userbyid(datdba) = current_user ORDER BY datname",
            &[&names::spare_prefix(deployment)],
        )
        .await?;
    let stocked = rows.iter().map(|row| Stocked {
        name: row.get(0),
        fingerprint: row.get(1),
    });
    Ok(stocked.filter(|one| names::is_spare(deployment, &one.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::Timestamp;

    #[test]
    fn only_a_role_with_our_mark_makes_a_database_ours() {
        let deployment = DeploymentId::new([1; 10]);
        let instance = InstanceId::new(Timestamp(1), [1; 10]);
        let ours = Mark::new(&deployment, &instance);
        let judge = |comment: Option<&str>, owner| judge(&deployment, &instance, "user_acme", comment, owner);
        assert_eq!(judge(None, None), Place::Nothing);
        assert_eq!(judge(Some(&ours.text()), None), Place::Role);
        assert_eq!(judge(Some(&ours.text()), Some("user_acme")), Place::Own);
        assert!(matches!(judge(Some(&ours.text()), Some("postgres")), Place::Usurped(_)));
        assert!(matches!(judge(None, Some("postgres")), Place::Foreign(_)));
        assert!(matches!(judge(Some(""), None), Place::Foreign(_)));
        let others = [
            Mark::new(&DeploymentId::new([2; 10]), &instance),
            Mark::new(&deployment, &InstanceId::new(Timestamp(2), [1; 10])),
            ours.removed("user_acme", Timestamp(1)),
        ];
        for mark in others {
            assert!(matches!(judge(Some(&mark.text()), Some("user_acme")), Place::Others(_)));
        }
    }
}
