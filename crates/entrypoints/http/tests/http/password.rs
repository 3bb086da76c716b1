//! The first password: nothing by looking, once by pressing, never after that.

use std::time::Duration;
use wharf_provisioning::tokens::TokenKey;

use crate::site::{ORIGIN, Site};

/// The path of the mail's link.
pub(crate) async fn link(site: &Site) -> String {
    site.ready("acme").await;
    // The mail is handed over a moment later.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mails = site.sim.world.mails();
    let text = &mails.first().expect("a mail").text;
    let start = text.find("http://localhost:8080/password/").expect("a link");
    text[start + ORIGIN.len()..]
        .split_whitespace()
        .next()
        .expect("a word")
        .to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_password_is_shown_once() {
    let site = Site::new().await;
    let path = link(&site).await;
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    let secrets = site.sim.world.secrets(&id).expect("secrets");
    let password = &secrets["APP_PASSWORD"];
    for _ in 0..3 {
        let look = site.get(&path).browser().send().await;
        assert_eq!(look.status, 200);
        assert!(look.text().contains("Show the password") && !look.text().contains(password.as_str()));
        assert_eq!(look.header("cache-control"), "no-store");
    }
    let shown = site
        .post(&path)
        .browser()
        .header("origin", ORIGIN)
        .form(&[])
        .send()
        .await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    assert!(shown.text().contains(password.as_str()));
    assert_eq!(shown.header("cache-control"), "no-store");
    for reply in [
        site.get(&path).browser().send().await,
        site.post(&path).browser().form(&[]).send().await,
    ] {
        assert_eq!((reply.status, reply.media()), (410, "text/html"));
        assert!(reply.text().contains("This link is used up") && !reply.text().contains(password.as_str()));
    }
    assert_eq!(site.post(&path).send().await.code(), "password.shown");
}

#[tokio::test(start_paused = true)]
async fn of_many_who_press_at_once_one_sees_it() {
    let site = Site::new().await;
    let path = link(&site).await;
    let replies = futures::future::join_all((0..50).map(|_| site.post(&path).send())).await;
    let shown: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].json()["company_name"], "Acme Inc.");
    assert!(
        shown[0].json()["password"]
            .as_str()
            .is_some_and(|password| password.len() >= 16)
    );
    assert!(
        replies
            .iter()
            .filter(|reply| reply.status != 200)
            .all(|reply| reply.code() == "password.shown")
    );
}

#[tokio::test(start_paused = true)]
async fn other_links_show_nothing() {
    let site = Site::new().await;
    let path = link(&site).await;
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    let status = site.sim.wharf().status_token(&id);
    let foreign = TokenKey::new([9; 32]).reveal(&id);
    for token in [status.reveal(), foreign.reveal(), id.as_str(), "x"] {
        let reply = site.post(&format!("/password/{token}")).send().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (410, "password.shown"),
            "{token}"
        );
    }
    let foreign_page = site.post(&path).header("origin", "https://evil.example").send().await;
    assert_eq!(foreign_page.code(), "origin.refused");
    tokio::time::advance(Duration::from_hours(8 * 24)).await;
    assert_eq!(site.post(&path).send().await.code(), "password.shown", "too old");
}
