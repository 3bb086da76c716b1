//! A payment, by the real program: signed as Stripe signs, a tenant with a mail, once, also when the server is killed in between; and a mail that is looked at,
//! sent again and seen before it is sent.

use serde_json::{Value, json};

use crate::harness::{Setup, eventually, text};

const SECRET: &str = "whsec_of_stripe_0123456789";
const TOML: &str = "[webhooks.stripe]\ngrace = \"0s\"\n\n[mail.ready]\nsubject = \"{company_name} is open\"\n";

fn paid(event: &str) -> Value {
    json!({
        "id": event, "type": "checkout.session.completed",
        "data": {"object": {
            "payment_status": "paid", "subscription": "sub_1", "customer_details": {"email": "ada@bolt.example"},
            "metadata": {"subdomain": "bolt", "company_name": "Bolt & Sons"}
        }}
    })
}

#[tokio::test]
async fn a_payment_becomes_a_tenant_once_and_the_end_of_it_stops_that() {
    let mut deployment = Setup::new()
        .configured(TOML)
        .with("STRIPE_WEBHOOK_SECRET", SECRET)
        .up()
        .await;
    let (status, refused) = deployment.stripe("whsec_another_0123456789", &paid("evt_1")).await;
    assert_eq!((status, text(&refused["code"])), (401, "webhook.signature"));
    let (status, taken) = deployment.stripe(SECRET, &paid("evt_1")).await;
    assert_eq!((status, text(&taken["outcome"])), (200, "provisioned"), "{taken}");
    deployment.kill().await;
    deployment.up().await;
    let (_, again) = deployment.stripe(SECRET, &paid("evt_1")).await;
    assert_eq!(again, taken, "the same event is the same tenant");
    deployment.becomes("bolt", "ready").await;
    deployment.tenant("bolt").get("/").await.is(200);
    let mail = deployment.mail("ada@bolt.example").await;
    assert!(mail.contains("Subject: Bolt & Sons is open"), "{mail}");
    assert!(!deployment.log().contains("ada@bolt.example") && !deployment.log().contains(SECRET));

    let ended = json!({"id": "evt_2", "type": "customer.subscription.deleted", "data": {"object": {"id": "sub_1"}}});
    let (_, stopping) = deployment.stripe(SECRET, &ended).await;
    assert_eq!(
        (text(&stopping["outcome"]), &stopping["instance"]),
        ("stopping", &taken["instance"])
    );
    // The outbox tells it to stop, a moment later.
    eventually("it is stopped", async || {
        let instance = deployment.show("bolt").await;
        (instance["status"] == "stopped").then_some(())
    })
    .await;
}

#[tokio::test]
async fn mails_are_listed_sent_again_and_seen_before_they_are_sent() {
    let deployment = Setup::new()
        .configured("[mail.ready]\nsubject = \"{company_name} is open\"\n")
        .up()
        .await;
    let id = text(&deployment.ready("acme").await["id"]).to_owned();
    deployment.mail("admin@acme.example").await;
    // It is in the folder before it is written down that it is.
    eventually("nothing waits", async || {
        let none = deployment.wharf(&["mail", "list"]).await.exits(0);
        (none.stdout.trim() == "no mail waits, and none was given up").then_some(())
    })
    .await;
    let all = deployment
        .wharf(&["mail", "list", "--all", "--json"])
        .await
        .exits(0)
        .json();
    assert_eq!(
        (&all["mails"][0]["id"], &all["mails"][0]["state"]),
        (&json!(format!("ready-{id}")), &json!("sent"))
    );
    assert!(!all.to_string().contains('@'), "no address is listed: {all}");
    let again = deployment
        .wharf(&["mail", "resend", &format!("ready-{id}")])
        .await
        .exits(0);
    assert!(again.stdout.contains(&format!("ready-{id}-again-")), "{again:?}");
    deployment.wharf(&["mail", "resend", "ready-nobody"]).await.exits(4);
    let preview = deployment
        .wharf(&["mail", "preview", "--company", "Bolt & Sons"])
        .await
        .exits(0);
    assert!(
        preview.stdout.contains("Subject: Bolt & Sons is open") && preview.stdout.contains("/password/"),
        "{preview:?}"
    );
    let html = deployment
        .wharf(&["mail", "preview", "choose", "--html"])
        .await
        .exits(0);
    assert!(
        html.stdout.contains("/choose/") && html.stdout.contains("Acme &amp; Sons"),
        "{html:?}"
    );
}
