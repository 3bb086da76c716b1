//! How often one client may sign up, and whose address counts.

use futures::FutureExt;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};
use wharf_http::Tally;

use crate::site::{Ask, Plan, Site, sign_up};

const ELSEWHERE: &str = "203.0.113.9:4711";

fn ask(site: &Site, number: usize) -> Ask {
    site.post("/provision").json(&sign_up(&format!("acme-n{number}")))
}

#[tokio::test(start_paused = true)]
async fn one_address_signs_up_so_often_and_no_more() {
    let site = Site::new().await;
    for number in 0..5 {
        assert_eq!(ask(&site, number).peer(ELSEWHERE).send().await.status, 202);
        tokio::time::advance(Duration::from_mins(1)).await;
    }
    let reply = ask(&site, 5).peer("203.0.113.9:9").send().await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "limit.rate"));
    let pause: u64 = reply.header("retry-after").parse().expect("seconds");
    assert!((3_200..=3_400).contains(&pause), "{pause}");
    let another = ask(&site, 6).peer("203.0.113.10:4711").send().await;
    assert_eq!(another.status, 202, "another address has its own count");
    tokio::time::advance(Duration::from_secs(pause)).await;
    assert_eq!(ask(&site, 7).peer(ELSEWHERE).send().await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn typing_errors_are_not_counted() {
    let site = Site::new().await;
    for _ in 0..20 {
        let reply = site
            .post("/provision")
            .json(&sign_up("A.B"))
            .peer(ELSEWHERE)
            .send()
            .await;
        assert_eq!(reply.status, 422);
    }
    assert_eq!(ask(&site, 0).peer(ELSEWHERE).send().await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn operators_and_this_machine_are_not_limited() {
    let site = Site::new().await;
    for number in 0..10 {
        assert_eq!(ask(&site, number).peer(ELSEWHERE).admin().send().await.status, 202);
        assert_eq!(ask(&site, 100 + number).send().await.status, 202);
        assert_eq!(ask(&site, 200 + number).peer("[::1]:9").send().await.status, 202);
    }
    // Loopback that passes somebody else's request on is that somebody.
    let mut statuses = Vec::new();
    for number in 0..6 {
        let ask = ask(&site, 300 + number).header("x-forwarded-for", "198.51.100.1");
        statuses.push(ask.send().await.status);
    }
    assert_eq!(statuses, [202, 202, 202, 202, 202, 429]);
}

#[tokio::test(start_paused = true)]
async fn only_trusted_proxies_say_who_the_client_is() {
    let plan = Plan {
        trusted_proxies: vec!["10.0.0.0/8"],
        ..Plan::default()
    };
    let site = Site::with(plan, |_, _| {}).await;
    let mut statuses = Vec::new();
    for number in 0..6 {
        // A client that makes up a new address each time.
        let made_up = format!("192.0.2.{number}");
        statuses.push(
            ask(&site, number)
                .peer(ELSEWHERE)
                .header("x-forwarded-for", &made_up)
                .send()
                .await
                .status,
        );
    }
    assert_eq!(statuses, [202, 202, 202, 202, 202, 429]);
    for number in 0..6 {
        let forwarded = format!("192.0.2.{number}");
        let ask = ask(&site, 100 + number)
            .peer("10.1.2.3:443")
            .header("x-forwarded-for", &forwarded);
        assert_eq!(ask.send().await.status, 202, "each its own");
    }
    let mut statuses = Vec::new();
    for number in 0..6 {
        let forwarded = format!("{number}.6.6.6, 198.51.100.7");
        let ask = ask(&site, 200 + number)
            .peer("10.1.2.3:443")
            .header("x-forwarded-for", &forwarded);
        statuses.push(ask.send().await.status);
    }
    assert_eq!(
        statuses,
        [202, 202, 202, 202, 202, 429],
        "what stands before is the client's own say"
    );
}

#[tokio::test(start_paused = true)]
async fn the_form_is_counted_with_the_api() {
    let site = Site::new().await;
    for number in 0..5 {
        ask(&site, number).peer(ELSEWHERE).send().await;
    }
    let form = site.post("/signup").browser().peer(ELSEWHERE).form(&[
        ("subdomain", "acme"),
        ("admin_email", "a@b.example"),
        ("company_name", "Acme"),
    ]);
    let page = form.send().await;
    assert_eq!((page.status, page.media()), (429, "text/html"));
    assert!(page.headers.contains_key("retry-after"));
    assert!(page.text().contains("value=\"acme\""), "what was typed stays");
}

/// Counts for as many processes as have it.
fn tally() -> Tally {
    let counts: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
    Arc::new(move |what, _| {
        let mut counts = counts.lock();
        let count = counts.entry(what).or_default();
        *count += 1;
        std::future::ready(Ok(*count)).boxed()
    })
}

#[tokio::test(start_paused = true)]
async fn processes_that_share_a_count_share_the_limit() {
    let tally = tally();
    let site = async || {
        let plan = Plan {
            tally: Some(tally.clone()),
            ..Plan::default()
        };
        Site::with(plan, |_, _| {}).await
    };
    let sites = [site().await, site().await];
    let mut statuses = Vec::new();
    for number in 0..6 {
        let site = &sites[number % 2];
        statuses.push(ask(site, number).peer(ELSEWHERE).send().await.status);
    }
    assert_eq!(statuses, [202, 202, 202, 202, 202, 429]);
    let another = ask(&sites[0], 6).peer("203.0.113.10:4711").send().await;
    assert_eq!(another.status, 202);
}
