//! The admin's pages, and the door before them.

use hyper::Method;

use crate::{
    browser::Browser,
    process::{PASSWORD, Shop, command},
};

const NEW: [(&str, &str); 4] = [
    ("name", "Brass <b>lantern</b>"),
    ("description", "Burns"),
    ("price", "45.5"),
    ("stock", "2"),
];

async fn admin(shop: &Shop) -> Browser {
    let mut browser = Browser::new(shop);
    assert_eq!(browser.log_in(PASSWORD).await.location(), "/admin");
    browser
}

#[tokio::test]
async fn orders_are_listed_and_marked_as_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut buyer = Browser::new(&shop);
    buyer
        .submit("/basket/add", &[("product", "1"), ("quantity", "2")])
        .await;
    let order = buyer.check_out("Ada <script>", "").await.location().to_owned();

    let mut admin = admin(&shop).await;
    let orders = admin.get("/admin").await.expect(200);
    assert!(orders.has("1001") && orders.has("$29.00") && orders.has("Ada &lt;script&gt;") && !orders.has("<script"));
    assert!(orders.has("Account acme"));
    assert_eq!(
        admin.post("/admin/orders/1001/shipped", &[]).await.location(),
        "/admin#order-1001"
    );
    assert!(!admin.get("/admin").await.has("Mark as shipped"));
    assert!(buyer.get(&order).await.has("It was shipped on"));
    admin.post("/admin/orders/7/shipped", &[]).await.expect(404);
}

#[tokio::test]
async fn a_long_list_of_orders_has_pages() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut buyer = Browser::new(&shop);
    for _ in 0..51 {
        buyer
            .submit("/basket/add", &[("product", "5"), ("quantity", "1")])
            .await;
        buyer.check_out("Ada", "").await.location();
    }
    let mut admin = admin(&shop).await;
    let newest = admin.get("/admin").await.expect(200);
    assert!(newest.has("id=\"order-1051\"") && !newest.has("id=\"order-1001\"") && newest.has("/admin?before=1002"));
    let older = admin.get("/admin?before=1002").await.expect(200);
    assert!(older.has("id=\"order-1001\"") && !older.has("id=\"order-1002\""));
    assert_eq!(
        admin
            .post("/admin/orders/1001/shipped", &[("before", "1002")])
            .await
            .location(),
        "/admin?before=1002#order-1001"
    );
}

#[tokio::test]
async fn products_are_added_changed_withdrawn_and_sold_again() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let (mut admin, mut visitor) = (admin(&shop).await, Browser::new(&shop));

    admin.submit("/admin/products", &NEW).await;
    let products = visitor.get("/").await;
    assert!(products.has("Brass &lt;b&gt;lantern&lt;/b&gt;") && !products.has("<b>") && products.has("$45.50"));

    let form = admin.get("/admin/products/7").await.expect(200);
    assert_eq!(form.field("stock_seen"), "2");
    admin
        .submit(
            "/admin/products/7",
            &[
                ("name", "Lamp"),
                ("description", ""),
                ("price", "40"),
                ("stock", "0"),
                ("stock_seen", "2"),
            ],
        )
        .await;
    let products = visitor.get("/").await;
    assert!(products.has("Lamp") && products.has("$40.00") && products.has("Sold out"));

    admin.submit("/admin/products/7/withdraw", &[]).await;
    assert!(!visitor.get("/").await.has("Lamp"));
    assert!(admin.submit("/admin/products/7/restore", &[]).await.has("Lamp"));
    assert!(visitor.get("/").await.has("Lamp"));
}

#[tokio::test]
async fn a_shop_that_sells_nothing_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut admin = admin(&shop).await;
    for product in 1..=6 {
        admin.submit(&format!("/admin/products/{product}/withdraw"), &[]).await;
    }
    assert!(admin.get("/").await.expect(200).has("There is nothing for sale"));
}

#[tokio::test]
async fn a_product_that_cannot_be_is_refused_beside_its_field() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut admin = admin(&shop).await;
    let long_name = "x".repeat(81);
    for (field, value) in [
        ("name", ""),
        ("name", long_name.as_str()),
        ("name", "a\0b"),
        ("price", "free"),
        ("price", "-1"),
        ("price", "1000000.01"),
        ("stock", "-1"),
        ("stock", "1.5"),
        ("stock", "100001"),
        ("stock", "99999999999999999999"),
    ] {
        let fields = NEW.map(|(name, given)| if name == field { (name, value) } else { (name, given) });
        let refused = admin.post("/admin/products", &fields).await.expect(422);
        assert!(refused.has(&format!("id=\"{field}-error\"")), "{field} {value:?}");
        assert!(
            refused.has("value=\"Brass &lt;b&gt;") || field == "name",
            "what was typed is not lost"
        );
    }
    assert!(!admin.get("/").await.has("lantern"));
    admin
        .post(
            "/admin/products/999",
            &[("name", "x"), ("price", "1"), ("stock", "1"), ("stock_seen", "1")],
        )
        .await
        .expect(404);
    admin
        .post("/admin/products/1", &[("name", "x"), ("price", "1"), ("stock", "1")])
        .await
        .expect(400);
    admin.get("/admin/products/999").await.expect(404);
    admin.get("/admin/products/x").await.expect(404);
    admin.post("/admin/products/999/withdraw", &[]).await.expect(404);
}

#[tokio::test]
async fn nobody_enters_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut stranger = Browser::new(&shop);
    let wrong = stranger.log_in("password").await.expect(401);
    assert!(wrong.has("That is not the password") && !wrong.has("value=\"password\""));

    let forged = format!("99999999999.{}.{}", "0".repeat(32), "0".repeat(64));
    for cookie in ["", "x", forged.as_str()] {
        stranger.set_cookie("admin", "/admin", cookie);
        for path in ["/admin", "/admin/products", "/admin/products/1"] {
            assert_eq!(stranger.get(path).await.location(), "/admin/login");
        }
        for path in [
            "/admin/products",
            "/admin/products/1",
            "/admin/products/1/withdraw",
            "/admin/orders/1001/shipped",
        ] {
            assert_eq!(stranger.post(path, &NEW).await.location(), "/admin/login");
        }
    }
    let products = stranger.get("/").await;
    assert!(products.has("Harbour coffee") && !products.has("lantern"));
}

#[tokio::test]
async fn a_session_lasts_over_a_restart_and_ends_with_logging_out_or_another_password() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let admin = admin(&shop).await;
    shop.kill();

    let shop = Shop::start(folder.path());
    let mut admin = admin.moved(&shop);
    admin.get("/admin").await.expect(200);
    drop(shop);

    let shop = Shop::run(command(folder.path()).env("APP_PASSWORD", "changed"));
    let mut admin = admin.moved(&shop);
    assert_eq!(admin.get("/admin").await.location(), "/admin/login");
    assert_eq!(admin.log_in("changed").await.location(), "/admin");
    admin.get("/admin").await.expect(200);
    admin.submit("/admin/logout", &[]).await;
    assert_eq!(admin.get("/admin").await.location(), "/admin/login");
}

#[tokio::test]
async fn guessing_is_slowed_down_for_everybody_but_who_is_inside() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let (mut inside, mut guesser) = (admin(&shop).await, Browser::new(&shop));
    let mut refused = None;
    for guess in 0..20 {
        let answer = guesser.log_in(&format!("guess {guess}")).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        answer.expect(401);
    }
    let refused = refused.expect("twenty guesses are too many");
    assert!((1..=7).contains(&refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap()));
    guesser.log_in(PASSWORD).await.expect(429);
    inside.get("/admin").await.expect(200);
}

#[tokio::test]
async fn without_a_password_there_is_no_door() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::run(command(folder.path()).env_remove("APP_PASSWORD"));
    let mut browser = Browser::new(&shop);
    browser.get("/admin").await.expect(403);
    browser.get("/admin/login").await.expect(403);
    browser.log_in("").await.expect(403);
    browser.get("/").await.expect(200);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut admin = admin(&shop).await;
    let own = format!("http://{}", shop.address);
    for headers in [
        [("origin", "http://evil.localhost"), ("sec-fetch-site", "same-site")],
        [("origin", "null"), ("sec-fetch-site", "same-origin")],
        [("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
    ] {
        let answer = admin
            .send(Method::POST, "/admin/products/1/withdraw", &headers, "")
            .await;
        assert!(answer.expect(403).has("did not come from this shop"));
    }
    assert!(admin.get("/").await.has("Harbour coffee"));
    admin
        .send(Method::POST, "/admin/products/1/withdraw", &[("origin", &own)], "")
        .await
        .expect(303);
    assert!(!admin.get("/").await.has("Harbour coffee"));
}

#[tokio::test]
async fn cookies_are_kept_to_tls_where_there_is_tls() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let plain = browser
        .send(Method::POST, "/basket/add", &[form], "product=1&quantity=1")
        .await;
    let secure = browser
        .send(
            Method::POST,
            "/basket/add",
            &[form, ("x-forwarded-proto", "https")],
            "product=1&quantity=1",
        )
        .await;
    assert!(!plain.headers["set-cookie"].to_str().unwrap().contains("Secure"));
    assert!(secure.headers["set-cookie"].to_str().unwrap().ends_with("; Secure"));
}
