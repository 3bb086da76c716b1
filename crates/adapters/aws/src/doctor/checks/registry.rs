//! What all services share: the registry's tables, the queue, Wharf's own secrets.

use super::{
    super::{
        Deployment,
        finding::Notes,
        world::{Known, Table, World},
    },
    list,
};
use crate::store::tables;

pub(in super::super) fn check(deployment: &Deployment<'_>, world: &World, notes: &mut Notes) {
    if let Some(tables) = &deployment.tables {
        for (name, wanted) in tables.all() {
            table(name, wanted, world, notes);
        }
    }
    if let Some(url) = deployment.queue_url {
        queue(url, world, notes);
    }
    for (what, name) in &deployment.secrets {
        secret(what, name, world, notes);
    }
}

fn table(name: &str, wanted: &tables::Table, world: &World, notes: &mut Notes) {
    let what = format!("table {name}");
    let found = match world.tables.get(name) {
        Some(Known::Is(found)) => found,
        Some(Known::Absent) => {
            notes.fail(
                what,
                format!("there is none in {}", world.region),
                "deploy the template (`wharf deploy`), which makes it, or correct its name in [registry] (TABLE_NAME, REGISTRY_TABLE_NAME)",
            );
            return;
        }
        Some(Known::Unknown) | None => return,
    };
    let key = |partition: tables::Attribute, sort: Option<tables::Attribute>| {
        let attributes = [Some(partition), sort].into_iter().flatten();
        attributes
            .map(|attribute| format!("{} ({})", attribute.name(), attribute.kind()))
            .collect::<Vec<_>>()
    };
    let wanted_key = key(wanted.partition, wanted.sort);
    if found.key != wanted_key {
        notes.fail(
            what,
            format!("its key is {}, and has to be {}", list(&found.key), list(wanted_key)),
            "a key cannot be changed: name another table in [registry], or make a new one with the right key and copy the items",
        );
        return;
    }
    let lacking: Vec<String> = wanted
        .indexes
        .iter()
        .filter(|index| found.indexes.get(index.name) != Some(&key(index.partition, Some(index.sort))))
        .map(|index| format!("{} ({})", index.name, list(key(index.partition, Some(index.sort)))))
        .collect();
    if !lacking.is_empty() {
        notes.fail(
            what,
            format!("it lacks the index {}", list(lacking)),
            "deploy the template (`wharf deploy`), or add the index with aws dynamodb update-table",
        );
        return;
    }
    ready(what, found, notes);
}

fn ready(what: String, found: &Table, notes: &mut Notes) {
    // UPDATING takes reads and writes as ever.
    if matches!(found.status.as_str(), "ACTIVE" | "UPDATING") {
        notes.ok(what, format!("{}, key {}", found.status, list(&found.key)));
    } else {
        notes.fail(
            what,
            format!("its status is {}", found.status),
            "wait until it is ACTIVE, or name another table in [registry]",
        );
    }
}

fn queue(url: &str, world: &World, notes: &mut Notes) {
    let name = url.rsplit('/').next().unwrap_or(url);
    let what = format!("queue {name}");
    match &world.queue {
        Known::Is(queue) if queue.has_dead_letters => notes.ok(
            what,
            format!(
                "a message that is being worked on is hidden for {} s",
                queue.visibility.as_secs()
            ),
        ),
        Known::Is(_) => notes.warn(
            what,
            "it has no dead-letter queue: a message that fails comes again until it is too old, and then is gone",
            "set its RedrivePolicy (deploy/template.yaml does)",
        ),
        Known::Absent => notes.fail(
            what,
            format!("there is none at {url}"),
            "deploy the template (`wharf deploy`), or correct aws.queue_url (WHARF_QUEUE_URL)",
        ),
        Known::Unknown => {}
    }
}

fn secret(what: &str, name: &str, world: &World, notes: &mut Notes) {
    let what = format!("secret {name}: {what}");
    match world.secrets.get(name) {
        Some(Known::Is(secret)) if secret.is_being_deleted => notes.fail(
            what,
            "it is scheduled for deletion, and gives its value to nobody",
            format!("aws secretsmanager restore-secret --secret-id {name}"),
        ),
        Some(Known::Is(_)) => notes.ok(what, "it is there"),
        Some(Known::Absent) => notes.fail(
            what,
            format!("there is none in {}", world.region),
            format!("aws secretsmanager create-secret --name {name} --secret-string …, or correct its name in [aws]"),
        ),
        Some(Known::Unknown) | None => {}
    }
}
