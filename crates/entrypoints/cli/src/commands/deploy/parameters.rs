//! What the stack is told: from the command line, the environment, the configuration and the task definitions, in this order. Nobody is asked here.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use wharf_aws::ecs::Needs;
use wharf_config::{Config, DatabaseKind};
use wharf_domain::{
    Code, Failure, Service,
    service::{EcsTask, RouteRule, RunSpec},
};

use super::template::{Parameter, Template};

/// Stands for a list of none, which a parameter cannot be. Nothing on AWS has this name.
const NOBODY: &str = "-";
/// Of what is there already. Only said outright: a shell that is set up for a server beside the stack names the stack's own.
const EXISTING: &str = "Existing";

/// A parameter with its value, and who said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) from: String,
}

/// All that are set, and what is to be said about those that are not.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) set: BTreeMap<String, Set>,
    pub(super) notes: Vec<String>,
}

impl Parameters {
    /// The first one that says something is right.
    fn set(&mut self, name: &str, value: impl Into<String>, from: impl Into<String>) {
        let set = Set {
            name: name.to_owned(),
            value: value.into(),
            from: from.into(),
        };
        self.set.entry(name.to_owned()).or_insert(set);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// `K=V` of the command line.
    pub(super) fn said(&mut self, template: &Template, said: &[String]) -> Result<(), Failure> {
        for text in said {
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| refused(format!("{text:?} is not of the form NAME=VALUE")))?;
            let option = match name {
                "Stage" => Some("--stage"),
                "Architecture" => Some("--arch"),
                _ => None,
            };
            if let Some(option) = option {
                return Err(refused(format!("the parameter {name} has an option of its own"))
                    .hint(format!("say {option} {value}")));
            }
            let parameter = template.parameter(name).ok_or_else(|| unknown(name, template))?;
            self.set(name, fitting(parameter, value, "--parameter")?, "--parameter");
        }
        Ok(())
    }

    /// From options that stand for parameters.
    pub(super) fn options(&mut self, from: &str, values: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in values {
            self.set(&name, value, from);
        }
    }

    /// From the variables that the function is to have.
    pub(super) fn environment(
        &mut self,
        template: &Template,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        for variable in &template.variables {
            let Some(value) = environment.get(&variable.name).filter(|value| !value.is_empty()) else {
                continue;
            };
            if variable.parameter.starts_with(EXISTING) {
                if !self.has(&variable.parameter) {
                    self.notes.push(format!(
                        "{} is set here, and the stack has its own unless told: --parameter {}={value}",
                        variable.name, variable.parameter
                    ));
                }
                continue;
            }
            let parameter = template
                .parameter(&variable.parameter)
                .ok_or_else(|| Failure::internal(format!("the template has no parameter {}", variable.parameter)))?;
            let value = fitting(parameter, value, &variable.name)?;
            self.set(&variable.parameter, value, format!("environment {}", variable.name));
        }
        if environment.get("RESEND_API_KEY").is_some_and(|key| !key.is_empty()) && !self.has("ResendSecret") {
            self.notes.push(
                "RESEND_API_KEY is not handed on: keep it in Secrets Manager, and name it with --parameter ResendSecret=NAME"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Where tenants' databases are made. A password is never handed on.
    pub(super) fn databases(&mut self, config: &Config, environment: &BTreeMap<String, String>) {
        let aws = &config.aws;
        for (name, value) in [
            ("PostgresSecret", &aws.postgres_secret),
            ("PostgresAddress", &aws.postgres_address),
        ] {
            if let Some(value) = value {
                self.set(name, value, "configuration");
            }
        }
        let is_set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
        if is_set("WHARF_POSTGRES_URL") && !self.has("PostgresSecret") {
            self.notes.push(
                "WHARF_POSTGRES_URL is not handed on: keep it in Secrets Manager, and name it with --parameter PostgresSecret=NAME"
                    .to_owned(),
            );
        }
        if config.databases.kind == DatabaseKind::Postgres && !self.has("DatabaseSubnets") {
            self.notes.push(
                "DatabaseSubnets is not set: the function that makes databases keeps those that it has, or is outside of every network, and reaches servers \
                 that are reached from anywhere"
                    .to_owned(),
            );
        }
    }

    /// What the function is allowed to touch: what the configuration names, and no more.
    pub(super) fn reach(&mut self, config: &Config) {
        let reach = Reach::of(config);
        let from = "configuration";
        self.set("AllowedClusters", listed(&reach.clusters), from);
        self.set("AllowedTaskDefinitions", listed(&reach.families), from);
        self.set("AllowedTargetGroups", listed(&reach.target_groups), from);
        let balancers: Vec<_> = reach.load_balancers.into_iter().collect();
        match balancers.as_slice() {
            [] => {}
            [one] => self.set("AllowedLoadBalancers", one, from),
            several => {
                if !self.has("AllowedLoadBalancers") {
                    self.notes.push(format!(
                        "rules are made at several load balancers ({}), and the parameter takes one pattern: \
                         say --parameter AllowedLoadBalancers=…",
                        several.join(", ")
                    ));
                }
            }
        }
    }

    /// Variables of a service for which the stack has no parameter do not reach the function.
    pub(super) fn unheard(&mut self, template: &Template, config: &Config, environment: &BTreeMap<String, String>) {
        for service in config.services.values() {
            let prefix = service.name.as_str().to_uppercase().replace('-', "_");
            for ending in ["CLUSTER", "TASK_DEF", "TARGET_GROUP_ARN", "SUBNETS", "SECURITY_GROUPS"] {
                let name = format!("{prefix}_{ending}");
                let is_known = template.variables.iter().any(|variable| variable.name == name);
                if !is_known && environment.get(&name).is_some_and(|value| !value.is_empty()) {
                    let note =
                        format!("{name} is set here, and the stack has no parameter for it: write it into wharf.toml");
                    self.notes.push(note);
                }
            }
        }
    }

    /// What the task definitions need.
    pub(super) fn needs(&mut self, needs: &Needs) {
        let roles = needs
            .roles
            .iter()
            .filter_map(|arn| Some(arn.split_once(":role/")?.1.to_owned()));
        self.set("AllowedTaskRoles", listed(&roles.collect()), "task definitions");
        self.set("AllowedLogGroups", listed(&needs.log_groups), "task definitions");
    }

    /// The variables that the function will have, as far as the configuration's checks see them.
    pub(super) fn function_environment(&self, template: &Template) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        for variable in &template.variables {
            let set = self.set.get(&variable.parameter).map(|set| set.value.clone());
            let default = || {
                template
                    .parameter(&variable.parameter)
                    .map(|parameter| parameter.default.clone())
            };
            if let Some(value) = set.or_else(default).filter(|value| !value.is_empty()) {
                variables.insert(variable.name.clone(), value);
            }
        }
        // What only the stack knows, by the form that it has.
        let url = variables
            .entry("WHARF_SERVER_PUBLIC_URL".to_owned())
            .or_insert_with(|| "https://api.execute-api.us-east-1.amazonaws.com".to_owned());
        let host = url.rsplit('/').next().unwrap_or_default().to_owned();
        variables.insert("WHARF_SERVER_CONSOLE_HOST".to_owned(), host);
        let function = || "start-engines-databases".to_owned();
        variables
            .entry("WHARF_AWS_DATABASES_FUNCTION".to_owned())
            .or_insert_with(function);
        if variables.get("WHARF_SIGNUP_OPEN").is_some_and(|open| open == "true") {
            variables.insert("WHARF_SIGNUP_VERIFY_EMAIL".to_owned(), "false".to_owned());
        }
        variables
    }
}

/// A value as the parameter takes it: of fixed ones, whichever way it is written.
fn fitting(parameter: &Parameter, value: &str, from: &str) -> Result<String, Failure> {
    if parameter.allowed.is_empty() {
        return Ok(value.to_owned());
    }
    let mut allowed = parameter.allowed.iter();
    let fits = allowed.find(|allowed| allowed.eq_ignore_ascii_case(value));
    fits.cloned().ok_or_else(|| {
        let allowed: Vec<_> = parameter
            .allowed
            .iter()
            .filter(|text| !text.is_empty())
            .cloned()
            .collect();
        refused(format!(
            "{from}: {value:?} is nothing that the parameter {} can be",
            parameter.name
        ))
        .hint(format!("it is one of {}", allowed.join(", ")))
    })
}

fn unknown(name: &str, template: &Template) -> Failure {
    let plain = |text: &str| text.to_lowercase();
    let names: Vec<_> = template
        .parameters
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect();
    let near: Vec<_> = names
        .iter()
        .copied()
        .filter(|known| plain(known).contains(&plain(name)) || plain(name).contains(&plain(known)))
        .collect();
    let shown = if near.is_empty() { names } else { near };
    refused(format!("the stack has no parameter {name}")).hint(format!("it has {}", shown.join(", ")))
}

fn refused(message: String) -> Failure {
    Failure::new(Code::ConfigInvalid, message)
}

fn listed(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return NOBODY.to_owned();
    }
    names.iter().cloned().collect::<Vec<_>>().join(",")
}

/// The names of what a configuration touches.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reach {
    clusters: BTreeSet<String>,
    families: BTreeSet<String>,
    target_groups: BTreeSet<String>,
    load_balancers: BTreeSet<String>,
}

/// Every task that the configuration describes, with its service.
fn tasks(config: &Config) -> impl Iterator<Item = (&Service, &EcsTask)> {
    let services = config.services.values().chain(&config.events.template);
    services.filter_map(|service| match &service.run {
        RunSpec::Ecs(task) => Some((service, task)),
        RunSpec::Process { .. } | RunSpec::Docker(_) => None,
    })
}

/// The task definitions that the configuration names; patterns name none that could be described.
pub(super) fn task_definitions(config: &Config) -> BTreeSet<&str> {
    tasks(config)
        .map(|(_, task)| task.task_definition.as_str())
        .filter(|name| !name.is_empty())
        .collect()
}

impl Reach {
    fn of(config: &Config) -> Self {
        let mut reach = Self::default();
        for (service, task) in tasks(config) {
            reach.clusters.insert(last(&task.cluster).to_owned());
            reach.families.insert(family(&task.task_definition).to_owned());
            let RouteRule::TargetGroups { arns, rule, .. } = &service.route else {
                continue;
            };
            reach
                .target_groups
                .extend(arns.iter().map(|arn| after(arn, "targetgroup/").to_owned()));
            let listener = rule.as_ref().map(|rule| after(&rule.listener, "listener/"));
            let balancer = listener.and_then(|path| path.split('/').find(|part| !["app", "net"].contains(part)));
            reach.load_balancers.extend(balancer.map(str::to_owned));
        }
        let allow = &config.events.allow;
        let patterns = |all: &[wharf_domain::event::Pattern], name: fn(&str) -> &str| {
            let names: Vec<_> = all.iter().map(|pattern| name(pattern.as_str()).to_owned()).collect();
            names
        };
        reach.clusters.extend(patterns(&allow.clusters, last));
        reach.families.extend(patterns(&allow.task_definitions, family));
        reach
            .target_groups
            .extend(patterns(&allow.target_groups, |arn| after(arn, "targetgroup/")));
        for names in [&mut reach.clusters, &mut reach.families, &mut reach.target_groups] {
            names.remove("");
        }
        reach
    }
}

/// The name at an ARN's end.
fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn family(name: &str) -> &str {
    let name = last(name);
    name.split(':').next().unwrap_or(name)
}

/// The name that stands in an ARN after what it is; of anything else itself.
fn after<'n>(arn: &'n str, kind: &str) -> &'n str {
    let Some((_, rest)) = arn.split_once(kind) else {
        return arn;
    };
    match kind {
        "targetgroup/" => rest.split('/').next().unwrap_or(rest),
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_config::{Machine, Overrides};

    const FILE: &str = r#"
[events.allow]
clusters = ["team-*"]
task_definitions = ["team-*:*"]
[services.auth.ecs]
cluster = "arn:aws:ecs:us-east-2:111122223333:cluster/auth-cluster"
task_definition = "auth-api-task:7"
subnets = ["subnet-1"]
[services.auth.ecs.route]
kind = "target_groups"
arns = ["arn:aws:elasticloadbalancing:us-east-2:111122223333:targetgroup/auth-lb/0123456789abcdef"]
rule = { listener = "arn:aws:elasticloadbalancing:us-east-2:111122223333:listener/app/services/50dc6c495c0c9188/f2f7dc8efc522ab2", path = "/api/auth/*" }
"#;

    fn config(text: &str) -> Config {
        let path = std::path::Path::new("/wharf.toml");
        let variables = [
            ("WHARF_SERVER_CONSOLE_HOST", "api.example.com"),
            ("WHARF_SERVER_PUBLIC_URL", "https://api.example.com"),
        ];
        let variables = variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        Config::load(Some((path, text)), &variables, &Overrides::default(), Machine::lambda())
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn value<'p>(parameters: &'p Parameters, name: &str) -> &'p str {
        parameters.set.get(name).map_or("", |set| &set.value)
    }

    #[test]
    fn what_is_configured_is_within_reach_and_nothing_else() {
        let mut parameters = Parameters::default();
        parameters.reach(&config(FILE));
        assert_eq!(value(&parameters, "AllowedClusters"), "auth-cluster,team-*");
        assert_eq!(value(&parameters, "AllowedTaskDefinitions"), "auth-api-task,team-*");
        assert_eq!(value(&parameters, "AllowedTargetGroups"), "auth-lb");
        assert_eq!(value(&parameters, "AllowedLoadBalancers"), "services");
    }

    #[test]
    fn only_the_roles_of_the_task_definitions_are_handed_on() {
        let mut parameters = Parameters::default();
        parameters.needs(&Needs {
            roles: ["arn:aws:iam::111122223333:role/service-role/shop".to_owned()].into(),
            log_groups: ["/ecs/shop".to_owned()].into(),
        });
        assert_eq!(value(&parameters, "AllowedTaskRoles"), "service-role/shop");
        assert_eq!(value(&parameters, "AllowedLogGroups"), "/ecs/shop");
        let mut parameters = Parameters::default();
        parameters.needs(&Needs::default());
        assert_eq!(value(&parameters, "AllowedTaskRoles"), "-", "a list is never empty");
    }

    #[test]
    fn the_command_line_outranks_the_environment() {
        let template = Template::read();
        let environment = [
            ("SUBNETS", "subnet-1,subnet-2"),
            ("ECS_CLUSTER", "mine"),
            ("CLUSTER_NAME", "other"),
            ("LOG_LEVEL", "debug"),
            ("TABLE_NAME", "ports"),
            ("RESEND_API_KEY", "re_secret"),
        ];
        let environment = environment
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let mut parameters = Parameters::default();
        parameters
            .said(&template, &["Subnets=subnet-9".to_owned()])
            .expect("a parameter");
        parameters.environment(&template, &environment).expect("good");
        assert_eq!(value(&parameters, "Subnets"), "subnet-9");
        assert_eq!(value(&parameters, "EcsCluster"), "mine");
        assert_eq!(value(&parameters, "LogLevel"), "DEBUG");
        assert!(!parameters.has("ExistingPortsTable"));
        assert_eq!(parameters.notes.len(), 2, "{:?}", parameters.notes);
        let all = format!("{parameters:?}");
        assert!(!all.contains("re_secret"), "{all}");
    }

    #[test]
    fn what_is_no_parameter_or_no_value_of_one_is_refused() {
        let template = Template::read();
        let refusal = |text: &str| {
            let said = [text.to_owned()];
            Parameters::default()
                .said(&template, &said)
                .expect_err("refused")
                .to_string()
        };
        assert!(refusal("Subnet=x").contains("no parameter Subnet"));
        assert!(refusal("Subnets").contains("NAME=VALUE"));
        assert!(refusal("TaskWaitTimeout=17").contains("TaskWaitTimeout"));
        assert!(refusal("Stage=x").contains("option of its own"));
    }
}
