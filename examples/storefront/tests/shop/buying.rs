//! A customer's way: products, basket, checkout, order.

use crate::{
    browser::{Answer, Browser},
    process::Shop,
};

#[tokio::test]
async fn a_visitor_buys_something_and_finds_the_order_again() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);

    let products = browser.get("/").await.expect(200);
    assert!(
        products.has("Acme &amp; Sons") && products.has("Welcome to Acme &amp; Sons") && products.has("Harbour coffee")
    );

    browser
        .submit("/basket/add", &[("product", "1"), ("quantity", "2")])
        .await;
    let basket = browser
        .submit("/basket/add", &[("product", "2"), ("quantity", "1")])
        .await;
    assert!(basket.has("Harbour coffee") && basket.has("Enamel mug") && basket.has("$41.00"));

    let answer = browser.check_out("Ada Lovelace", "Ring twice,\r\nthen wait.").await;
    let address = answer.location().to_owned();
    assert!(address.starts_with("/orders/1001?key="), "{address}");
    let order = browser.get(&address).await.expect(200);
    assert!(
        order.has("Thank you, Ada Lovelace")
            && order.has("1001")
            && order.has("$41.00")
            && order.has("Ring twice,\nthen wait.")
    );
    assert!(browser.get("/basket").await.has("There is nothing in it yet"));

    let mut somebody_else = Browser::new(&shop);
    assert!(
        somebody_else.get(&address).await.expect(200).has("Ada Lovelace"),
        "the address is all it takes"
    );
    somebody_else.get("/orders/1001").await.expect(404);
    somebody_else
        .get("/orders/1001?key=00000000000000000000000000000000")
        .await
        .expect(404);
    somebody_else.get(&address.replace("1001", "1002")).await.expect(404);
}

#[tokio::test]
async fn quantities_are_changed_and_lines_removed() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    browser
        .submit("/basket/add", &[("product", "1"), ("quantity", "1")])
        .await;
    browser
        .submit("/basket/add", &[("product", "2"), ("quantity", "1")])
        .await;

    assert!(
        browser
            .submit("/basket/change", &[("product", "1"), ("quantity", "3")])
            .await
            .has("$55.50")
    );
    assert!(
        !browser
            .submit("/basket/change", &[("product", "1"), ("quantity", "0")])
            .await
            .has("Harbour coffee")
    );
    assert!(
        browser
            .submit("/basket/remove", &[("product", "2")])
            .await
            .has("There is nothing in it yet")
    );
    assert_eq!(browser.get("/checkout").await.location(), "/basket");
}

#[tokio::test]
async fn baskets_are_their_visitors_own() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let (mut one, mut other) = (Browser::new(&shop), Browser::new(&shop));
    one.submit("/basket/add", &[("product", "1"), ("quantity", "1")]).await;
    other
        .submit("/basket/add", &[("product", "2"), ("quantity", "1")])
        .await;
    let (one, other) = (one.get("/basket").await, other.get("/basket").await);
    assert!(one.has("Harbour coffee") && !one.has("Enamel mug"));
    assert!(other.has("Enamel mug") && !other.has("Harbour coffee"));
}

#[tokio::test]
async fn a_form_sent_twice_is_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    browser
        .submit("/basket/add", &[("product", "1"), ("quantity", "1")])
        .await;
    let form = browser.get("/checkout").await.expect(200);
    let (key, total) = (form.field("key"), form.field("total"));
    let fields = [("key", key.as_str()), ("total", total.as_str()), ("name", "Ada")];
    let first = browser.post("/checkout", &fields).await;
    let second = browser.post("/checkout", &fields).await;
    assert_eq!(first.location(), second.location());
}

#[tokio::test]
async fn markup_in_names_and_notes_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    browser
        .submit("/basket/add", &[("product", "1"), ("quantity", "1")])
        .await;

    let refused = browser
        .check_out("", "\"><script>alert(1)</script></textarea>")
        .await
        .expect(422);
    assert!(
        !refused.has("<script") && refused.has("&lt;script&gt;alert(1)"),
        "a form that is shown again escapes what was typed"
    );

    let answer = browser
        .check_out("<script>alert(1)</script>", "<img src=x onerror=alert(1)>")
        .await;
    let order = browser.get(answer.location()).await.expect(200);
    assert!(!order.has("<script") && !order.has("<img") && order.has("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let policy = order.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src") && !policy.contains("unsafe"));
}

#[tokio::test]
async fn concurrent_orders_sell_no_more_than_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut ready = Vec::new();
    for _ in 0..12 {
        let mut browser = Browser::new(&shop);
        browser
            .submit("/basket/add", &[("product", "6"), ("quantity", "1")])
            .await;
        let form = browser.get("/checkout").await.expect(200);
        ready.push((browser, form));
    }
    let order = async |mut browser: Browser, form: Answer| {
        let fields = [
            ("key", &form.field("key") as &str),
            ("total", &form.field("total")),
            ("name", "Ada"),
        ];
        browser.post("/checkout", &fields).await.location().to_owned()
    };
    let buyers: Vec<_> = ready
        .into_iter()
        .map(|(browser, form)| tokio::spawn(order(browser, form)))
        .collect();
    let mut placed = 0;
    for buyer in buyers {
        match buyer.await.unwrap() {
            address if address.starts_with("/orders/") => placed += 1,
            address => assert_eq!(address, "/basket"),
        }
    }
    assert_eq!(placed, 3, "there are three posters");
    let mut late = Browser::new(&shop);
    assert!(late.get("/").await.has("Sold out"));
    late.post("/basket/add", &[("product", "6"), ("quantity", "1")])
        .await
        .expect(409);
}

#[tokio::test]
async fn wanting_more_than_there_is_is_said_in_the_basket() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    let basket = browser
        .submit("/basket/add", &[("product", "6"), ("quantity", "4")])
        .await;
    assert!(basket.has("Only 3 left") && !basket.has("href=\"/checkout\""));
    assert_eq!(browser.get("/checkout").await.location(), "/basket");
    assert!(
        browser
            .submit("/basket/change", &[("product", "6"), ("quantity", "3")])
            .await
            .has("href=\"/checkout\"")
    );
}

#[tokio::test]
async fn a_changed_basket_is_shown_before_it_is_ordered() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    browser
        .submit("/basket/add", &[("product", "1"), ("quantity", "1")])
        .await;
    let form = browser.get("/checkout").await.expect(200);
    browser
        .submit("/basket/add", &[("product", "1"), ("quantity", "1")])
        .await;
    let fields = [
        ("key", &form.field("key") as &str),
        ("total", &form.field("total")),
        ("name", "Ada"),
    ];
    let again = browser.post("/checkout", &fields).await.expect(422);
    assert!(again.has("$29.00") && again.has("value=\"Ada\""));
}

#[tokio::test]
async fn a_page_has_what_a_screen_reader_needs() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::start(folder.path());
    let mut browser = Browser::new(&shop);
    browser
        .submit("/basket/add", &[("product", "1"), ("quantity", "1")])
        .await;
    let refused = browser.check_out("", "").await.expect(422);
    for page in [browser.get("/").await, browser.get("/basket").await, refused] {
        assert!(page.has("<html lang=\"en\">") && page.has("<main ") && page.has("href=\"#main\""));
        assert_eq!(page.body.matches("<h1").count(), 1);
        for id in page
            .body
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            assert_eq!(
                page.body.matches(&format!(" id=\"{id}\"")).count(),
                1,
                "{id} is there once"
            );
        }
        let inputs = page
            .body
            .split("<input ")
            .skip(1)
            .filter(|input| !input.starts_with("type=\"hidden\""));
        for input in inputs {
            let id = input.split_once("id=\"").unwrap().1.split('"').next().unwrap();
            assert!(page.has(&format!("for=\"{id}\"")), "{id} has a label");
        }
    }
}
