//! Which services there are: those of the file, and those that are there without being in it.

use wharf_domain::ServiceName;

use super::{Scope, Walk};
use crate::{
    Source,
    builtin::{self, Variables},
    document::{Document, Table, Value},
    keys::{ecs, service},
    table::{Section, join},
    values::PlatformKind,
};

/// The variable of a target group for services that have none of their own.
const TARGET_GROUP: &str = "TARGET_GROUP_ARN";

impl<'a> Walk<'a> {
    /// The services of the file, and those that are there without it.
    pub(super) fn services(
        &mut self,
        section: &'static Section,
        path: &str,
        document: &'a Document<'a>,
        table: Option<&'a Table<'a>>,
    ) {
        self.named(section, path, document, table, |resolved, name| {
            resolved.services.push(name)
        });
        let variables = Variables(self.environment);
        // The built-in shop has no image.
        if self.resolved.platform == PlatformKind::Docker {
            return;
        }
        if self.resolved.platform != PlatformKind::Ecs {
            self.built_in(section, builtin::storefront(), |name| {
                table.is_none_or(|table| !replaces_built_in(table, name))
            });
            return;
        }
        let has_services = table.is_some_and(|table| !table.is_empty());
        let tenants = builtin::tenants_service(&variables).filter(|_| !has_services);
        if let Some(document) = tenants {
            self.built_in(section, document, |_| true);
        }
        let default = builtin::default_service(&variables);
        let before = self.resolved.services.len();
        self.built_in(section, default, |name| {
            table.is_none_or(|table| !table.contains_key(name))
        });
        // Unless the environment says all that it takes, it is only what events are laid over.
        let is_alone = !has_services && tenants.is_none();
        let has_target_group = variables.has(TARGET_GROUP) && !self.is_target_group_taken();
        if self.resolved.services.len() > before
            && !(self.is_described(builtin::DEFAULT_NAME) && (is_alone || has_target_group))
        {
            self.resolved.template = self.resolved.services.pop();
        }
    }

    /// Whether a service of the file has the general target group: two would take each other's requests.
    fn is_target_group_taken(&self) -> bool {
        let general = Source::Environment {
            variable: TARGET_GROUP.to_owned(),
        };
        let mut others = self
            .resolved
            .services
            .iter()
            .filter(|name| name.as_str() != builtin::DEFAULT_NAME);
        others.any(|name| {
            let path = [
                service::SERVICES.name,
                name.as_str(),
                ecs::ECS.name,
                ecs::ROUTE.name,
                ecs::ROUTE_ARNS.name,
            ]
            .join(".");
            self.resolved
                .entries
                .get(&path)
                .is_some_and(|entry| entry.source == general)
        })
    }

    /// Whether it is known what to run for a service, and where.
    fn is_described(&self, name: &str) -> bool {
        let section = join(&join(service::SERVICES.name, name), ecs::ECS.name);
        [ecs::CLUSTER.name, ecs::TASK_DEFINITION.name].iter().all(|key| {
            let entry = self.resolved.entries.get(&join(&section, key));
            entry.is_some_and(|entry| entry.raw.is_some())
        })
    }

    /// Reads the services of a built-in text that are wanted.
    fn built_in(&mut self, section: &'static Section, document: &'a Document<'a>, is_wanted: impl Fn(&str) -> bool) {
        let services = document.root().get(section.name);
        for (name, value) in services
            .and_then(|services| services.get_ref().as_table())
            .into_iter()
            .flatten()
        {
            if let (Some(definition), Ok(service)) = (value.get_ref().as_table(), name.get_ref().parse::<ServiceName>())
                && is_wanted(service.as_str())
            {
                let below = join(section.name, service.as_str());
                self.resolved.services.push(service);
                self.section(section, &below, Scope::of(document), Some(definition));
            }
        }
    }
}

/// The file's own services for tenants, or one of the same name, take the place of a built-in one.
fn replaces_built_in(services: &Table<'_>, name: &str) -> bool {
    let is_for_tenants = |value: &Value<'_>| {
        let tenant = value
            .get_ref()
            .as_table()
            .and_then(|table| table.get(service::TENANT.name));
        tenant.and_then(|value| value.get_ref().as_bool()) == Some(true)
    };
    services.contains_key(name) || services.iter().any(|(_, value)| is_for_tenants(value))
}
