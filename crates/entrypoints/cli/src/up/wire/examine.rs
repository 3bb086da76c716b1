//! What `wharf doctor` looks at on AWS and on Docker, and of databases: the configuration, as the adapters' examinations take it. How it is shown is the
//! command's business.

use std::sync::Arc;
use wharf_aws::{ClientOptions, Clients, Doctor, Governor, Tables, doctor::Deployment};
use wharf_config::{Config, PlatformKind, RegistryKind};
use wharf_docker::doctor::{self as docker, Check, Checked};
use wharf_local::{OsIds, SystemClock};

use super::{
    Layout, databases,
    databases_on_aws::OnAws,
    docker::{credentials, warm},
};

pub(crate) use wharf_aws::doctor::{Answers, Examination, Finding, Grade};

/// The databases of whichever platform. Reads only, with a bound on each question.
pub(crate) async fn examine_databases(config: &Config) -> Vec<Finding> {
    match config.platform.kind {
        PlatformKind::Process | PlatformKind::Docker => databases::examine(config).await,
        PlatformKind::Ecs => {
            let governor = Governor::new(wharf_wiring::one_of(config.aws.share), Arc::new(OsIds));
            let on_aws = OnAws::new(Arc::new(clients(config)), Arc::new(governor));
            on_aws.examine(config).await
        }
    }
}

fn clients(config: &Config) -> Clients {
    Clients::new(ClientOptions {
        region: config.aws.region.clone(),
        ..ClientOptions::default()
    })
}

/// Reads only; it ends within `wharf_aws::doctor::TIME_LIMIT`.
pub(crate) async fn examine(config: &Config) -> Examination {
    let clients = clients(config);
    let (names, aws) = (&config.registry, &config.aws);
    let secrets = [
        ("admin token", &aws.admin_token_secret),
        ("key of status tokens", &aws.token_key_secret),
        ("API key of Resend", &aws.resend_secret),
        ("PostgreSQL server", &aws.postgres_secret),
    ];
    let deployment = Deployment {
        services: config.services.values().collect(),
        tables: (names.kind == RegistryKind::Dynamodb).then(|| Tables {
            wharf: names.table.to_string(),
            ports: names.ports_table.to_string(),
            registry: names.users_table.to_string(),
        }),
        queue_url: aws.queue_url.as_deref(),
        databases_function: aws.databases_function.as_deref(),
        secrets: secrets
            .into_iter()
            .filter_map(|(what, name)| Some((what, name.as_deref()?)))
            .collect(),
    };
    let doctor = Doctor::new(clients, Arc::new(SystemClock), Arc::new(OsIds));
    doctor.examine(&deployment).await
}

/// Reads only, with a bound on each question.
pub(crate) async fn examine_docker(config: &Config) -> Vec<Finding> {
    let file = credentials(config);
    let layout = Layout::new(config.server.data_dir.clone());
    let warm = docker::Warm {
        services: &warm(config),
        folder: &layout.warm(),
    };
    let checks = docker::examine(&config.docker.host, file.as_deref(), config.services.values(), warm).await;
    checks.into_iter().map(finding).collect()
}

fn finding(check: Check) -> Finding {
    let (grade, found, hint) = match check.result {
        Checked::Good(found) => (Grade::Ok, found, None),
        Checked::Doubtful { found, hint } => (Grade::Warning, Some(found), Some(hint)),
        Checked::Bad(failure) => (Grade::Failed, Some(failure.to_string()), failure.hint),
    };
    Finding {
        subject: check.subject,
        what: check.what,
        grade,
        found,
        hint,
    }
}
