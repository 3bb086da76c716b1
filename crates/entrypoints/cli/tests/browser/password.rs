//! The mail's link: the first password, once, and what it opens.

use crate::{
    chromium::{Browser, DESK},
    harness::{Deployment, password_link},
};

#[tokio::test]
async fn the_mails_link_shows_the_password_once_and_it_opens_the_shops_admin() {
    let deployment = Deployment::new().await;
    deployment.ready("acme").await;
    let link = password_link(&deployment.mail("admin@acme.example").await);
    let browser = Browser::start().await;
    let page = browser.page(DESK).await;

    page.go(&link).await;
    page.says("The first password of The acme Company").await;
    assert!(
        !page.is("!!document.querySelector('.secret')").await,
        "looking shows nothing"
    );
    page.follow("main button[type=submit]").await;
    let password = page.text(".secret").await;
    assert!(password.len() >= 12, "{password}");
    assert_eq!(page.run("document.querySelectorAll('.secret').length").await, 1);
    page.behaved(&deployment);

    page.go(&link).await;
    page.says("was shown").await;
    assert!(
        !page
            .is(&format!("document.body.innerText.includes('{password}')"))
            .await
    );
    page.behaved_but_for(&deployment, &[410]);

    page.go(&format!("http://acme.localhost:{}/admin", deployment.listen().port()))
        .await;
    page.tab_to("input[type=password]").await;
    page.type_text(&password).await;
    page.enter().await;
    page.until(
        "the admin page is open",
        "!!document.querySelector(\"form[action='/admin/logout']\")",
    )
    .await;
    page.behaved(&deployment);
}
