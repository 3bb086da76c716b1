//! A sign-up that comes to nothing: the page says why, and what is left of it.

use crate::{
    chromium::{Browser, DESK, Key, Page},
    harness::{Deployment, Setup, text},
};

const BROKEN: &str = "
[services.printer]
tenant = true
database = true
process = { command = [\"/bin/sh\", \"-c\", \"echo there is no paper >&2; exit 3\"] }
";

async fn sign_up(page: &Page, deployment: &Deployment) {
    page.go(&format!("http://localhost:{}/", deployment.listen().port()))
        .await;
    for (field, words) in [
        ("subdomain", "acme"),
        ("admin_email", "robin@acme.example"),
        ("company_name", "Acme"),
    ] {
        page.click(&format!("#{field}")).await;
        page.type_text(words).await;
    }
    page.press(Key::Enter).await;
}

#[tokio::test]
async fn the_page_says_what_went_wrong_and_that_everything_was_taken_back() {
    let deployment = Setup::new().configured(BROKEN).up().await;
    let browser = Browser::start().await;
    let page = browser.page(DESK).await;
    sign_up(&page, &deployment).await;

    page.says("Acme could not be set up").await;
    page.says("Everything was taken back: nothing is left, and the name is free again.")
        .await;
    let why = page.text(".wrong").await;
    assert!(why.contains("exited with code 3"), "{why}");
    assert!(
        !why.contains("paper"),
        "what the service prints is its operator's: {why}"
    );
    page.until(
        "the step that failed is marked, and so are those that were taken back",
        "document.querySelector('li.bad') && document.querySelectorAll(\"li.done[data-key$=':true']\").length >= 3",
    )
    .await;
    let url = page.address().await;
    let (_, token) = url.rsplit_once('/').expect("the status page");
    let status = deployment
        .console()
        .get(&format!("/provision/{token}"))
        .await
        .is(200)
        .json();
    deployment.is_gone(text(&status["id"])).await;

    // The code leads to what can be done about it, and back to the form with what was filled in.
    page.follow(".wrong a").await;
    page.says("task.crashed").await;
    page.back().await;
    page.says("Acme could not be set up").await;
    page.follow("a.button").await;
    page.until(
        "the form is filled in, as far as it is nobody else's business",
        "subdomain.value === 'acme' && company_name.value === 'Acme' && admin_email.value === ''",
    )
    .await;
    page.behaved(&deployment);
}

#[tokio::test]
async fn a_form_that_the_server_refuses_says_so_beside_the_field() {
    let deployment = Deployment::new().await;
    deployment.ready("acme").await;
    let browser = Browser::start().await;
    let page = browser.page(DESK).await;
    sign_up(&page, &deployment).await;
    page.until(
        "the name is marked, and has the focus",
        "document.activeElement === subdomain && subdomain.getAttribute('aria-invalid') === 'true'",
    )
    .await;
    let error = page.text("#subdomain-error").await;
    assert!(error.contains("taken"), "{error}");
    page.behaved_but_for(&deployment, &[409]);
}
