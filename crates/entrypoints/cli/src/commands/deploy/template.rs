//! The stack as it came with this program: the templates of `deploy/`, what they take, and what of it the function sees. What a deployment says is
//! no matter of this file.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use std::{fs, io, path::Path};
use wharf_domain::{Code, Failure};

const STACK: &str = include_str!("../../../../../../deploy/template.yaml");
const STATE_MACHINE: &str = include_str!("../../../../../../deploy/statemachine.asl.json");

/// What goes along, for whoever has the program alone: they are deployed by hand, before.
const BESIDE: &[(&str, &str)] = &[
    ("alb.yaml", include_str!("../../../../../../deploy/alb.yaml")),
    ("ec2-host.yaml", include_str!("../../../../../../deploy/ec2-host.yaml")),
    (
        "taskdef/crownmercado-poc-task.json",
        include_str!("../../../../../../deploy/taskdef/crownmercado-poc-task.json"),
    ),
    (
        "taskdef/crownmercado-poc-task-fargate.json",
        include_str!("../../../../../../deploy/taskdef/crownmercado-poc-task-fargate.json"),
    ),
];

/// The stack's template within a folder.
pub(super) const STACK_FILE: &str = "template.yaml";
/// What the functions are made of, within the same folder: the one that has the configuration, and the one that makes databases. cargo-lambda gives them
/// their programs' names.
pub(super) const PACKAGES: [&str; 2] = ["bootstrap", "databases"];

/// Where the source tree has the packages, as the template says it.
const CODE_URI: &str = "CodeUri: ../target/lambda/";
/// Where the template has room for the schedules of a configuration.
const SCHEDULES: &str = "  # Here stand the schedules of a configuration, in what `wharf deploy` renders.\n";

/// A parameter of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) default: String,
    /// Any, where it is empty.
    pub(super) allowed: Vec<String>,
}

/// A variable that the function is given, and the parameter that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) parameter: String,
}

/// What the stack takes.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) parameters: Vec<Parameter>,
    pub(super) variables: Vec<Variable>,
}

impl Template {
    /// # Panics
    /// Never: the template is part of the program, and tests read it.
    pub(super) fn read() -> Self {
        let documents = Yaml::load_from_str(STACK).expect("a test reads the template");
        let root = &documents[0];
        let parameters: Vec<Parameter> = entries(root, &["Parameters"])
            .map(|(name, body)| Parameter {
                name,
                default: field(body, "Default").map(text).unwrap_or_default(),
                allowed: match field(body, "AllowedValues") {
                    Some(Yaml::Sequence(items)) => items.iter().map(text).collect(),
                    _ => Vec::new(),
                },
            })
            .collect();
        let is_parameter = |name: &String| parameters.iter().any(|parameter| parameter.name == *name);
        let path = ["Resources", "Function", "Properties", "Environment", "Variables"];
        let variables = entries(root, &path)
            .filter_map(|(name, value)| {
                let parameter = referred(value).into_iter().find(is_parameter)?;
                Some(Variable { name, parameter })
            })
            .collect();
        Self { parameters, variables }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

/// What a value refers to, as a whole or on one side of a condition.
fn referred(value: &Yaml<'_>) -> Vec<String> {
    match value {
        Yaml::Tagged(tag, node) if tag.suffix == "Ref" => vec![text(node)],
        Yaml::Tagged(tag, node) if tag.suffix == "If" => match &**node {
            Yaml::Sequence(items) => items.iter().skip(1).flat_map(referred).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn field<'y, 'i>(node: &'y Yaml<'i>, name: &str) -> Option<&'y Yaml<'i>> {
    match node {
        Yaml::Mapping(fields) => {
            let mut fields = fields.iter();
            fields.find(|(key, _)| text(key) == name).map(|(_, value)| value)
        }
        _ => None,
    }
}

/// The entries of the mapping at a path, in their order.
fn entries<'y, 'i>(root: &'y Yaml<'i>, path: &[&str]) -> impl Iterator<Item = (String, &'y Yaml<'i>)> {
    let node = path.iter().try_fold(root, |node, name| field(node, name));
    let fields = match node {
        Some(Yaml::Mapping(fields)) => Some(fields),
        _ => None,
    };
    fields
        .into_iter()
        .flat_map(|fields| fields.iter().map(|(key, value)| (text(key), value)))
}

fn text(node: &Yaml<'_>) -> String {
    match node {
        Yaml::Value(Scalar::String(text)) => text.to_string(),
        Yaml::Value(Scalar::Integer(number)) => number.to_string(),
        Yaml::Value(Scalar::Boolean(boolean)) => boolean.to_string(),
        _ => String::new(),
    }
}

/// Writes everything that is deployed into a folder, but for the programs themselves: the first package has `wharf.toml` in it, if there is one. `schedules` are
/// resources that the stack has beside its own, `programs` the packages that there will be.
pub(super) fn write(
    folder: &Path,
    configuration: Option<&str>,
    schedules: &str,
    programs: &[&str],
) -> Result<(), Failure> {
    let [main, _] = PACKAGES;
    let package = folder.join(main);
    let put = || -> io::Result<()> {
        fs::create_dir_all(folder.join("taskdef"))?;
        let mut stack = STACK.replace(SCHEDULES, schedules);
        for name in PACKAGES {
            // SAM packs what a function is made of also where a condition keeps it from being made: then it is what there is already.
            let there = if programs.contains(&name) { name } else { main };
            fs::create_dir_all(folder.join(there))?;
            stack = stack.replace(&format!("{CODE_URI}{name}/"), &format!("CodeUri: {there}/"));
        }
        fs::write(folder.join(STACK_FILE), stack)?;
        fs::write(folder.join("statemachine.asl.json"), STATE_MACHINE)?;
        for (name, text) in BESIDE {
            fs::write(folder.join(name), text)?;
        }
        let own = package.join("wharf.toml");
        match configuration {
            Some(text) => fs::write(own, text),
            // One of an earlier time would be in force.
            None if own.exists() => fs::remove_file(own),
            None => Ok(()),
        }
    };
    put().map_err(|error| {
        Failure::new(
            Code::DataDirectory,
            format!("{} cannot be written to: {error}", folder.display()),
        )
        .hint("name another folder with --out")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_documented_variable_has_its_parameter() {
        let template = Template::read();
        let of = |variable: &str| {
            let mut all = template.variables.iter();
            all.find(|known| known.name == variable)
                .map(|known| known.parameter.clone())
        };
        assert_eq!(of("ECS_CLUSTER").as_deref(), Some("EcsCluster"));
        assert_eq!(of("AUTH_TARGET_GROUP_ARN").as_deref(), Some("AuthTargetGroupArn"));
        assert_eq!(of("TABLE_NAME").as_deref(), Some("ExistingPortsTable"));
        assert_eq!(of("WHARF_SERVER_PUBLIC_URL").as_deref(), Some("PublicUrl"));
        assert_eq!(of("WHARF_AWS_POSTGRES_SECRET").as_deref(), Some("PostgresSecret"));
        assert_eq!(of("WHARF_QUEUE_URL"), None, "that is the stack's own");
        assert_eq!(of("WHARF_AWS_DATABASES_FUNCTION"), None, "and that");
        assert!(template.variables.len() > 40, "{}", template.variables.len());
    }

    #[test]
    fn parameters_have_their_defaults_and_choices() {
        let template = Template::read();
        let wait = template.parameter("TaskWaitTimeout").expect("it is one");
        assert_eq!(wait.default, "300");
        assert!(wait.allowed.contains(&"600".to_owned()), "{wait:?}");
        let names: BTreeSet<_> = template.parameters.iter().map(|parameter| &parameter.name).collect();
        assert_eq!(names.len(), template.parameters.len());
        assert_eq!(template.parameter("OpenSignup").expect("it is one").default, "false");
    }

    #[test]
    fn what_is_rendered_finds_its_package_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let schedules = "  Schedulea1:\n    Type: AWS::Scheduler::Schedule\n\n";
        write(folder.path(), Some("# mine"), schedules, &PACKAGES).expect("written");
        let rendered = fs::read_to_string(folder.path().join(STACK_FILE)).expect("a template");
        for name in PACKAGES {
            assert!(rendered.contains(&format!("      CodeUri: {name}/\n")), "{name}");
        }
        assert!(!rendered.contains(CODE_URI));
        assert!(STACK.contains(SCHEDULES) && rendered.contains(schedules) && !rendered.contains(SCHEDULES));
        let documents = Yaml::load_from_str(&rendered).expect("it is YAML");
        assert!(entries(&documents[0], &["Resources"]).any(|(name, _)| name == "Schedulea1"));
        let own = folder.path().join("bootstrap/wharf.toml");
        assert_eq!(fs::read_to_string(&own).expect("it is there"), "# mine");
        write(folder.path(), None, "", &["bootstrap"]).expect("written again");
        assert!(!own.exists());
        let rendered = fs::read_to_string(folder.path().join(STACK_FILE)).expect("a template");
        assert_eq!(
            rendered.matches("CodeUri: bootstrap/\n").count(),
            2,
            "what is not there is not packed"
        );
    }
}
