//! What `wharf doctor` looks at on AWS: the configuration, as the adapter's examination takes it. How it is shown is the command's business.

use std::sync::Arc;
use wharf_aws::{ClientOptions, Clients, Doctor, Tables, doctor::Deployment};
use wharf_config::{Config, RegistryKind};
use wharf_local::{OsIds, SystemClock};

pub(crate) use wharf_aws::doctor::{Answers, Examination, Finding, Grade};

/// Reads only; it ends within `wharf_aws::doctor::TIME_LIMIT`.
pub(crate) async fn examine(config: &Config) -> Examination {
    let clients = Clients::new(ClientOptions {
        region: config.aws.region.clone(),
        ..ClientOptions::default()
    });
    let (names, aws) = (&config.registry, &config.aws);
    let secrets = [
        ("admin token", &aws.admin_token_secret),
        ("key of status tokens", &aws.token_key_secret),
        ("API key of Resend", &aws.resend_secret),
    ];
    let deployment = Deployment {
        services: config.services.values().collect(),
        tables: (names.kind == RegistryKind::Dynamodb).then(|| Tables {
            wharf: names.table.to_string(),
            ports: names.ports_table.to_string(),
            registry: names.users_table.to_string(),
        }),
        queue_url: aws.queue_url.as_deref(),
        secrets: secrets
            .into_iter()
            .filter_map(|(what, name)| Some((what, name.as_deref()?)))
            .collect(),
    };
    let doctor = Doctor::new(clients, Arc::new(SystemClock), Arc::new(OsIds));
    doctor.examine(&deployment).await
}
