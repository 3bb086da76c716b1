//! `mail`: what is in the outbox, one of it once more, and what a mail looks like.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::process::ExitCode;
use wharf_domain::{Code, DeploymentId, Failure, LetterKind, ServiceName, Tenant, Timestamp};
use wharf_local::SystemClock;
use wharf_saga::Clock;

use super::load_config;
use crate::{
    args::{Global, MailList, MailPreview, MailResend},
    client::{Client, segment},
    output,
};

/// Mails asked for at once.
const PAGE: usize = 500;
/// So many are listed at the most: who has more looks at the cause, and not at each.
const LISTED_MAX: usize = 10_000;

#[derive(Debug, Serialize, Deserialize)]
struct Mail {
    id: String,
    instance: String,
    kind: String,
    state: String,
    tries: u32,
    next_at: Option<u64>,
    sent_at: Option<u64>,
    cause: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    mails: Vec<Mail>,
    next: Option<String>,
}

pub(crate) async fn list(global: &Global, options: &MailList) -> Result<ExitCode, Failure> {
    let mut mails = all(&Client::find(global)?).await?;
    mails.retain(|mail| options.all || mail.state != "sent");
    let now = SystemClock.now();
    output::value(&json!({"mails": mails}), global.format(), |_| {
        if mails.is_empty() {
            let none = if options.all {
                "there is no mail"
            } else {
                "no mail waits, and none was given up"
            };
            return none.to_owned();
        }
        let rows: Vec<Vec<String>> = mails.iter().map(|mail| row(mail, now)).collect();
        output::table(&["MAIL", "STATE", "TRIES", "WHEN", "CAUSE"], &rows)
    });
    Ok(ExitCode::SUCCESS)
}

/// Those that need somebody come first.
async fn all(client: &Client) -> Result<Vec<Mail>, Failure> {
    let mut mails: Vec<Mail> = Vec::new();
    let mut from: Option<String> = None;
    loop {
        let place = from.map_or_else(String::new, |from| format!("&from={}", segment(&from)));
        let page: Page = client.get(&format!("/mails?limit={PAGE}{place}")).await?;
        mails.extend(page.mails);
        from = page.next;
        if from.is_none() || mails.len() >= LISTED_MAX {
            break;
        }
    }
    let rank = |mail: &Mail| match mail.state.as_str() {
        "failed" => 0,
        "waiting" => 1,
        _ => 2,
    };
    mails.sort_by_key(|mail| (rank(mail), mail.next_at, std::cmp::Reverse(mail.sent_at)));
    Ok(mails)
}

fn row(mail: &Mail, now: Timestamp) -> Vec<String> {
    let when = match (mail.next_at, mail.sent_at) {
        (Some(at), _) if at <= now.as_millis() => "now".to_owned(),
        (Some(at), _) => format!("in {}", output::age(Timestamp(at), now)),
        (None, Some(at)) => format!("{} ago", output::age(now, Timestamp(at))),
        (None, None) => String::new(),
    };
    vec![
        mail.id.clone(),
        mail.state.clone(),
        mail.tries.to_string(),
        when,
        mail.cause.clone().unwrap_or_default(),
    ]
}

pub(crate) async fn resend(global: &Global, options: &MailResend) -> Result<ExitCode, Failure> {
    let client = Client::find(global)?;
    let ids = if options.failed {
        let failed = all(&client).await?.into_iter().filter(|mail| mail.state == "failed");
        failed.map(|mail| mail.id).collect()
    } else {
        options.ids.clone()
    };
    let mut resent: Vec<Mail> = Vec::with_capacity(ids.len());
    for id in ids {
        resent.push(
            client
                .post(&format!("/mails/{}/resend", segment(&id)), &json!({}))
                .await?,
        );
    }
    output::value(&json!({"mails": resent}), global.format(), |_| {
        if resent.is_empty() {
            return "no mail was given up".to_owned();
        }
        let lines: Vec<String> = resent.iter().map(|mail| format!("{} is being sent", mail.id)).collect();
        lines.join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn preview(global: &Global, options: MailPreview) -> Result<ExitCode, Failure> {
    let config = load_config(global, &options.on.overrides())?;
    let settings = wharf_wiring::settings(&config, DeploymentId::new([0; 10]), None);
    let kind = LetterKind::named(&options.kind)
        .ok_or_else(|| Failure::internal("a kind of mail that the command line knows is none"))?;
    let chosen = options.service.as_deref().map(str::parse::<ServiceName>).transpose()?;
    let service = chosen.or_else(|| config.tenant_service.clone()).ok_or_else(|| {
        Failure::new(Code::ServiceUnknown, "no service for tenants is configured")
            .hint("give a service `tenant = true` in wharf.toml")
    })?;
    let tenant = Tenant {
        subdomain: options.subdomain.parse()?,
        admin_email: options.email.parse()?,
        company_name: options.company.parse()?,
    };
    let mail = wharf_provisioning::mail::preview(&settings, kind, &service, &tenant)?;
    if options.html {
        output::line(&mail.html);
        return Ok(ExitCode::SUCCESS);
    }
    let value: Value = json!({
        "from": mail.from, "to": mail.to.as_str(), "subject": mail.subject, "text": mail.text, "html": mail.html
    });
    output::value(&value, global.format(), |_| {
        format!(
            "From: {}\nTo: {}\nSubject: {}\n\n{}",
            mail.from,
            mail.to.as_str(),
            mail.subject,
            mail.text
        )
    });
    Ok(ExitCode::SUCCESS)
}
