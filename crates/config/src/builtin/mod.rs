//! Services that are there without being in the file: the bundled shop where tasks are processes, and on ECS those that the documented
//! variables describe. Each is a text like the file's, which the variables then fill in.

use std::{collections::BTreeMap, sync::LazyLock};

use crate::document::Document;

/// The shop, as the reference shows it.
pub(crate) const STOREFRONT_TEXT: &str = include_str!("storefront.toml");

static STOREFRONT: LazyLock<Document<'static>> = LazyLock::new(|| parsed(STOREFRONT_TEXT));
static DEFAULT: LazyLock<Document<'static>> = LazyLock::new(|| parsed(include_str!("default.toml")));
static DEFAULT_DIRECT: LazyLock<Document<'static>> = LazyLock::new(|| parsed(include_str!("default-direct.toml")));
static APP_STATIC: LazyLock<Document<'static>> = LazyLock::new(|| parsed(include_str!("app-static.toml")));
static APP_DYNAMIC: LazyLock<Document<'static>> = LazyLock::new(|| parsed(include_str!("app-dynamic.toml")));

/// What a start event starts that names no service.
pub(crate) const DEFAULT_NAME: &str = "default";

fn parsed(text: &'static str) -> Document<'static> {
    Document::parse(None, text).unwrap_or_else(|_| Document::empty())
}

pub(crate) fn storefront() -> &'static Document<'static> {
    &STOREFRONT
}

/// The service that start events are laid over which name none.
pub(crate) fn default_service(environment: &Variables<'_>) -> &'static Document<'static> {
    if environment.has("TARGET_GROUP_ARN") {
        &DEFAULT
    } else {
        &DEFAULT_DIRECT
    }
}

/// The tenants' service of a deployment that is configured by the documented variables of the provisioner alone.
pub(crate) fn tenants_service(environment: &Variables<'_>) -> Option<&'static Document<'static>> {
    if environment.has("TARGET_GROUP_ARN") || !environment.has("TASK_DEFINITION") {
        return None;
    }
    // Who names a table of ports wants them leased, as documented first; the later form leaves them to ECS.
    if environment.has("TABLE_NAME") {
        Some(&APP_STATIC)
    } else {
        (environment.has("EC2_IP") || environment.has("EC2_PUBLIC_IP")).then_some(&*APP_DYNAMIC)
    }
}

/// The environment, in which an empty variable is none.
pub(crate) struct Variables<'a>(pub(crate) &'a BTreeMap<String, String>);

impl Variables<'_> {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_text_has_one_service() {
        for document in [&STOREFRONT, &DEFAULT, &DEFAULT_DIRECT, &APP_STATIC, &APP_DYNAMIC] {
            let services = document
                .root()
                .get("services")
                .and_then(|services| services.get_ref().as_table());
            assert_eq!(services.map(crate::document::Table::len), Some(1));
        }
    }
}
