//! A customer of the bundled storefront: looks around, orders, comes back.

use super::client::Client;

/// Somebody with a browser's cookie jar.
pub(crate) struct Customer {
    shop: Client,
}

impl Customer {
    pub(crate) fn of(shop: Client) -> Self {
        Self { shop }
    }

    /// Orders the first thing that the shop sells. Gives where the order can be seen: a path of the shop.
    pub(crate) async fn order(&self, name: &str) -> String {
        let products = self.shop.get("/").await.is(200).text();
        let product = value_of(&products, "product");
        let added = self
            .shop
            .post_form("/basket/add", &format!("product={product}&quantity=1"))
            .await
            .is(303);
        let cookie = added
            .header("set-cookie")
            .and_then(|cookie| cookie.split(';').next())
            .expect("a basket")
            .to_owned();
        let customer = self.shop.clone().with("cookie", cookie);
        let checkout = customer.get("/checkout").await.is(200).text();
        let (key, total) = (value_of(&checkout, "key"), value_of(&checkout, "total"));
        let placed = customer
            .post_form("/checkout", &format!("key={key}&total={total}&name={name}&note="))
            .await
            .is(303);
        let order = placed.header("location").expect("an order").to_owned();
        self.finds(&order, name).await;
        order
    }

    /// The order is there, with its customer's name.
    pub(crate) async fn finds(&self, order: &str, name: &str) {
        let page = self.shop.get(order).await.is(200).text();
        assert!(page.contains(name), "{page}");
    }
}

/// The value of the first field of this name in a page's forms.
fn value_of<'a>(page: &'a str, name: &str) -> &'a str {
    let mark = format!("name=\"{name}\" value=\"");
    page.split_once(&mark)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or_else(|| panic!("no {mark} in {page}"), |(value, _)| value)
}
