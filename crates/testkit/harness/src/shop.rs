//! A customer of the bundled storefront: looks around, orders, comes back.

use crate::client::{Answer, Client};

/// Somebody with a browser's cookie jar.
pub struct Customer {
    shop: Client,
}

impl Customer {
    pub fn of(shop: Client) -> Self {
        Self { shop }
    }

    /// Orders the first thing that the shop sells. Gives where the order can be seen: a path of the shop.
    pub async fn order(&self, name: &str) -> String {
        let order = self.try_order(name).await.unwrap_or_else(|error| panic!("{error}"));
        self.finds(&order, name).await;
        order
    }

    /// The order is there, with its customer's name.
    pub async fn finds(&self, order: &str, name: &str) {
        self.try_find(order, name)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The same for shops that may be gone in the middle of it. An error does not say whether the order was placed.
    pub async fn try_order(&self, name: &str) -> Result<String, String> {
        let products = self.ask(&self.shop, "/", None).await?.text();
        let product = value_of(&products, "product")?;
        let form = format!("product={product}&quantity=1");
        let added = self.ask(&self.shop, "/basket/add", Some(&form)).await?;
        let cookie = added
            .header("set-cookie")
            .and_then(|cookie| cookie.split(';').next())
            .ok_or("the shop gives no basket")?
            .to_owned();
        let customer = self.shop.clone().with("cookie", cookie);
        let checkout = self.ask(&customer, "/checkout", None).await?.text();
        let (key, total) = (value_of(&checkout, "key")?, value_of(&checkout, "total")?);
        let form = format!("key={key}&total={total}&name={name}&note=");
        let placed = self.ask(&customer, "/checkout", Some(&form)).await?;
        let order = placed
            .header("location")
            .ok_or("the shop does not say where the order is")?;
        Ok(order.to_owned())
    }

    /// The order is there, with its customer's name; or what is there in its place.
    pub async fn try_find(&self, order: &str, name: &str) -> Result<(), String> {
        let page = self.ask(&self.shop, order, None).await?.text();
        if page.contains(name) {
            return Ok(());
        }
        Err(format!(
            "{order} of {} is not the order of {name}: {page}",
            self.shop.host
        ))
    }

    /// A page that is there, or a form that was taken.
    async fn ask(&self, client: &Client, path: &str, form: Option<&str>) -> Result<Answer, String> {
        let (answer, expected) = match form {
            None => (client.try_get(path).await?, 200),
            Some(form) => (client.try_post_form(path, form).await?, 303),
        };
        if answer.status == expected {
            return Ok(answer);
        }
        Err(format!(
            "{path} of {} answers {}: {}",
            client.host,
            answer.status,
            answer.text()
        ))
    }
}

/// The value of the first field of this name in a page's forms.
fn value_of<'a>(page: &'a str, name: &str) -> Result<&'a str, String> {
    let mark = format!("name=\"{name}\" value=\"");
    page.split_once(&mark)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(value, _)| value)
        .ok_or_else(|| format!("no {mark} in {page}"))
}
