//! `deploy`: the stack of `deploy/template.yaml`, from the configuration to what it gives out. A plan unless told to apply it.
//!
//! | file | what it is for |
//! |---|---|
//! | `template` | the stack as it came with this program; rendered into a folder |
//! | `parameters`, `schedule` | what the stack is told |
//! | `schedules` | the schedules of the configuration, as resources |
//! | `programs` | `sam` and `cargo-lambda` |
//! | `plan` | what is printed |
//! | `tables` | `deploy tables` |
//!
//! AWS itself is asked only who we are and what task definitions need; it is `sam` that deploys.

mod parameters;
mod plan;
mod programs;
mod schedule;
mod schedules;
mod tables;
mod template;

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};
use wharf_config::{Config, DatabaseKind, Machine, Overrides};
use wharf_domain::{Code, Failure};

use self::{
    parameters::Parameters,
    plan::{Done, OVERRIDES, Plan},
    programs::{CARGO_LAMBDA, SAM, shown},
    template::Template,
};
use super::config;
use crate::{
    args::{Architecture, Deploy as Options, DeployCommand, Global},
    output,
    up::wire::account::Account,
};

/// What the functions' crate is called, and where it is in the source tree.
const CRATE: &str = "wharf-lambda";
const CRATE_MANIFEST: &str = "crates/entrypoints/lambda/Cargo.toml";

pub(crate) async fn run(global: &Global, options: &Options) -> Result<ExitCode, Failure> {
    if let Some(DeployCommand::Tables(tables)) = &options.command {
        return tables::run(global, tables).await;
    }
    let mut deployment = Deployment::prepare(global, options).await?;
    if options.apply {
        if let Some(obstacle) = deployment.plan.obstacles.first() {
            return Err(obstacle.clone());
        }
        deployment.render()?;
        deployment.apply()?;
    } else if options.out.is_some() {
        deployment.render()?;
    }
    output::value(&deployment.plan, global.format(), Plan::text);
    Ok(ExitCode::SUCCESS)
}

/// Where the functions come from.
#[derive(Debug)]
enum Function {
    /// Programs that somebody built, by what each is called in the folder.
    Given(Vec<(&'static str, PathBuf)>),
    /// The source tree, with the words that cargo-lambda is given.
    Built(PathBuf, Vec<String>),
    /// Nowhere, and why.
    None(Failure),
}

struct Deployment {
    plan: Plan,
    function: Function,
    /// The text of the configuration's file.
    configuration: Option<String>,
    /// Resources that the stack has beside its own.
    schedules: String,
    /// What `sam` is given.
    words: Vec<String>,
}

impl Deployment {
    async fn prepare(global: &Global, options: &Options) -> Result<Self, Failure> {
        let template = Template::read();
        let environment = config::environment();
        let file = config::file(global)?;
        let mut parameters = Parameters::default();
        parameters.said(&template, &options.parameters)?;
        if let Some(stage) = &options.stage {
            parameters.options("--stage", [("Stage".to_owned(), stage.clone())]);
        }
        let architecture = options.arch.name();
        parameters.options("--arch", [("Architecture".to_owned(), architecture.to_owned())]);
        parameters.environment(&template, &environment)?;
        let config = load(&parameters.function_environment(&template), file.as_ref())?;
        if parameters::task_definitions(&config).is_empty() && config.events.allow.task_definitions.is_empty() {
            return Err(Failure::new(Code::ConfigInvalid, "no service is configured: the function would have nothing to start")
                .hint("name the configuration with --config (deploy/wharf.toml is an example), or set ECS_CLUSTER and TASK_DEFINITION"));
        }
        parameters.options("times", schedule::parameters(&options.schedule, &config.services)?);
        let schedules = schedules::resources(&config.schedules)?;
        if !schedules.is_empty() {
            parameters.options("[schedules]", [("ConfiguredSchedules".to_owned(), "true".to_owned())]);
        }
        parameters.databases(&config, &environment);
        parameters.unheard(&template, &config, &environment);
        parameters.reach(&config);

        let mut obstacles = Vec::new();
        let account = Account::new(&config, options.region.as_deref());
        let identity = match account.identity().await {
            Ok(identity) => Some(identity),
            Err(failure) => {
                obstacles.push(failure);
                None
            }
        };
        let is_said = parameters.has("AllowedTaskRoles") && parameters.has("AllowedLogGroups");
        if identity.is_some() && !is_said {
            match account.needs(parameters::task_definitions(&config)).await {
                Ok(needs) => parameters.needs(&needs),
                Err(failure) => obstacles.push(failure),
            }
        } else if !is_said {
            parameters.notes.push(
                "the task definitions' roles and log groups are read from ECS, as AllowedTaskRoles and AllowedLogGroups".to_owned(),
            );
        }

        let stage = parameters.set.get("Stage").map_or("dev", |set| &set.value).to_owned();
        parameters.options("default", [("Stage".to_owned(), stage.clone())]);
        let stack = options.stack_name.clone().unwrap_or_else(|| format!("wharf-{stage}"));
        let region = account.region().await;
        let folder = match &options.out {
            Some(folder) => folder.clone(),
            None => super::data_dir(global)?.join("deploy").join(&stage),
        };
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        let function = function(options, &folder);
        match &function {
            Function::None(failure) => obstacles.push(failure.clone()),
            Function::Built(..) => obstacles.extend(CARGO_LAMBDA.find().err()),
            Function::Given(programs) => {
                if config.databases.kind == DatabaseKind::Postgres && programs.len() < template::PACKAGES.len() {
                    obstacles.push(no_databases());
                }
            }
        }
        obstacles.extend(SAM.find().err());

        let words = sam_words(&stack, region.as_deref(), &parameters);
        let build = match &function {
            Function::Given(programs) => {
                let copies = programs.iter();
                let copies =
                    copies.map(|(name, file)| format!("cp {} {}", file.display(), package(&folder, name).display()));
                copies.collect::<Vec<_>>().join(" && ")
            }
            Function::Built(source, words) => format!("cd {} && {}", source.display(), shown("cargo", words)),
            Function::None(_) => format!(
                "# build the function, and put it at {}",
                package(&folder, template::PACKAGES[0]).display()
            ),
        };
        let commands = vec![build, format!("cd {} && {}", folder.display(), shown("sam", &words))];
        let (account_id, arn) = identity.map(|identity| (identity.account, identity.arn)).unzip();
        let plan = Plan {
            stack,
            stage,
            architecture,
            account: account_id,
            identity: arn,
            region,
            endpoint: environment
                .get("AWS_ENDPOINT_URL")
                .filter(|url| !url.is_empty())
                .cloned(),
            configuration: file.as_ref().map(|(path, _)| path.clone()),
            services: config.services.keys().map(ToString::to_string).collect(),
            folder,
            parameters: parameters.set.into_values().collect(),
            notes: parameters.notes,
            obstacles,
            commands,
            done: Done::Nothing,
            outputs: BTreeMap::new(),
        };
        Ok(Self {
            plan,
            function,
            configuration: file.map(|(_, text)| text),
            schedules,
            words,
        })
    }

    /// The functions that there are programs of.
    fn programs(&self) -> Vec<&'static str> {
        match &self.function {
            Function::Given(programs) => programs.iter().map(|(name, _)| *name).collect(),
            Function::Built(..) | Function::None(_) => template::PACKAGES.to_vec(),
        }
    }

    /// Writes the folder, with the functions where they were given.
    fn render(&mut self) -> Result<(), Failure> {
        let (folder, programs) = (&self.plan.folder, self.programs());
        template::write(folder, self.configuration.as_deref(), &self.schedules, &programs)?;
        if let Function::Given(programs) = &self.function {
            for (name, file) in programs {
                let target = package(folder, name);
                let copied = fs::copy(file, &target)
                    .and_then(|_| fs::set_permissions(&target, fs::Permissions::from_mode(0o755)));
                copied.map_err(|error| {
                    Failure::new(
                        Code::DeployFailed,
                        format!("{} cannot be copied: {error}", file.display()),
                    )
                })?;
            }
        }
        self.plan.done = Done::Rendered;
        Ok(())
    }

    /// Builds the functions where they are not given, deploys, and reads what came of it.
    fn apply(&mut self) -> Result<(), Failure> {
        if let Function::Built(source, words) = &self.function {
            CARGO_LAMBDA.run(words, source)?;
        }
        for name in self.programs() {
            examine(&package(&self.plan.folder, name), self.plan.architecture)?;
        }
        SAM.run(&self.words, &self.plan.folder)?;
        self.plan.done = Done::Applied;
        match outputs(&self.plan) {
            Ok(outputs) => self.plan.outputs = outputs,
            // It is deployed all the same.
            Err(failure) => self.plan.notes.push(failure.message),
        }
        Ok(())
    }
}

/// Where a function's program is in a folder.
fn package(folder: &Path, name: &str) -> PathBuf {
    folder.join(name).join("bootstrap")
}

/// The function that makes databases as it was said, or beside the other one: where cargo puts it, or cargo-lambda.
fn beside(options: &Options, bootstrap: &Path) -> Option<PathBuf> {
    if let Some(file) = &options.databases {
        return Some(std::path::absolute(file).unwrap_or_else(|_| file.clone()));
    }
    let folder = bootstrap.parent()?;
    let [_, databases] = template::PACKAGES;
    let places = [folder.join(databases), package(folder.parent()?, databases)];
    places.into_iter().find(|file| file.is_file())
}

fn no_databases() -> Failure {
    Failure::new(
        Code::DeployFailed,
        "tenants are to have databases, and the function that makes them is not there",
    )
    .hint("name it with --databases FILE: it is the program `databases` of the package wharf-lambda")
}

/// The configuration as the function will see it: its file, and the variables that the stack gives it.
fn load(variables: &BTreeMap<String, String>, file: Option<&(PathBuf, String)>) -> Result<Config, Failure> {
    let file = file.map(|(path, text)| (path.as_path(), text.as_str()));
    Config::load(file, variables, &Overrides::default(), Machine::lambda()).map_err(Failure::from)
}

fn function(options: &Options, folder: &Path) -> Function {
    if let Some(file) = &options.bootstrap {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        let [bootstrap, databases] = template::PACKAGES;
        let mut programs = vec![(bootstrap, file.clone())];
        programs.extend(beside(options, &file).map(|file| (databases, file)));
        let mut examined = programs.iter().map(|(_, file)| examine(file, options.arch.name()));
        return match examined.find_map(Result::err) {
            None => Function::Given(programs),
            Some(failure) => Function::None(failure),
        };
    }
    let source = match &options.source {
        Some(folder) => Some(folder.clone()),
        None => env::current_dir().ok(),
    };
    let is_source = |folder: &&Path| folder.join(CRATE_MANIFEST).is_file();
    let found = source.as_deref().and_then(|folder| folder.ancestors().find(is_source));
    let Some(source) = found else {
        let message = "Wharf's source is not here, and the function is built from it";
        return Function::None(Failure::new(Code::DeployFailed, message).hint(
            "run this in the source tree, name it with --source FOLDER, or give a built function with --bootstrap FILE",
        ));
    };
    let source = std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
    let target = match options.arch {
        Architecture::Arm64 => "--arm64",
        Architecture::X86_64 => "--x86-64",
    };
    let folder = folder.display().to_string();
    let words = [
        "lambda",
        "build",
        "--locked",
        "--profile",
        "lambda",
        "--package",
        CRATE,
        "--bin",
        "bootstrap",
        "--bin",
        "databases",
        target,
        "--lambda-dir",
        &folder,
    ];
    Function::Built(source, words.map(str::to_owned).into())
}

/// A program for Lambda, for the right processor. Another one would be deployed, and never start.
fn examine(file: &Path, architecture: &str) -> Result<(), Failure> {
    let found = programs::architecture_of(file).map_err(|error| {
        Failure::new(
            Code::DeployFailed,
            format!("{} cannot be read: {error}", file.display()),
        )
        .hint("build the function, or name the one that is built with --bootstrap FILE")
    })?;
    match found {
        Some(found) if found == architecture => Ok(()),
        Some(found) => Err(Failure::new(
            Code::DeployFailed,
            format!(
                "{} was built for {found}, and the function is to run on {architecture}",
                file.display()
            ),
        )
        .hint(format!("build it for {architecture}, or say --arch {found}"))),
        None => Err(Failure::new(
            Code::DeployFailed,
            format!("{} is no program for Linux on x86_64 or arm64", file.display()),
        )
        .hint("it is a file `bootstrap` that cargo-lambda builds of the package wharf-lambda")),
    }
}

fn sam_words(stack: &str, region: Option<&str>, parameters: &Parameters) -> Vec<String> {
    let mut words: Vec<String> = ["deploy", "--template-file", template::STACK_FILE, "--stack-name", stack]
        .map(str::to_owned)
        .into();
    if let Some(region) = region {
        words.extend(["--region".to_owned(), region.to_owned()]);
    }
    let always = [
        "--capabilities",
        "CAPABILITY_NAMED_IAM",
        "--resolve-s3",
        "--no-confirm-changeset",
        "--no-fail-on-empty-changeset",
        "--no-progressbar",
        OVERRIDES,
    ];
    words.extend(always.map(str::to_owned));
    // In quotes, as sam takes them apart again at blanks.
    let quoted = |value: &str| value.replace('"', r#"\""#);
    let set = parameters.set.values();
    words.extend(set.map(|set| format!("{}=\"{}\"", set.name, quoted(&set.value))));
    words
}

/// What the stack gives out.
fn outputs(plan: &Plan) -> Result<BTreeMap<String, String>, Failure> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Output {
        output_key: String,
        output_value: String,
    }
    let mut words: Vec<String> = ["list", "stack-outputs", "--output", "json", "--stack-name", &plan.stack]
        .map(str::to_owned)
        .into();
    if let Some(region) = &plan.region {
        words.extend(["--region".to_owned(), region.clone()]);
    }
    let printed = SAM.read(&words, &plan.folder)?;
    let outputs: Vec<Output> = serde_json::from_slice(&printed).map_err(|error| {
        Failure::new(
            Code::DeployFailed,
            format!("the stack's outputs cannot be read: {error}"),
        )
    })?;
    let pairs = outputs
        .into_iter()
        .map(|output| (output.output_key, output.output_value));
    Ok(pairs.collect())
}
