//! The main job, as the first customer sees it: from the sign-up page to an order, and what a power cut leaves of them.

use crate::{
    chromium::{Browser, DESK, Key},
    gate::Gate,
    harness::Setup,
    pictures,
};

#[tokio::test]
async fn a_sign_up_by_keyboard_becomes_a_shop_whose_orders_outlive_a_kill() {
    let setup = Setup::new();
    let mut gate = Gate::shut_in(setup.folder());
    let mut deployment = setup.configured(&gate.storefront()).up().await;
    let port = deployment.listen().port();
    let browser = Browser::start().await;
    let page = browser.page(DESK).await;

    // A bad name is told as it is typed, and a better one is a click away.
    page.go(&format!("http://localhost:{port}/")).await;
    page.run("window.mark = 'no reload'").await;
    page.tab_to("#subdomain").await;
    page.type_text("Acme Corp").await;
    page.says("A name has only small letters, digits and hyphens").await;
    // Not what is offered for the first letters of it.
    page.until(
        "a name is offered",
        "document.querySelector('#subdomain-error button')?.innerText === 'Use acme-corp'",
    )
    .await;
    page.click("#subdomain-error button").await;
    page.until(
        "the better name is taken over, and nothing is wrong with it",
        "subdomain.value === 'acme-corp' && document.activeElement === subdomain && !subdomain.hasAttribute('aria-invalid') && !document.querySelector('#subdomain-error').innerText",
    )
    .await;

    // The rest without a mouse.
    page.press(Key::Tab).await;
    page.tab_to("#admin_email").await;
    page.type_text("robin@acme.example").await;
    page.press(Key::Tab).await;
    page.tab_to("#company_name").await;
    page.type_text("Acme & Sons").await;
    page.press(Key::Enter).await;

    // The steps pass.
    page.says("Acme & Sons is being set up").await;
    page.until(
        "the first steps are done, and one is under way",
        "['claim', 'secrets', 'database', 'task'].every(step => document.querySelector(`li.done[data-key='${step}:false']`)) && document.querySelectorAll('li.run').length === 1",
    )
    .await;
    assert!(
        page.is("document.querySelectorAll('li.todo').length > 0").await,
        "the rest is announced"
    );
    gate.open();
    page.says("Acme & Sons is ready").await;
    page.until(
        "all steps are done",
        "document.querySelectorAll('.steps li.done').length === 9 && !document.querySelector('.steps li:not(.done)')",
    )
    .await;
    assert!(
        page.is("window.mark === 'no reload'").await,
        "the page was loaded again"
    );
    page.until(
        "whoever does not see the page is led to what is new",
        "document.activeElement === document.querySelector('main')",
    )
    .await;
    let shop = format!("http://acme-corp.localhost:{port}/");
    assert_eq!(page.text("a.button.main").await, format!("Open {shop}"));
    page.behaved(&deployment);
    pictures::of_the_readme(&page).await;

    // To the shop, and home with an order.
    page.tab_to("a.button.main").await;
    page.enter().await;
    page.says("Add to basket").await;
    assert_eq!(page.address().await, shop);
    page.follow("form[action='/basket/add'] button").await;
    page.follow("a[href='/basket']").await;
    page.follow("a[href='/checkout']").await;
    page.tab_to("input[name=name]").await;
    page.type_text("Robin").await;
    page.enter().await;
    page.says("Thank you, Robin").await;
    page.says("Your order number is 1").await;
    let order = page.address().await;
    page.behaved(&deployment);

    // The power fails. What the visitor has open goes on by itself as soon as the shop is back.
    gate.shut();
    deployment.kill().await;
    deployment.up().await;
    page.reload().await;
    page.says("It is starting").await;
    gate.open();
    page.says("Thank you, Robin").await;
    page.says("Your order number is 1").await;
    assert_eq!(page.address().await, order);
    page.behaved_but_for(&deployment, &[503]);
}
