//! The same on a phone: a small window, and fingers.

use crate::{
    chromium::{Browser, PHONE},
    harness::Deployment,
};

/// The smallest side of what a finger has to hit, in CSS pixels: WCAG 2.2 asks for 24.
const FINGER: u32 = 40;
/// Below it, telephones enlarge the page when a field gets the focus.
const LETTERS: u32 = 16;

#[tokio::test]
async fn the_form_can_be_filled_in_with_fingers() {
    let deployment = Deployment::new().await;
    let browser = Browser::start().await;
    let page = browser.page(PHONE).await;
    page.go(&format!("http://localhost:{}/", deployment.listen().port()))
        .await;
    page.fits(PHONE).await;
    let small = page
        .run(&format!(
            "[...document.querySelectorAll('input:not([type=hidden]), main button')].filter(part =>
                part.getBoundingClientRect().height < {FINGER} || parseFloat(getComputedStyle(part).fontSize) < {LETTERS}).map(part => part.outerHTML)"
        ))
        .await;
    assert_eq!(small, serde_json::json!([]), "too small for a finger, or to be read");
    assert!(
        page.is("[...document.querySelectorAll('input:not([type=hidden])')].every(field => field.labels.length === 1)")
            .await,
        "every field has a label"
    );

    for (field, words) in [
        ("subdomain", "acme"),
        ("admin_email", "robin@acme.example"),
        ("company_name", "Acme"),
    ] {
        page.tap(&format!("#{field}")).await;
        page.until(field, &format!("document.activeElement.id === '{field}'"))
            .await;
        page.type_text(words).await;
    }
    page.tap("button[type=submit]").await;
    page.says("Acme is ready").await;
    page.fits(PHONE).await;
    page.tap("a.button.main").await;
    page.says("Add to basket").await;
    page.fits(PHONE).await;
    page.behaved(&deployment);
}
