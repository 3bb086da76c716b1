//! Every page there is, on a phone and on a desk: nothing sticks out, nothing is asked of others, nothing is complained about.

use serde_json::json;

use crate::{
    chromium::{Browser, DESK, Page},
    gate::Gate,
    harness::{Deployment, Setup, password_link, text},
    pictures::look,
};

const LONG_NAME: &str = "a-rather-long-name-as-somebody-will-choose-one-some-day";

/// Two services, one of which never starts.
fn services(gate: &Gate) -> String {
    format!(
        "[signup]\nservice = \"storefront\"\n{}\n[services.printer]\ntenant = true\ndatabase = true\n\
         process = {{ command = [\"/bin/sh\", \"-c\", \"exit 3\"] }}\n",
        gate.storefront()
    )
}

/// Signs up by the API. Gives the page of its status.
async fn sign_up(deployment: &Deployment, name: &str, service: &str) -> String {
    let mut request = Deployment::sign_up(name);
    request["service"] = service.into();
    let taken = deployment.console().post("/provision", &request).await.is(202).json();
    text(&taken["status_url"]).to_owned()
}

async fn page_says(page: &Page, url: &str, words: &str, name: &str) {
    page.go(url).await;
    page.says(words).await;
    look(page, name).await;
}

#[tokio::test]
async fn every_page_fits_and_behaves() {
    let setup = Setup::new();
    let mut gate = Gate::shut_in(setup.folder());
    let toml = services(&gate);
    let deployment = setup.configured(&toml).up().await;
    let port = deployment.listen().port();
    let at = |path: &str| format!("http://localhost:{port}{path}");
    let tenant = |name: &str| format!("http://{name}.localhost:{port}/");
    let browser = Browser::start().await;
    let page = browser.page(DESK).await;

    page_says(&page, &at("/"), "Create it", "signup").await;
    page.click("#subdomain").await;
    page.type_text("Acme_Corp").await;
    page.says("Use acme-corp").await;
    look(&page, "signup-wrong").await;
    page_says(&page, &at("/nowhere"), "Nothing is at /nowhere", "not-found").await;
    page_says(&page, &tenant("nobody"), "There is nothing here", "no-tenant").await;
    page.behaved_but_for(&deployment, &[404]);

    let progress = sign_up(&deployment, "acme", "storefront").await;
    page.go(&progress).await;
    page.until(
        "a step is under way",
        "!!document.querySelector('li.run .note:not(:empty)')",
    )
    .await;
    look(&page, "progress").await;
    page_says(&page, &tenant("acme"), "It is starting", "starting").await;
    page.behaved_but_for(&deployment, &[503]);
    gate.open();
    page.says("Add to basket").await;
    page_says(&page, &progress, "is ready", "ready").await;

    let failed = sign_up(&deployment, "globex", "printer").await;
    page_says(&page, &failed, "could not be set up", "failed").await;
    page.follow(".wrong a").await;
    page.says("task.crashed").await;
    look(&page, "error-code").await;

    let link = password_link(&deployment.mail("admin@acme.example").await);
    page_says(&page, &link, "Show the password", "password-asked").await;
    page.follow("main button[type=submit]").await;
    page.says("Keep it now").await;
    look(&page, "password-shown").await;
    page_says(&page, &link, "was shown", "password-again").await;
    page.behaved_but_for(&deployment, &[410, 503]);

    for name in [LONG_NAME, "initech"] {
        deployment.ready(name).await;
    }
    deployment.ask("initech", "stop").await;
    deployment.becomes("initech", "stopped").await;
    page_says(&page, &tenant("initech"), "It is stopped", "stopped").await;
    page.go(&at("/console")).await;
    look(&page, "login").await;
    page.run(&format!("token.value = {}", json!(deployment.admin_token())))
        .await;
    page.follow("main button[type=submit]").await;
    page.says("Instances").await;
    look(&page, "console").await;
    page.behaved_but_for(&deployment, &[503]);
}
