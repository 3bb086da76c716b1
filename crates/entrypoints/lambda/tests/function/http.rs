//! The HTTP API: the same router as on one machine, which answers at once and drives nothing.

use secrecy::SecretString;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;
use wharf_domain::webhook::{WebhookFields, WebhookKind, WebhookRules};
use wharf_provisioning::webhooks::{HookSecrets, Webhook};
use wharf_saga::Clock;

use crate::cloud::{Cloud, PUBLIC_URL, TOKEN};

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Value {
    let mut all = BTreeMap::from([
        ("host", "abc.execute-api.us-east-1.amazonaws.com"),
        ("x-forwarded-for", "203.0.113.9"),
    ]);
    all.extend(headers.iter().copied());
    if body.is_some() {
        all.insert("content-type", "application/json");
    }
    json!({
        "version": "2.0", "rawPath": path, "rawQueryString": "", "headers": all, "body": body.map(Value::to_string), "isBase64Encoded": false,
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "203.0.113.9"}, "stage": "$default"},
    })
}

fn sign_up(name: &str) -> Value {
    json!({"subdomain": name, "admin_email": format!("admin@{name}.example"), "company_name": "Acme Inc."})
}

async fn ask(cloud: &Cloud, request: Value) -> (u64, Value, String) {
    let answer = cloud.invoke(request).await.expect("an answer");
    let status = answer["statusCode"].as_u64().expect("a status");
    assert_eq!(answer["isBase64Encoded"], false, "{answer}");
    (
        status,
        answer["headers"].clone(),
        answer["body"].as_str().expect("a text").to_owned(),
    )
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn a_sign_up_is_a_202_and_the_queue_does_the_rest() {
    let cloud = Cloud::new();
    let begun = Instant::now();
    let (status, headers, body) = ask(&cloud, request("POST", "/provision", &[], Some(&sign_up("acme")))).await;
    assert_eq!((status, Instant::now()), (202, begun), "{body}");
    let accepted = parsed(&body);
    assert_eq!(
        (&accepted["status"], &accepted["port"]),
        (&json!("provisioning"), &json!(8000))
    );
    let location = headers["location"].as_str().expect("a path").to_owned();
    assert_eq!(accepted["status_url"], json!(format!("{PUBLIC_URL}{location}")));
    let id = cloud.only().await;
    assert!(cloud.world.tasks(&id).is_empty(), "the door drives nothing");
    assert_eq!(cloud.queue.len(), 1, "and tells who does");
    cloud.until_state(&id, "ready").await;
    let (status, _, body) = ask(&cloud, request("GET", &location, &[], None)).await;
    assert_eq!((status, &parsed(&body)["status"]), (200, &json!("ready")));
    assert_eq!(cloud.world.mails().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_replays_says_when_to_come_again_and_ends() {
    let cloud = Cloud::new();
    let (_, headers, _) = ask(&cloud, request("POST", "/provision", &[], Some(&sign_up("acme")))).await;
    let path = format!("{}/events", headers["location"].as_str().expect("a path"));
    let begun = Instant::now();
    let (status, headers, body) = ask(&cloud, request("GET", &path, &[], None)).await;
    assert_eq!((status, Instant::now()), (200, begun));
    assert_eq!(headers["content-type"], "text/event-stream");
    assert!(body.contains("retry: ") && body.contains("event: state"), "{body}");
    let id = cloud.only().await;
    cloud.until_state(&id, "ready").await;
    let last = body
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .next_back()
        .expect("an id");
    let (_, _, more) = ask(&cloud, request("GET", &path, &[("last-event-id", last)], None)).await;
    assert!(
        more.contains("event: end") && !more.contains(&format!("\nid: {last}\n")),
        "{more}"
    );
}

#[tokio::test(start_paused = true)]
async fn operators_calls_need_the_token_and_never_wait() {
    let cloud = Cloud::new();
    let start =
        |headers: &[(&str, &str)]| request("POST", "/services/auth/start", headers, Some(&json!({"wait": true})));
    let (status, _, body) = ask(&cloud, start(&[])).await;
    assert_eq!((status, &parsed(&body)["code"]), (401, &json!("auth.missing")));
    let bearer = format!("Bearer {TOKEN}");
    let begun = Instant::now();
    let (status, _, body) = ask(&cloud, start(&[("authorization", &bearer)])).await;
    assert_eq!((status, Instant::now()), (202, begun), "{body}");
    let event = json!({"service": "pdf", "waitForHealthy": true});
    let (status, _, body) = ask(
        &cloud,
        request("POST", "/events", &[("authorization", &bearer)], Some(&event)),
    )
    .await;
    assert_eq!((status, Instant::now()), (202, begun), "{body}");
    for id in cloud.all().await {
        cloud.until_state(&id, "ready").await;
    }
    let (status, _, body) = ask(
        &cloud,
        request("POST", "/services/auth/stop", &[("authorization", &bearer)], None),
    )
    .await;
    assert_eq!(status, 202, "{body}");
}

/// A payment, signed as Stripe signs, over the body as API Gateway hands it over.
fn payment(cloud: &Cloud, is_encoded: bool) -> Value {
    use hmac::{Hmac, KeyInit, Mac};
    let event = json!({
        "id": "evt_1", "type": "checkout.session.completed",
        "data": {"object": {
            "payment_status": "paid", "subscription": "sub_1", "metadata": {"subdomain": "bolt"}, "customer_details": {"email": "ada@bolt.example"}
        }}
    });
    let body = format!(" {event}\n");
    let at = cloud.world.clock().now().as_millis() / 1000;
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"whsec_of_stripe_0123").expect("a key");
    <Hmac<sha2::Sha256> as Mac>::update(&mut mac, format!("{at}.{body}").as_bytes());
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    let header = format!("t={at},v1={signature}");
    let mut request = request("POST", "/webhooks/stripe", &[("stripe-signature", &header)], None);
    request["body"] = if is_encoded {
        data_encoding::BASE64.encode(body.as_bytes()).into()
    } else {
        body.into()
    };
    request["isBase64Encoded"] = is_encoded.into();
    request
}

#[tokio::test(start_paused = true)]
async fn a_payment_provisions_whichever_way_its_body_comes() {
    let cloud = Cloud::with(|settings| {
        let places = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a place")).collect();
        let rules = WebhookRules {
            kind: WebhookKind::Stripe,
            service: None,
            tolerance: Duration::from_mins(5),
            grace: Duration::ZERO,
            provision: vec!["checkout.session.completed".to_owned()],
            stop: Vec::new(),
            fields: WebhookFields {
                subdomain: places(&["metadata.subdomain"]),
                company_name: Vec::new(),
                admin_email: places(&["customer_details.email"]),
                contract: places(&["subscription"]),
            },
        };
        // As where Secrets Manager is asked.
        let secrets = HookSecrets::Kept(Arc::new(|| {
            Box::pin(async { Ok(SecretString::from("whsec_of_stripe_0123")) })
        }));
        settings
            .webhooks
            .insert("stripe".parse().expect("a name"), Webhook { rules, secrets });
    });
    for is_encoded in [true, false] {
        let (status, _, body) = ask(&cloud, payment(&cloud, is_encoded)).await;
        assert_eq!(
            (status, &parsed(&body)["outcome"]),
            (200, &json!("provisioned")),
            "{body}"
        );
    }
    let id = cloud.only().await;
    cloud.until_state(&id, "ready").await;
    assert_eq!(cloud.world.mails()[0].to.as_str(), "ada@bolt.example");
}

#[tokio::test(start_paused = true)]
async fn pages_and_problems_come_as_they_are() {
    let cloud = Cloud::new();
    let (status, headers, body) = ask(&cloud, request("GET", "/", &[("accept", "text/html")], None)).await;
    assert_eq!(status, 200);
    assert!(
        headers["content-type"]
            .as_str()
            .is_some_and(|media| media.starts_with("text/html"))
    );
    assert!(body.starts_with("<!DOCTYPE html>"), "{body}");
    let (status, headers, body) = ask(&cloud, request("GET", "/nothing", &[], None)).await;
    assert_eq!((status, &parsed(&body)["code"]), (404, &json!("request.not_found")));
    assert_eq!(headers["content-type"], "application/problem+json");
    let mut wrong = request("POST", "/provision", &[], None);
    wrong["body"] = "%%%".into();
    wrong["isBase64Encoded"] = true.into();
    let (status, _, body) = ask(&cloud, wrong).await;
    assert_eq!((status, &parsed(&body)["code"]), (400, &json!("request.invalid")));
}
