//! Webhooks: each has a secret that can sign, and what it is to do can be done.

use data_encoding::BASE64;
use wharf_domain::{Code, WebhookName, webhook::WebhookKind};

use crate::{
    Config,
    keys::webhook as keys,
    resolved::Resolved,
    table::join,
    values::{PlatformKind, Secret},
};

/// What secrets of webhooks begin with, at Stripe and in Standard Webhooks.
const PREFIX: &str = "whsec_";
/// Standard Webhooks asks for so many bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

pub(super) fn check(resolved: &mut Resolved<'_>, config: &Config) {
    for (name, webhook) in &config.webhooks {
        let path = join(keys::WEBHOOKS.name, name.as_str());
        let aws_secret = webhook.aws_secret.as_deref();
        let is_standard = webhook.rules.kind == WebhookKind::Standard;
        let variable = variable(name, "WEBHOOK_SECRET");
        check_secret(
            resolved,
            config,
            &path,
            webhook.secret.as_ref(),
            aws_secret,
            is_standard,
            &variable,
        );
        let chosen = webhook.rules.service.as_ref();
        let service = chosen.or(config.tenant_service.as_ref());
        let service = service.and_then(|service| config.services.get(service));
        let why = match (chosen, service) {
            (_, Some(service)) if service.tenant => continue,
            (Some(chosen), Some(_)) => format!("the service {chosen} is not for tenants"),
            (Some(chosen), None) => format!("the service {chosen} is not configured"),
            (None, _) if webhook.rules.provision.is_empty() => continue,
            (None, _) => "there is no service for tenants that a payment could be for".to_owned(),
        };
        resolved.report(
            &[&join(&path, keys::SERVICE.name)],
            Code::ConfigInvalid,
            why,
            "name a service with tenant = true",
        );
    }
    for (name, notify) in &config.notify {
        let path = join(keys::NOTIFY.name, name.as_str());
        let aws_secret = notify.aws_secret.as_deref();
        let variable = variable(name, "NOTIFY_SECRET");
        check_secret(
            resolved,
            config,
            &path,
            notify.secret.as_ref(),
            aws_secret,
            true,
            &variable,
        );
    }
}

fn variable(name: &WebhookName, tail: &str) -> String {
    format!("{}_{tail}", name.as_str().to_ascii_uppercase().replace('-', "_"))
}

fn check_secret(
    resolved: &mut Resolved<'_>,
    config: &Config,
    path: &str,
    secret: Option<&Secret>,
    aws_secret: Option<&str>,
    is_standard: bool,
    variable: &str,
) {
    let own = join(path, keys::SECRET.name);
    let at_aws = join(path, keys::AWS_SECRET.name);
    let has_account = config.platform.kind == PlatformKind::Ecs;
    match (secret, aws_secret) {
        (None, None) => resolved.report(
            &[&own, &at_aws],
            Code::ConfigInvalid,
            "there is no secret, and what is not signed is not believed",
            format!("set {variable} to the secret that the other side shows (whsec_…)"),
        ),
        (None, Some(_)) if !has_account => resolved.report(
            &[&at_aws, "platform.kind"],
            Code::ConfigInvalid,
            "Secrets Manager is asked on ECS and on AWS Lambda alone",
            format!("set {variable} instead"),
        ),
        (Some(secret), _) => {
            let are_good = secret.expose().split(',').all(|secret| is_good(secret, is_standard));
            if !are_good {
                resolved.report(
                    &[&own],
                    Code::ConfigInvalid,
                    "the secret is not one of a webhook, or too short",
                    "it begins with whsec_, and has the base64 of 24 to 64 bytes behind it; several stand between commas",
                );
            }
        }
        _ => {}
    }
}

/// Stripe signs with the text as it stands; Standard Webhooks with the bytes that it is the base64 of.
fn is_good(secret: &str, is_standard: bool) -> bool {
    if !is_standard {
        return secret.len() >= 16;
    }
    let encoded = secret.strip_prefix(PREFIX).unwrap_or(secret);
    BASE64
        .decode(encoded.as_bytes())
        .is_ok_and(|bytes| SECRET_BYTES.contains(&bytes.len()))
}
