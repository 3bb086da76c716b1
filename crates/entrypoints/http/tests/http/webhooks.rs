//! Webhooks: a payment becomes a tenant, once; its end stops it; what is not genuine, not of now or not understood changes nothing.
//! And what goes out to others.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::Sha256;
use std::{collections::BTreeSet, time::Duration};
use wharf_domain::{
    Code, InstanceId,
    service::{AfterTrial, Trial},
    webhook::{Announcement, FieldPath, WebhookFields, WebhookKind, WebhookRules},
};
use wharf_provisioning::{
    Settings,
    webhooks::{HookSecrets, Receiver, Webhook},
};
use wharf_saga::{Clock, Store};
use wharf_testkit::sim::{Mishap, SimWorld, When};

use crate::site::{Ask, ORIGIN, Plan, Reply, Site};

const STRIPE: &str = "whsec_of_stripe_0123456789";
const OTHERS: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const DAY: Duration = Duration::from_hours(24);

fn places(texts: &[&str]) -> Vec<FieldPath> {
    texts.iter().map(|text| text.parse().expect("a place")).collect()
}

/// A sender of Stripe's, and one that signs as Standard Webhooks has it.
pub(crate) fn senders(settings: &mut Settings) {
    let rules = |kind, provision: &[&str], stop: &[&str], fields| WebhookRules {
        kind,
        service: None,
        tolerance: Duration::from_mins(5),
        grace: 3 * DAY,
        provision: provision.iter().map(|kind| (*kind).to_owned()).collect(),
        stop: stop.iter().map(|kind| (*kind).to_owned()).collect(),
        fields,
    };
    let stripe = rules(
        WebhookKind::Stripe,
        &["checkout.session.completed", "checkout.session.async_payment_succeeded"],
        &["customer.subscription.deleted"],
        WebhookFields {
            subdomain: places(&["metadata.subdomain", "custom_fields.subdomain"]),
            company_name: places(&["metadata.company_name", "custom_fields.company"]),
            admin_email: places(&["customer_details.email"]),
            contract: places(&["subscription", "id"]),
        },
    );
    let standard = rules(
        WebhookKind::Standard,
        &["tenant.provision"],
        &["tenant.stop"],
        WebhookFields {
            subdomain: places(&["subdomain"]),
            company_name: places(&["company_name"]),
            admin_email: places(&["admin_email"]),
            contract: places(&["contract"]),
        },
    );
    for (name, rules, secret) in [("stripe", stripe, STRIPE), ("acme", standard, OTHERS)] {
        let secrets = HookSecrets::Given(SecretString::from(secret));
        settings
            .webhooks
            .insert(name.parse().expect("a name"), Webhook { rules, secrets });
    }
}

async fn site() -> Site {
    Site::with(Plan::default(), |_, settings| senders(settings)).await
}

fn seconds(site: &Site) -> u64 {
    site.sim.world.clock().now().as_millis() / 1000
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// As Stripe sends it, signed at this second.
fn by_stripe(site: &Site, body: &str, at: u64) -> Ask {
    let signature = HEXLOWER.encode(&mac(STRIPE.as_bytes(), &format!("{at}.{body}")));
    site.post("/webhooks/stripe")
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", &format!("t={at},v1={signature},v0=00"))
        .body(body.to_owned())
}

/// As a sender of Standard Webhooks does.
pub(crate) fn by_another(site: &Site, path: &str, id: &str, body: &str) -> Ask {
    let at = seconds(site);
    let key = BASE64
        .decode(OTHERS.trim_start_matches("whsec_").as_bytes())
        .expect("base64");
    let signature = BASE64.encode(&mac(&key, &format!("{id}.{at}.{body}")));
    site.post(path)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", &at.to_string())
        .header("webhook-signature", &format!("v1,{signature}"))
        .body(body.to_owned())
}

fn session(event: &str, name: &str, more: &Value) -> Value {
    let mut object = json!({
        "id": format!("cs_{event}"), "object": "checkout.session", "payment_status": "paid", "subscription": format!("sub_{name}"),
        "customer_details": {"email": format!("ada@{name}.example")},
        "metadata": {"subdomain": name, "company_name": "Acme & Sons"},
        "custom_fields": []
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
    json!({"id": event, "object": "event", "type": "checkout.session.completed", "data": {"object": object}})
}

async fn send(site: &Site, event: &Value) -> Reply {
    by_stripe(site, &event.to_string(), seconds(site)).send().await
}

async fn pays(site: &Site, event: &str, name: &str) -> (String, Option<InstanceId>) {
    outcome(&send(site, &session(event, name, &json!({}))).await)
}

fn outcome(reply: &Reply) -> (String, Option<InstanceId>) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let told = reply.json();
    let instance = told["instance"].as_str().map(|id| id.parse().expect("an id"));
    (told["outcome"].as_str().expect("a text").to_owned(), instance)
}

async fn ends(site: &Site, event: &str, name: &str) -> (String, Option<InstanceId>) {
    let body = json!({
        "id": event, "type": "customer.subscription.deleted",
        "data": {"object": {"id": format!("sub_{name}"), "object": "subscription", "metadata": {}}}
    });
    outcome(&send(site, &body).await)
}

async fn live(site: &Site) -> usize {
    let instances = site.sim.wharf().instances_of(None).await.expect("read").len();
    let shop = "shop".parse().expect("a name");
    instances + site.sim.wharf().instances_of(Some(&shop)).await.expect("read").len()
}

/// The token of the link in the mail that asks for another name.
pub(crate) async fn choice_token(site: &Site) -> String {
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mails = site.sim.world.mails();
    let mail = mails
        .iter()
        .rev()
        .find(|mail| mail.text.contains("/choose/"))
        .expect("a mail that asks");
    let link = mail.text.split("/choose/").nth(1).expect("a link");
    link.split_whitespace().next().expect("a token").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_payment_becomes_a_tenant_with_the_name_and_the_mail_that_came_with_it() {
    let site = site().await;
    let (what, id) = pays(&site, "evt_1", "bolt").await;
    assert_eq!(what, "provisioned");
    let view = site.sim.until(&id.expect("an instance"), "ready").await;
    let tenant = view.tenant.expect("a tenant");
    assert_eq!(
        (
            tenant.subdomain.as_str(),
            tenant.company_name.as_str(),
            tenant.admin_email.as_str()
        ),
        ("bolt", "Acme & Sons", "ada@bolt.example")
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(site.sim.world.mails()[0].to.as_str(), "ada@bolt.example");
}

#[tokio::test(start_paused = true)]
async fn the_same_event_gives_the_same_instance_however_often_it_comes() {
    let site = site().await;
    let (_, first) = pays(&site, "evt_1", "bolt").await;
    site.sim.until(first.as_ref().expect("an instance"), "ready").await;
    let again = futures::future::join_all((0..8).map(|_| pays(&site, "evt_1", "bolt"))).await;
    for (what, id) in again {
        assert_eq!((what.as_str(), id.as_ref()), ("provisioned", first.as_ref()));
    }
    // Stripe tells of one payment by several events.
    let other = send(
        &site,
        &session("evt_2", "other-name", &json!({"subscription": "sub_bolt"})),
    )
    .await;
    assert_eq!(outcome(&other).1, first, "what is paid for is there already");
    assert_eq!(live(&site).await, 1);
    // A day later the event is not of a new payment either, though it is signed anew.
    tokio::time::sleep(DAY).await;
    assert_eq!(pays(&site, "evt_1", "bolt").await.1, first);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_signed_by_its_secret_changes_nothing() {
    let site = site().await;
    let body = session("evt_1", "bolt", &json!({})).to_string();
    let now = seconds(&site);
    let signed = |secret: &str, text: &str| HEXLOWER.encode(&mac(secret.as_bytes(), text));
    let good = signed(STRIPE, &format!("{now}.{body}"));
    let headers = [
        None,
        Some(String::new()),
        Some(format!("t={now}")),
        Some(format!(
            "t={now},v1={}",
            signed("whsec_another", &format!("{now}.{body}"))
        )),
        Some(format!("t={now},v1={}", signed(STRIPE, &format!("{now}.{body} ")))),
        Some(format!("t={},v1={good}", now - 1)),
        Some(format!("v1={good}")),
        Some(format!("t={now},v0={good}")),
        Some("x".repeat(4000)),
    ];
    for header in headers {
        let ask = site
            .post("/webhooks/stripe")
            .header("content-type", "application/json")
            .body(body.clone());
        let ask = match &header {
            Some(header) => ask.header("stripe-signature", header),
            None => ask,
        };
        let reply = ask.send().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "webhook.signature"),
            "{header:?}"
        );
    }
    let twice = by_stripe(&site, &body, now)
        .header("stripe-signature", "t=1,v1=00")
        .send()
        .await;
    assert_eq!(twice.code(), "webhook.signature", "two headers are none");
    // By another's secret, at another's door.
    let elsewhere = by_another(&site, "/webhooks/stripe", "msg_1", &body).send().await;
    assert_eq!(elsewhere.code(), "webhook.signature");
    for name in ["nobody", "Stripe", "..", "%00"] {
        let reply = by_another(&site, &format!("/webhooks/{name}"), "msg_1", &body)
            .send()
            .await;
        assert!(matches!(reply.status, 404), "{name}: {}", reply.text());
    }
    assert_eq!(live(&site).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_old_one_is_refused_and_the_same_signed_anew_is_taken() {
    let site = site().await;
    let body = session("evt_1", "bolt", &json!({})).to_string();
    let then = seconds(&site);
    tokio::time::sleep(Duration::from_mins(6)).await;
    let old = by_stripe(&site, &body, then).send().await;
    assert_eq!((old.status, old.code().as_str()), (401, "webhook.stale"));
    let ahead = by_stripe(&site, &body, seconds(&site) + 301).send().await;
    assert_eq!(ahead.code(), "webhook.stale");
    assert_eq!(live(&site).await, 0);
    let new = by_stripe(&site, &body, seconds(&site)).send().await;
    assert_eq!(outcome(&new).0, "provisioned");
}

#[tokio::test(start_paused = true)]
async fn a_body_of_ten_megabytes_is_not_read_to_its_end() {
    let site = site().await;
    let large = format!("{{\"id\": \"evt_1\", \"filler\": \"{}\"}}", "x".repeat(10 << 20));
    let whole = by_stripe(&site, &large, seconds(&site)).send().await;
    let announced = site
        .post("/webhooks/stripe")
        .header("content-length", "10485760")
        .send()
        .await;
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(" ".repeat(1024)));
    let streamed = site
        .post("/webhooks/stripe")
        .body(axum::body::Body::from_stream(endless))
        .send()
        .await;
    for reply in [whole, announced, streamed] {
        assert_eq!((reply.status, reply.code().as_str()), (413, "request.too_large"));
    }
    // What is large and within the bound is read whole.
    let event = session("evt_1", "bolt", &json!({"filler": "x".repeat(200_000)}));
    assert_eq!(outcome(&send(&site, &event).await).0, "provisioned");
}

#[tokio::test(start_paused = true)]
async fn shapes_that_nobody_expects_are_refused_or_ignored_and_break_nothing() {
    let site = site().await;
    let kind = "checkout.session.completed";
    let invalid = [
        json!(null),
        json!(7),
        json!([]),
        json!("text"),
        json!({}),
        json!({"id": "evt_1"}),
        json!({"type": kind}),
        json!({"id": 7, "type": kind}),
        json!({"id": "", "type": kind}),
        json!({"id": "x".repeat(300), "type": "other"}),
        json!({"id": "evt_1", "type": 7}),
        json!({"id": "evt_1", "type": kind, "data": null}),
        json!({"id": "evt_1", "type": kind, "data": {"object": []}}),
        json!({"id": "evt_1", "type": kind, "data": {"object": {"metadata": 7, "custom_fields": {"a": [1]}}}}),
        session(
            "evt_1",
            "bolt",
            &json!({"customer_details": {"email": "not an address"}}),
        ),
        session(
            "evt_1",
            "bolt",
            &json!({"customer_details": [{"email": "ada@bolt.example"}]}),
        ),
    ];
    for event in invalid {
        let reply = send(&site, &event).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (422, "webhook.invalid"),
            "{event}"
        );
    }
    for body in ["", "{", "\u{feff}{}", "[[[[", "{\"id\":\"evt_1\",\"type\":\"a\"}}"] {
        let reply = by_stripe(&site, body, seconds(&site)).send().await;
        assert_eq!(reply.code(), "webhook.invalid", "{body:?}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let reply = by_stripe(&site, &deep, seconds(&site)).send().await;
    assert_eq!(reply.code(), "webhook.invalid");
    let ignored = [
        json!({"id": "evt_2", "type": "invoice.paid", "data": {"object": {}}}),
        json!({"id": "evt_3", "type": "x", "data": 7}),
        session("evt_4", "bolt", &json!({"payment_status": "unpaid"})),
    ];
    for event in ignored {
        assert_eq!(outcome(&send(&site, &event).await).0, "ignored", "{event}");
    }
    assert_eq!(live(&site).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_payment_that_takes_days_provisions_when_it_has_succeeded() {
    let site = site().await;
    let unpaid = session("evt_1", "bolt", &json!({"payment_status": "unpaid"}));
    assert_eq!(outcome(&send(&site, &unpaid).await).0, "ignored");
    tokio::time::sleep(2 * DAY).await;
    let mut paid = session("evt_2", "bolt", &json!({}));
    paid["type"] = json!("checkout.session.async_payment_succeeded");
    let (what, id) = outcome(&send(&site, &paid).await);
    assert_eq!(what, "provisioned");
    site.sim.until(&id.expect("an instance"), "ready").await;
}

#[tokio::test(start_paused = true)]
async fn name_and_company_may_stand_in_fields_of_the_form() {
    let site = site().await;
    let fields = json!({
        "metadata": {},
        "custom_fields": [
            {"key": "subdomain", "type": "text", "text": {"value": "bolt"}},
            {"key": "company", "type": "text", "text": {"value": "Bolt GmbH"}}
        ]
    });
    let (_, id) = outcome(&send(&site, &session("evt_1", "bolt", &fields)).await);
    let tenant = site
        .sim
        .wharf()
        .show(&id.expect("an instance"))
        .await
        .expect("shown")
        .tenant;
    assert_eq!(tenant.expect("a tenant").company_name.as_str(), "Bolt GmbH");
}

#[tokio::test(start_paused = true)]
async fn who_pays_for_a_name_that_is_taken_chooses_another_once() {
    let site = site().await;
    site.ready("bolt").await;
    for _ in 0..3 {
        assert_eq!(pays(&site, "evt_1", "bolt").await, ("asked".to_owned(), None));
    }
    let token = choice_token(&site).await;
    let asking = site
        .sim
        .world
        .mails()
        .into_iter()
        .filter(|mail| mail.text.contains("/choose/"));
    let asking: Vec<_> = asking.collect();
    assert_eq!(asking.len(), 1, "one event, one mail");
    assert_eq!(asking[0].to.as_str(), "ada@bolt.example");
    assert!(asking[0].text.contains("\"bolt\" is taken") && asking[0].html.contains("Acme &amp; Sons"));
    let path = format!("/choose/{token}");
    for _ in 0..2 {
        let look = site.get(&path).browser().send().await;
        assert_eq!(look.status, 200);
        assert!(
            look.text().contains("Choose a name for Acme &amp; Sons"),
            "{}",
            look.text()
        );
    }
    let try_name = |name: &str| {
        site.post(&path)
            .browser()
            .header("origin", ORIGIN)
            .form(&[("subdomain", name)])
    };
    for (name, status) in [("bolt", 409), ("A B", 422), ("www", 422), ("", 400)] {
        let reply = try_name(name).send().await;
        assert!(
            reply.status == status || (reply.status == 422 && status == 400),
            "{name}: {}",
            reply.status
        );
        assert!(reply.text().contains("form"), "{name}: {}", reply.text());
    }
    let chosen = try_name("bolt-two").send().await;
    assert_eq!(chosen.status, 303, "{}", chosen.text());
    assert!(chosen.header("location").starts_with("/provision/"));
    let id = site.sim.wharf().find("bolt-two").await.expect("it has the name");
    site.sim.until(&id, "ready").await;
    for again in [
        try_name("bolt-three").send().await,
        site.get(&path).browser().send().await,
    ] {
        assert_eq!(again.status, 410, "{}", again.text());
    }
    // The event once more: what came of it is there.
    assert_eq!(
        pays(&site, "evt_1", "bolt").await,
        ("provisioned".to_owned(), Some(id.clone()))
    );
    // And its subscription's end is that of the chosen one.
    assert_eq!(ends(&site, "evt_9", "bolt").await, ("stopping".to_owned(), Some(id)));
}

#[tokio::test(start_paused = true)]
async fn of_many_who_choose_at_once_by_one_link_one_gets_a_name() {
    let site = site().await;
    site.ready("bolt").await;
    pays(&site, "evt_1", "bolt").await;
    let path = format!("/choose/{}", choice_token(&site).await);
    let names: Vec<String> = (0..8).map(|n| format!("bolt-{n}")).collect();
    let tries = names.iter().map(|name| {
        site.post(&path)
            .header("origin", ORIGIN)
            .form(&[("subdomain", name)])
            .send()
    });
    let replies = futures::future::join_all(tries).await;
    let taken = replies.iter().filter(|reply| reply.status == 303).count();
    assert_eq!(
        taken,
        1,
        "{:?}",
        replies.iter().map(|reply| reply.status).collect::<Vec<_>>()
    );
    assert_eq!(live(&site).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_link_to_choose_does_not_work_for_ever_nor_after_the_end_of_what_was_paid() {
    let site = site().await;
    site.ready("bolt").await;
    pays(&site, "evt_1", "bolt").await;
    let path = format!("/choose/{}", choice_token(&site).await);
    assert_eq!(ends(&site, "evt_2", "bolt").await.0, "withdrawn");
    assert_eq!(site.get(&path).send().await.code(), "choice.used");

    let event = session(
        "evt_3",
        "Not A Name",
        &json!({"customer_details": {"email": "eve@example.com"}, "subscription": null}),
    );
    assert_eq!(outcome(&send(&site, &event).await).0, "asked");
    let path = format!("/choose/{}", choice_token(&site).await);
    assert_eq!(site.get(&path).send().await.status, 200);
    tokio::time::advance(7 * DAY).await;
    let late = site
        .post(&path)
        .header("origin", ORIGIN)
        .form(&[("subdomain", "bolt-two")])
        .send()
        .await;
    assert_eq!((late.status, late.code().as_str()), (410, "choice.used"));
    for nonsense in ["x", "7dn3m0w9x4k2v8c1t5s6r7q8pz"] {
        assert_eq!(
            site.get(&format!("/choose/{nonsense}")).send().await.code(),
            "choice.used"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_subscription_stops_its_tenant_after_the_grace_period_also_over_restarts() {
    let world = Site::with(Plan::default(), |_, settings| senders(settings)).await;
    let (_, id) = pays(&world, "evt_1", "bolt").await;
    let id = id.expect("an instance");
    world.sim.until(&id, "ready").await;
    for _ in 0..2 {
        assert_eq!(
            ends(&world, "evt_2", "bolt").await,
            ("stopping".to_owned(), Some(id.clone()))
        );
    }
    tokio::time::sleep(Duration::from_hours(71)).await;
    assert_eq!(world.sim.wharf().show(&id).await.expect("shown").status, "ready");
    let waiting = world.sim.wharf().list_mails(None, 10).await.expect("listed").mails;
    assert!(waiting.iter().any(|mail| mail.kind == "lapse"), "{waiting:?}");
    tokio::time::sleep(Duration::from_hours(2)).await;
    let view = world.sim.until(&id, "stopped").await;
    assert_eq!(view.status, "stopped", "its data is kept");
    assert_eq!(ends(&world, "evt_3", "nobody").await, ("unknown".to_owned(), None));
}

#[tokio::test(start_paused = true)]
async fn who_pays_again_is_not_stopped_and_who_was_stopped_comes_back() {
    let site = site().await;
    let (_, id) = pays(&site, "evt_1", "bolt").await;
    let id = id.expect("an instance");
    site.sim.until(&id, "ready").await;
    ends(&site, "evt_2", "bolt").await;
    let renewed =
        json!({"subscription": "sub_renewed", "metadata": {"subdomain": "bolt", "company_name": "Another spelling"}});
    tokio::time::sleep(DAY).await;
    assert_eq!(
        outcome(&send(&site, &session("evt_3", "bolt", &renewed)).await)
            .1
            .as_ref(),
        Some(&id)
    );
    tokio::time::sleep(5 * DAY).await;
    assert_eq!(site.sim.wharf().show(&id).await.expect("shown").status, "ready");
    let end =
        json!({"id": "evt_4", "type": "customer.subscription.deleted", "data": {"object": {"id": "sub_renewed"}}});
    assert_eq!(outcome(&send(&site, &end).await).0, "stopping");
    tokio::time::sleep(4 * DAY).await;
    site.sim.until(&id, "stopped").await;
    let back = json!({"subscription": "sub_third"});
    assert_eq!(
        outcome(&send(&site, &session("evt_5", "bolt", &back)).await).1.as_ref(),
        Some(&id)
    );
    site.sim.until(&id, "ready").await;
}

#[tokio::test(start_paused = true)]
async fn others_provision_and_stop_with_the_headers_of_standard_webhooks() {
    let site = site().await;
    let body = json!({
        "type": "tenant.provision",
        "data": {"subdomain": "bolt", "company_name": "Bolt", "admin_email": "ada@bolt.example", "contract": "c-1"}
    })
    .to_string();
    let (what, id) = outcome(&by_another(&site, "/webhooks/acme", "msg_1", &body).send().await);
    assert_eq!(what, "provisioned");
    let id = id.expect("an instance");
    site.sim.until(&id, "ready").await;
    let again = outcome(&by_another(&site, "/webhooks/acme", "msg_1", &body).send().await);
    assert_eq!(again, (what, Some(id.clone())));
    let stop = json!({"type": "tenant.stop", "data": {"contract": "c-1"}}).to_string();
    let stopped = outcome(&by_another(&site, "/webhooks/acme", "msg_2", &stop).send().await);
    assert_eq!(stopped, ("stopping".to_owned(), Some(id)));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_does_not_answer_leaves_the_event_to_be_sent_again() {
    let site = site().await;
    site.sim.store.fail_nth(1, wharf_testkit::sim::store::Fault::Before);
    let event = session("evt_1", "bolt", &json!({}));
    let reply = send(&site, &event).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "store.unavailable"));
    assert_eq!(outcome(&send(&site, &event).await).0, "provisioned");
    assert_eq!(live(&site).await, 1);
}

fn receiver(_: &SimWorld, settings: &mut Settings) {
    senders(settings);
    let told = |events: &[Announcement]| Receiver {
        url: "https://example.com/hooks".to_owned(),
        secrets: HookSecrets::Given(SecretString::from(OTHERS)),
        events: events.iter().copied().collect::<BTreeSet<_>>(),
    };
    settings.notify = [
        ("all".parse().expect("a name"), told(Announcement::ALL)),
        ("failures".parse().expect("a name"), told(&[Announcement::Failed])),
    ]
    .into();
}

#[tokio::test(start_paused = true)]
async fn others_are_told_signed_of_what_became_ready_was_stopped_and_came_back() {
    let site = Site::with(Plan::default(), receiver).await;
    site.ready("bolt").await;
    let id = site.sim.wharf().find("bolt").await.expect("it has the name");
    tokio::time::sleep(Duration::from_secs(10)).await;
    // A task that is lost and comes back is nobody else's business.
    site.sim.world.exit(&id, 1);
    tokio::time::sleep(Duration::from_mins(2)).await;
    site.sim.wharf().stop(&id).await.expect("asked for");
    site.sim.until(&id, "stopped").await;
    site.sim.wharf().start(&id).await.expect("asked for");
    site.sim.until(&id, "ready").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let posts = site.sim.world.posts();
    let types: Vec<String> = posts
        .iter()
        .map(|post| {
            let body: Value = serde_json::from_str(&post.body).expect("JSON");
            assert_eq!(body["data"]["subdomain"], "bolt");
            assert_eq!(body["data"]["id"], id.as_str());
            assert!(!post.body.contains('@'), "no address: {}", post.body);
            body["type"].as_str().expect("a type").to_owned()
        })
        .collect();
    assert_eq!(types, ["instance.ready", "instance.stopped", "instance.ready"]);
    let ids: BTreeSet<&str> = posts.iter().map(|post| post.headers[0].1.as_str()).collect();
    assert_eq!(ids.len(), 3, "each has an id of its own");
    let key = BASE64
        .decode(OTHERS.trim_start_matches("whsec_").as_bytes())
        .expect("base64");
    for post in &posts {
        let [(_, id), (_, at), (_, signature)] = post.headers.as_slice() else {
            panic!("{post:?}")
        };
        let expected = BASE64.encode(&mac(&key, &format!("{id}.{at}.{}", post.body)));
        assert_eq!(*signature, format!("v1,{expected}"));
        assert_eq!(post.url, "https://example.com/hooks");
    }
}

/// What one receiver was told, in its order.
fn told(site: &Site) -> Vec<Value> {
    let posts = site.sim.world.posts();
    let bodies = posts.iter().map(|post| serde_json::from_str(&post.body));
    bodies.collect::<Result<_, _>>().expect("JSON")
}

fn types(told: &[Value]) -> Vec<&str> {
    told.iter().filter_map(|body| body["type"].as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn others_are_told_of_what_kept_failing_was_brought_back_and_was_ended() {
    let site = Site::with(Plan::default(), receiver).await;
    site.ready("bolt").await;
    let id = site.sim.wharf().find("bolt").await.expect("it has the name");
    for _ in 0..=site.sim.settings.heal.limit {
        site.sim.until(&id, "ready").await;
        site.sim.world.exit(&id, 7);
        tokio::time::sleep(Duration::from_mins(2)).await;
    }
    site.sim.until(&id, "down").await;
    // The first attempt of two fails: whoever was told that it is down waits for the second.
    let world = &site.sim.world;
    world
        .faults()
        .order("tasks.start", When::Nth(1), Mishap::Before(Code::TaskLost));
    site.sim.wharf().start(&id).await.expect("asked for");
    tokio::time::sleep(Duration::from_mins(2)).await;
    site.sim.until(&id, "ready").await;
    site.sim.wharf().end(&id).await.expect("asked for");
    site.sim.until(&id, "ended").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let told = told(&site);
    let expected = ["instance.ready", "instance.down", "instance.ready", "instance.ended"];
    assert_eq!(types(&told), expected, "{told:#?}");
    assert_eq!(told[1]["data"]["cause"]["code"], "task.crashed");
    assert_eq!(told[1]["data"]["url"], Value::Null);
    assert_eq!(told[3]["data"]["subdomain"], "bolt");
    assert!(told.iter().all(|body| body["data"].get("ends_at").is_none()));
}

#[tokio::test(start_paused = true)]
async fn others_are_told_before_a_trial_ends_once_for_each_end() {
    let hours = Duration::from_hours;
    let site = Site::with(Plan::default(), |world, settings| {
        receiver(world, settings);
        for service in settings.services.values_mut() {
            service.trial = Some(Trial {
                length: hours(5),
                notice: hours(2),
                then: AfterTrial::End,
            });
        }
    })
    .await;
    site.ready("bolt").await;
    let wharf = site.sim.wharf();
    let id = wharf.find("bolt").await.expect("it has the name");
    let first = wharf.show(&id).await.expect("shown").expires_at.expect("an end");
    tokio::time::sleep(hours(4)).await;
    let second = first + hours(5);
    wharf.extend(&id, Some(second)).await.expect("extended");
    tokio::time::sleep(hours(7)).await;
    site.sim.until(&id, "ended").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let told = told(&site);
    let expected = ["instance.ready", "instance.ending", "instance.ending", "instance.ended"];
    assert_eq!(types(&told), expected, "{told:#?}");
    for (body, end) in [(&told[1], first), (&told[2], second)] {
        assert_eq!(body["data"]["ends_at"], end.as_millis());
        assert_eq!(body["data"]["state"], "ready");
        let left = end.as_millis() - body["timestamp"].as_u64().expect("milliseconds");
        assert!((7_140_000..=7_200_000).contains(&left), "{left} ms before the end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_for_an_hour_is_told_with_the_same_id_and_a_failure_says_why() {
    let site = Site::with(Plan::default(), receiver).await;
    let down = site
        .sim
        .world
        .faults()
        .order("poster.post", When::Always, Mishap::After(Code::MailFailed));
    site.sim
        .world
        .faults()
        .order("tasks.start", When::Nth(1), Mishap::Before(Code::TaskImage));
    site.sign_up("bolt").await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    site.sim.world.faults().cancel(down);
    let before = site.sim.world.posts();
    assert!(before.len() > 10, "it is asked again and again: {}", before.len());
    let ids: BTreeSet<&str> = before.iter().map(|post| post.headers[0].1.as_str()).collect();
    assert_eq!(ids.len(), 2, "one for each receiver, the same at each try");
    let body: Value = serde_json::from_str(&before[0].body).expect("JSON");
    assert_eq!(
        (&body["type"], &body["data"]["cause"]["code"]),
        (&json!("instance.failed"), &json!("task.image"))
    );
    tokio::time::sleep(Duration::from_mins(31)).await;
    let waiting = site
        .sim
        .store
        .outbox(wharf_domain::Timestamp::MAX, 10)
        .await
        .expect("read");
    assert!(waiting.is_empty(), "{waiting:?}");
    // Every try is signed anew: an old signature would be refused.
    let last = site.sim.world.posts().pop().expect("posted");
    let at: u64 = last.headers[1].1.parse().expect("seconds");
    assert!(seconds(&site) - at < 31 * 60);
}
