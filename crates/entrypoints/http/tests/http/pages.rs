//! The pages, without a script: what they say, where their forms go, what they load.

use crate::site::{ORIGIN, Reply, Site};

/// The value of the first attribute of this name after `after`.
fn attribute(page: &str, after: &str, name: &str) -> String {
    let rest = &page[page.find(after).unwrap_or_else(|| panic!("no {after} in {page}"))..];
    let value = &rest[rest.find(&format!("{name}=\"")).expect("the attribute") + name.len() + 2..];
    value[..value.find('"').expect("its end")].to_owned()
}

/// The rules that make a page safe and usable.
fn is_in_order(page: &Reply) {
    let text = page.text();
    assert_eq!(page.media(), "text/html");
    assert!(text.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert_eq!(text.matches("<h1>").count(), 1, "one heading");
    assert!(text.contains("<meta name=\"viewport\""));
    assert!(text.contains("role=\"status\""), "somewhere to say things");
    for foreign in [
        " onclick=",
        " onsubmit=",
        " style=",
        "<style",
        "src=\"http",
        "javascript:",
    ] {
        assert!(!text.contains(foreign), "{foreign} in {text}");
    }
    assert_eq!(
        text.matches("<script").count(),
        1,
        "the one script, and none in the page"
    );
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(matches!(page.header("referrer-policy"), "no-referrer" | "same-origin"));
}

#[tokio::test(start_paused = true)]
async fn the_sign_up_page_has_what_it_takes() {
    let site = Site::new().await;
    let page = site.get("/").browser().send().await;
    is_in_order(&page);
    let text = page.text();
    for field in ["subdomain", "admin_email", "company_name"] {
        assert!(
            text.contains(&format!("<label for=\"{field}\">")),
            "{field} has a label"
        );
        assert!(text.contains(&format!("aria-describedby=\"{field}-hint {field}-error\"")));
    }
    assert!(text.contains(".localhost:8080"), "the address is shown");
    // Whatever stands in the query does no harm.
    assert_eq!(site.get("/?utm_source=x&subdomain=acme").send().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_pages_load_comes_from_here_and_is_kept() {
    let site = Site::new().await;
    let page = site.get("/").send().await.text();
    let loaded = [
        (attribute(&page, "<script", "src"), "text/javascript"),
        (attribute(&page, "rel=\"stylesheet\"", "href"), "text/css"),
        (attribute(&page, "rel=\"icon\"", "href"), "image/svg+xml"),
    ];
    for (path, media) in loaded {
        let file = site.get(&path).send().await;
        assert_eq!((file.status, file.media()), (200, media), "{path}");
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_script_the_form_leads_to_the_status_page() {
    let site = Site::new().await;
    let page = site.get("/").browser().send().await.text();
    let key = attribute(&page, "name=\"idempotency_key\"", "value");
    let send = async || {
        let fields = [
            ("subdomain", "acme"),
            ("admin_email", "admin@acme.example"),
            ("company_name", "Müller & Söhne"),
            ("idempotency_key", key.as_str()),
        ];
        site.post("/signup")
            .browser()
            .header("origin", ORIGIN)
            .form(&fields)
            .send()
            .await
    };
    let first = send().await;
    assert_eq!(first.status, 303, "{}", first.text());
    let path = first.header("location").to_owned();
    assert!(path.starts_with("/provision/"));
    assert_eq!(send().await.header("location"), path, "pressed twice, done once");

    let moving = site.get(&path).browser().send().await;
    is_in_order(&moving);
    assert!(moving.text().contains("http-equiv=\"refresh\""));
    assert!(moving.text().contains("Müller &amp; Söhne is being set up"));
    let id = site.sim.wharf().find("acme").await.expect("it has the name");
    site.sim.until(&id, "ready").await;
    let ready = site.get(&path).browser().send().await;
    is_in_order(&ready);
    let text = ready.text();
    assert!(text.contains("Müller &amp; Söhne is ready"));
    assert_eq!(
        attribute(&text, "class=\"button main\"", "href"),
        "http://acme.localhost:8080/"
    );
    assert!(!text.contains("http-equiv"), "nothing more to wait for");
    assert_eq!(
        ready.header("referrer-policy"),
        "no-referrer",
        "the link stays with its bearer"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_script_what_is_wrong_stands_at_its_field() {
    let site = Site::new().await;
    let fields = [
        ("subdomain", "A.B"),
        ("admin_email", "nobody"),
        ("company_name", "Acme \"Inc\""),
    ];
    let page = site.post("/signup").browser().form(&fields).send().await;
    assert_eq!(page.status, 422);
    is_in_order(&page);
    let text = page.text();
    assert_eq!(attribute(&text, "id=\"subdomain\"", "value"), "A.B");
    assert_eq!(attribute(&text, "id=\"company_name\"", "value"), "Acme &quot;Inc&quot;");
    assert_eq!(text.matches("aria-invalid=\"true\"").count(), 2);
    assert!(text.contains("Use &quot;a-b&quot;, for example."), "{text}");

    site.sign_up("taken").await;
    let fields = [
        ("subdomain", "taken"),
        ("admin_email", "a@b.example"),
        ("company_name", "Acme"),
    ];
    let page = site.post("/signup").browser().form(&fields).send().await;
    assert_eq!(page.status, 409);
    assert!(page.text().contains("is taken."));
    // A program gets a problem.
    let problem = site.post("/signup").form(&fields).send().await;
    assert_eq!((problem.status, problem.code().as_str()), (409, "name.taken"));
}

#[tokio::test(start_paused = true)]
async fn problems_and_codes_have_pages() {
    let site = Site::new().await;
    let page = site.get("/provision/nothing").browser().send().await;
    assert_eq!(page.status, 404);
    is_in_order(&page);
    assert!(page.text().contains("/errors/instance.unknown"));
    assert!(page.header("vary").contains("accept"));
    for code in wharf_domain::Code::ALL {
        let path = format!("/errors/{code}");
        assert_eq!(site.get(&path).send().await.json()["summary"], code.summary());
        is_in_order(&site.get(&path).browser().send().await);
    }
    assert_eq!(site.get("/errors/nonsense").send().await.code(), "request.not_found");
}
