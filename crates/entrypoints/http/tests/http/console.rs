//! The console: its login, its session, its list.

use std::time::Duration;

use crate::site::{ORIGIN, Plan, Site, TOKEN};

/// Logs in, and gives the cookie as a browser sends it back.
pub(crate) async fn log_in(site: &Site) -> String {
    let reply = site
        .post("/login")
        .browser()
        .header("origin", ORIGIN)
        .form(&[("token", TOKEN)])
        .send()
        .await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, "/console"),
        "{}",
        reply.text()
    );
    let cookie = reply.header("set-cookie");
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict") && cookie.contains("; Path=/;"),
        "{cookie}"
    );
    cookie.split(';').next().expect("a pair").to_owned()
}

#[tokio::test(start_paused = true)]
async fn who_has_no_session_is_led_to_the_login() {
    let site = Site::new().await;
    let reply = site.get("/console").browser().send().await;
    assert_eq!((reply.status, reply.header("location")), (303, "/login"));
    assert_eq!(
        site.get("/console").send().await.code(),
        "auth.missing",
        "a program is told"
    );
    let page = site.get("/login").browser().send().await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("type=\"password\""));
}

#[tokio::test(start_paused = true)]
async fn a_session_opens_the_console_and_the_api() {
    let site = Site::new().await;
    site.ready("acme").await;
    let cookie = log_in(&site).await;
    let page = site.get("/console").browser().header("cookie", &cookie).send().await;
    assert_eq!(page.status, 200);
    let text = page.text();
    assert!(text.contains("http://acme.localhost:8080/") && text.contains("Acme Inc."));
    assert!(text.contains("aria-label=\"Stop acme\"") && text.contains("aria-label=\"Delete acme\""));
    let list = site.get("/instances").header("cookie", &cookie).send().await;
    assert_eq!(list.status, 200);

    let stop = site
        .post("/instances/acme/stop")
        .header("cookie", &cookie)
        .header("origin", ORIGIN)
        .header("content-type", "application/json");
    assert_eq!(stop.send().await.status, 202);
    let plain = site
        .post("/instances/acme/stop")
        .header("cookie", &cookie)
        .form(&[])
        .send()
        .await;
    assert_eq!(plain.status, 415, "what any page's form can send is no change");
    let bare = site.delete("/instances/acme").header("cookie", &cookie).send().await;
    assert_eq!(bare.status, 415);
    let foreign = site
        .post("/instances/acme/stop")
        .header("cookie", &cookie)
        .header("origin", "http://acme.localhost:8080")
        .header("content-type", "application/json");
    assert_eq!(foreign.send().await.code(), "origin.refused");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends() {
    let site = Site::new().await;
    let cookie = log_in(&site).await;
    let out = site
        .post("/logout")
        .browser()
        .header("cookie", &cookie)
        .form(&[])
        .send()
        .await;
    assert_eq!((out.status, out.header("location")), (303, "/login"));
    assert!(
        out.header("set-cookie")
            .starts_with("wharf_session=; Path=/; Max-Age=0;")
    );
    let copied = site.get("/instances").header("cookie", &cookie).send().await;
    assert_eq!(
        (copied.status, copied.code().as_str()),
        (401, "auth.missing"),
        "who has copied the cookie has nothing of it"
    );
    let page = site.get("/console").browser().header("cookie", &cookie).send().await;
    assert_eq!((page.status, page.header("location")), (303, "/login"));
    // Again, and with what is no session: nothing to be told of.
    for shown in [cookie.as_str(), "wharf_session=x.y", "a=b"] {
        let again = site.post("/logout").header("cookie", shown).form(&[]).send().await;
        assert_eq!(again.status, 303, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_ended_alone_and_over_restarts() {
    let site = Site::new().await;
    let (ended, other) = (log_in(&site).await, log_in(&site).await);
    assert_ne!(ended, other, "two logins at one moment are two sessions");
    let out = site.post("/logout").header("cookie", &ended).form(&[]).send().await;
    assert_eq!(out.status, 303);
    // Another process, or this one after a restart: it has the registry and the keys, and nothing else.
    let later = site.again();
    for site in [&site, &later] {
        let is_open = async |cookie: &str| site.get("/instances").header("cookie", cookie).send().await.status;
        assert_eq!((is_open(&ended).await, is_open(&other).await), (401, 200));
        let both = site.get("/instances").header("cookie", &format!("{ended}; {other}"));
        assert_eq!(both.send().await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_over_by_itself() {
    let site = Site::new().await;
    let cookie = log_in(&site).await;
    tokio::time::advance(Duration::from_hours(13)).await;
    let late = site.get("/instances").header("cookie", &cookie).send().await;
    assert_eq!((late.status, late.code().as_str()), (401, "auth.missing"));
    let forged = site
        .get("/instances")
        .header("cookie", &cookie.replace("wharf_session=", "wharf_session=A"));
    assert_eq!(forged.send().await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn logins_are_not_guessed() {
    let site = Site::new().await;
    for _ in 0..10 {
        let wrong = site
            .post("/login")
            .browser()
            .form(&[("token", "wharf_guess")])
            .send()
            .await;
        assert_eq!(wrong.status, 403);
        assert!(
            wrong.text().contains("not this server&#39;s admin token")
                || wrong.text().contains("not this server's admin token")
        );
        assert!(!wrong.headers.contains_key("set-cookie"));
    }
    let wrong = site.post("/login").form(&[("token", "wharf_guess")]).send().await;
    assert_eq!((wrong.status, wrong.code().as_str()), (429, "limit.rate"));
    let right = site.post("/login").form(&[("token", TOKEN)]).send().await;
    assert_eq!(right.status, 429, "not told either");
    tokio::time::advance(Duration::from_mins(1)).await;
    log_in(&site).await;
}

#[tokio::test(start_paused = true)]
async fn with_tls_the_cookie_is_bound_to_its_host() {
    let plan = Plan {
        public_url: "https://console.example.com",
        secure: true,
        ..Plan::default()
    };
    let site = Site::with(plan, |_, _| {}).await;
    let reply = site
        .post("/login")
        .header("origin", "https://console.example.com")
        .form(&[("token", TOKEN)])
        .send()
        .await;
    let cookie = reply.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-wharf_session=") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    let foreign = site
        .post("/login")
        .header("origin", ORIGIN)
        .form(&[("token", TOKEN)])
        .send()
        .await;
    assert_eq!(foreign.code(), "origin.refused");
}

#[tokio::test(start_paused = true)]
async fn the_console_has_pages_and_a_filter() {
    let site = Site::new().await;
    for number in 0..51 {
        site.sign_up(&format!("tenant-n{number}")).await;
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    let first = site.get("/console?state=ready").browser().admin().send().await.text();
    assert_eq!(first.matches("aria-label=\"Stop ").count(), 50);
    assert!(first.contains("<option value=\"ready\" selected>"));
    let next = &first[first
        .find("href=\"/console?state=ready&amp;before=")
        .expect("a next page")
        + 6..];
    let next = next[..next.find('"').expect("its end")].replace("&amp;", "&");
    let second = site.get(&next).browser().admin().send().await.text();
    assert_eq!(second.matches("aria-label=\"Stop ").count(), 1);
    assert!(second.contains("Newest"));
    let none = site.get("/console?state=down").browser().admin().send().await.text();
    assert!(none.contains("There are none."));
    assert_eq!(site.get("/console?state=fine").admin().send().await.status, 400);
}
