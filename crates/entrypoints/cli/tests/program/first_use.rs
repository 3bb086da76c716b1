//! The main job, as the first customer meets it.

use std::fs;

use crate::harness::{Customer, Deployment, Event, eventually, password_link, plain, text};

#[tokio::test]
async fn a_sign_up_becomes_a_shop_and_a_kill_loses_nothing() {
    let mut deployment = Deployment::new().await;
    let accepted = deployment.provision("acme").await;
    assert_eq!(accepted["status"], "provisioning");
    let url = format!("http://acme.localhost:{}/", deployment.listen().port());
    assert_eq!(accepted["url"], url.as_str(), "the address can be told at once");
    let status_path = path_of(text(&accepted["status_url"]));

    let events = deployment
        .console()
        .events(&format!("{status_path}/events"))
        .await
        .all()
        .await;
    let done: Vec<String> = events.iter().filter_map(Event::done).collect();
    assert_eq!(
        done,
        [
            "claim", "secrets", "database", "task", "running", "endpoint", "route", "healthy", "ready"
        ]
    );
    assert_eq!(
        events.last().map(|event| (event.name.as_str(), &event.data["status"])),
        Some(("end", &"ready".into()))
    );
    let status = deployment.console().get(&status_path).await.is(200).json();
    assert_eq!(
        (&status["status"], &status["url"]),
        (&"ready".into(), &url.as_str().into())
    );

    let shop = deployment.tenant("acme");
    assert!(shop.get("/").await.is(200).text().contains("The acme Company"));
    let order = Customer::of(shop.clone()).order("Robin").await;

    deployment.kill().await;
    eventually("no child outlives its server", async || {
        deployment.tasks().is_empty().then_some(())
    })
    .await;
    deployment.up().await;
    let before = status;
    let back = deployment.back("acme", &before).await;
    assert_eq!(back["url"], url.as_str());
    assert!(shop.get("/").await.is(200).text().contains("The acme Company"));
    Customer::of(shop).finds(&order, "Robin").await;
    deployment.agrees().await;
}

#[tokio::test]
async fn the_events_of_a_sign_up_go_on_where_a_client_left_off() {
    let deployment = Deployment::new().await;
    let accepted = deployment.provision("acme").await;
    let path = format!("{}/events", path_of(text(&accepted["status_url"])));
    let all = deployment.console().events(&path).await.all().await;
    let ids: Vec<u64> = all.iter().filter_map(|event| event.id).collect();
    assert!(ids.is_sorted() && ids.len() > 5, "{ids:?}");
    let middle = ids[ids.len() / 2];
    let rest = deployment
        .console()
        .with("last-event-id", middle.to_string())
        .events(&path)
        .await
        .all()
        .await;
    let expected: Vec<&Event> = all
        .iter()
        .filter(|event| event.id.is_none_or(|id| id > middle))
        .collect();
    assert_eq!(rest.iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_mail_leads_to_the_first_password_once() {
    let deployment = Deployment::new().await;
    deployment.ready("acme").await;
    let mail = plain(&deployment.mail("admin@acme.example").await);
    assert!(
        mail.contains(&format!("http://acme.localhost:{}/", deployment.listen().port())),
        "{mail}"
    );
    let link = password_link(&mail);
    assert!(
        link.starts_with(&format!("http://localhost:{}/password/", deployment.listen().port())),
        "made from the configuration: {link}"
    );
    let path = path_of(&link);

    let console = deployment.console();
    let looked_at = console.page(&path).await.is(200).text();
    let again = console.page(&path).await.is(200).text();
    let password = {
        let secrets =
            fs::read_to_string(deployment.secrets_of(text(&deployment.show("acme").await["id"]))).expect("secrets");
        let secrets: serde_json::Value = serde_json::from_str(&secrets).expect("JSON");
        text(&secrets["APP_PASSWORD"]).to_owned()
    };
    assert!(
        !looked_at.contains(&password) && !again.contains(&password),
        "looking shows nothing, and uses nothing up"
    );

    let shown = console
        .clone()
        .with("accept", "text/html")
        .post_form(&path, "")
        .await
        .is(200)
        .text();
    assert!(shown.contains(&password));
    for answer in [
        console.clone().with("accept", "text/html").post_form(&path, "").await,
        console.page(&path).await,
    ] {
        let page = answer.is(410).text();
        assert!(!page.contains(&password));
    }

    let entered = deployment
        .tenant("acme")
        .post_form("/admin/login", &format!("password={password}"))
        .await
        .is(303);
    assert_eq!(entered.header("location"), Some("/admin"));
}

#[tokio::test]
async fn the_page_is_there_for_people_and_the_document_for_programs() {
    let deployment = Deployment::new().await;
    let page = deployment.console().page("/").await.is(200);
    assert!(
        page.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    assert!(page.text().contains("subdomain"));
    let document = deployment.console().get("/openapi.json").await.is(200).json();
    assert!(document["paths"]["/provision"]["post"].is_object());
    assert_eq!(
        deployment.console().get("/healthz").await.is(200).json()["status"],
        "ok"
    );
    assert_eq!(deployment.console().get("/readyz").await.is(200).json()["restoring"], 0);
}

fn path_of(url: &str) -> String {
    let (_, rest) = url.split_once("://").expect("a URL");
    rest.split_once('/')
        .map_or_else(|| "/".to_owned(), |(_, path)| format!("/{path}"))
}
