//! The console: in by the token, out by the button, and what can be done to an instance from there.

use crate::{
    chromium::{Browser, DESK, Page},
    harness::Deployment,
};

async fn log_in(page: &Page, deployment: &Deployment, token: &str) {
    page.go(&format!("http://localhost:{}/console", deployment.listen().port()))
        .await;
    page.tab_to("#token").await;
    page.type_text(token).await;
    page.enter().await;
}

async fn is_shown_as(page: &Page, state: &str) {
    page.until(
        &format!("acme is {state}"),
        &format!("[...document.querySelectorAll('tbody tr')].some(row => row.querySelector('a').innerText === 'acme' && row.querySelector('.badge').innerText === '{state}')"),
    )
    .await;
}

#[tokio::test]
async fn an_operator_stops_starts_and_deletes_from_the_page() {
    let deployment = Deployment::new().await;
    deployment.ready("acme").await;
    let browser = Browser::start().await;
    let page = browser.page(DESK).await;

    log_in(&page, &deployment, &deployment.admin_token()).await;
    is_shown_as(&page, "ready").await;
    page.run("window.mark = 'no reload'").await;
    page.click("button[aria-label='Stop acme']").await;
    is_shown_as(&page, "stopped").await;
    assert_eq!(deployment.tenant("acme").get("/").await.status, 503);
    page.click("button[aria-label='Start acme']").await;
    is_shown_as(&page, "ready").await;
    assert_eq!(deployment.tenant("acme").get("/").await.status, 200);

    let ((), question) = tokio::join!(page.click("button[aria-label='Delete acme']"), page.agree());
    assert_eq!(
        question,
        "Delete acme for good? Its database and everything in it go too."
    );
    is_shown_as(&page, "ended").await;
    assert!(
        page.is("window.mark === 'no reload'").await,
        "the page was loaded again"
    );

    page.follow("form[action='/logout'] button").await;
    page.until("the login", "!!document.querySelector('#token')").await;
    page.go(&format!("http://localhost:{}/console", deployment.listen().port()))
        .await;
    page.until("the login", "!!document.querySelector('#token')").await;
    page.behaved(&deployment);
}

#[tokio::test]
async fn a_wrong_token_opens_nothing() {
    let deployment = Deployment::new().await;
    let browser = Browser::start().await;
    let page = browser.page(DESK).await;
    log_in(&page, &deployment, "wharf_0123456789abcdef").await;
    page.says("The token is not this server's admin token.").await;
    page.behaved_but_for(&deployment, &[403]);
}
