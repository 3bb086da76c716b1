//! `wharf.toml`, the environment and the command line, made into one checked configuration.
//!
//! ```text
//! options (file, environment, flags) ─ resolve ─► one value a key ─ settings, services ─► typed ─ rules ─► Config | Problems
//! ```
//!
//! Everything that is known of a key stands once, in the table of `keys`: from it come the check for unknown keys, the reading,
//! [`Config::explain`], [`schema`] and [`reference`]. What must not be here: reading of files, the environment or the machine other than through
//! [`read_file`] and [`Machine::detect`], which the caller calls; and whatever a setting is *for*.

mod builtin;
mod document;
mod explain;
mod keys;
mod lambda;
mod machine;
mod overrides;
mod problem;
mod reference;
mod resolve;
mod resolved;
mod rules;
mod schedules;
mod schema;
mod services;
mod setting;
mod settings;
mod source;
mod suggest;
mod table;
mod values;

use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use wharf_domain::{Booking, Code, Schedule, Service, ServiceName, WebhookName};

use crate::{document::Document, resolve::Inputs, resolved::Resolved};

pub use explain::Explanation;
pub use ipnet::IpNet;
pub use machine::{Machine, read_file};
pub use overrides::Overrides;
pub use problem::{Problem, Problems};
pub use reference::reference;
pub use schema::schema;
pub use settings::{
    Aws, DatabaseSettings, Docker, Events, Heal, Limits, Log, Mail, Names, Notify, Platform, Ports, Registry, Repair,
    Server, ServiceMail, Signup, Smtp, Webhook,
};
pub use source::Source;
pub use values::{
    DatabaseKind, DatabaseName, HookUrl, Host, HostName, Interval, LogFormat, LogLevel, MailKind, Mailbox,
    PlatformKind, PortRange, PublicUrl, Rate, RegistryKind, RepairApply, Secret, SmtpTls, TableName, UrlQuery,
    UrlScheme,
};

/// A configuration in which everything is known to be good.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    pub server: Server,
    pub platform: Platform,
    pub limits: Limits,
    pub signup: Signup,
    pub names: Names,
    pub ports: Ports,
    pub heal: Heal,
    pub databases: DatabaseSettings,
    pub repair: Repair,
    pub mail: Mail,
    pub events: Events,
    pub log: Log,
    pub registry: Registry,
    pub aws: Aws,
    pub docker: Docker,
    pub services: BTreeMap<ServiceName, Service>,
    /// How many containers of a service are started ahead, where it is any.
    pub warm: BTreeMap<ServiceName, u32>,
    pub schedules: Vec<Schedule>,
    /// What services say of their own mails.
    pub service_mails: BTreeMap<ServiceName, ServiceMail>,
    /// Webhooks that come in.
    pub webhooks: BTreeMap<WebhookName, Webhook>,
    /// Who is told of instances.
    pub notify: BTreeMap<WebhookName, Notify>,
    /// What a sign-up gets that names no service; `None` where no service is for tenants.
    pub tenant_service: Option<ServiceName>,
    #[serde(skip)]
    explanations: BTreeMap<String, explain::Told>,
}

impl Config {
    /// What containers that wait for their owners book together. Whoever claims one books it himself from then on, and another is started in its place.
    #[must_use]
    pub fn waiting(&self) -> Booking {
        let each = self.warm.iter().filter_map(|(name, count)| {
            let service = self.services.get(name)?;
            Some(Booking::of(&service.run).times(*count))
        });
        each.fold(Booking::default(), Booking::plus)
    }

    /// Makes a configuration of a file's path and text, the variables of the environment, and the options of the command line; a later one
    /// outranks an earlier one, and all three may be empty.
    ///
    /// Relative paths in the file count from the folder of its path, which is best absolute: tasks run in folders of their own.
    ///
    /// # Errors
    /// Everything that is wrong, at once. A text that is not TOML is reported for that alone.
    pub fn load(
        file: Option<(&Path, &str)>,
        environment: &BTreeMap<String, String>,
        overrides: &Overrides,
        machine: Machine,
    ) -> Result<Self, Problems> {
        let document = match file {
            Some((path, text)) => Document::parse(Some(path.display().to_string()), text).map_err(not_toml)?,
            None => Document::empty(),
        };
        let folder = file
            .and_then(|(path, _)| path.parent())
            .map(Path::to_owned)
            .unwrap_or_default();
        let (flags, mut problems) = overrides.texts();
        let inputs = Inputs {
            file: &document,
            folder,
            environment,
            flags: &flags,
            machine,
        };
        let mut resolved = resolve::resolve(inputs);
        let mut config = Self::typed(&mut resolved, machine);
        for problem in &resolved.problems {
            problems.push(problem.clone());
        }
        if !problems.is_empty() {
            return Err(problems.sorted());
        }
        config.explanations = explain::explanations(resolved);
        Ok(config)
    }

    /// Where the data are, whatever else is wrong with the configuration: a client needs none of the secrets that its server is given. `None` where the file is not
    /// TOML.
    #[must_use]
    pub fn data_dir(
        file: Option<(&Path, &str)>,
        environment: &BTreeMap<String, String>,
        overrides: &Overrides,
        machine: Machine,
    ) -> Option<PathBuf> {
        let document = match file {
            Some((path, text)) => Document::parse(Some(path.display().to_string()), text).ok()?,
            None => Document::empty(),
        };
        let folder = file
            .and_then(|(path, _)| path.parent())
            .map(Path::to_owned)
            .unwrap_or_default();
        let (flags, _) = overrides.texts();
        let mut resolved = resolve::resolve(Inputs {
            file: &document,
            folder,
            environment,
            flags: &flags,
            machine,
        });
        Some(Server::read(&mut resolved).data_dir)
    }

    /// The typed form of what was resolved, held against the rules.
    fn typed(resolved: &mut Resolved<'_>, machine: Machine) -> Self {
        let services = services::read(resolved);
        let template = resolved
            .template
            .clone()
            .map(|name| services::read_template(resolved, name));
        let statics: Vec<_> = rules::static_ranges(&services)
            .into_iter()
            .map(|(range, _)| range)
            .collect();
        let server = Server::read(resolved);
        let signup = Signup::read(resolved, &server);
        let aws = Aws::read(resolved);
        let default_service = rules::default_service(resolved, &services);
        let of_name = |name: &ServiceName| services.iter().find(|read| read.service.name == *name);
        let template = default_service.as_ref().and_then(of_name).or(template.as_ref());
        let template = template
            .map(|read| read.service.clone())
            .filter(|_| resolved.platform == PlatformKind::Ecs);
        let config = Self {
            platform: Platform::read(resolved),
            limits: Limits::read(resolved, machine),
            names: Names::read(resolved, &server),
            ports: Ports::read(resolved, &server, machine, &statics),
            heal: Heal::read(resolved),
            databases: DatabaseSettings::read(resolved),
            repair: Repair::read(resolved),
            mail: Mail::read(resolved, &server, &aws),
            service_mails: settings::service_mails(resolved),
            webhooks: settings::webhooks(resolved),
            notify: settings::notify(resolved),
            events: Events::read(resolved, default_service, template),
            log: Log::read(resolved),
            registry: Registry::read(resolved),
            aws,
            docker: Docker::read(resolved, &server),
            tenant_service: rules::tenant_service(resolved, signup.service.as_ref(), &services),
            services: services
                .iter()
                .map(|read| (read.service.name.clone(), read.service.clone()))
                .collect(),
            warm: services
                .iter()
                .filter(|read| read.warm > 0)
                .map(|read| (read.service.name.clone(), read.warm))
                .collect(),
            schedules: schedules::read(resolved, &services),
            explanations: BTreeMap::new(),
            server,
            signup,
        };
        rules::check(resolved, &config, &services, machine);
        config
    }
}

fn not_toml(errors: Vec<document::SyntaxError>) -> Problems {
    let mut problems = Problems::default();
    for error in errors {
        let message = format!("this is not TOML: {}", error.message);
        problems.push(Problem {
            key: String::new(),
            source: error.source,
            message,
            hint: None,
            code: Code::ConfigInvalid,
        });
    }
    problems.sorted()
}
