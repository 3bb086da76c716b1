//! As much of a browser as the shop needs: cookies, forms, redirects. Each has cookies of its own.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::process::{INSTANCE, Shop};

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// Where a redirect leads.
    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.content());
        self.headers[header::LOCATION].to_str().expect("an address")
    }

    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.content());
        self
    }

    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest = self
            .body
            .split_once(&start)
            .unwrap_or_else(|| panic!("no field {name}"))
            .1;
        rest.split_once('"').expect("a closing quote").0.to_owned()
    }

    /// The page without its frame.
    pub(crate) fn content(&self) -> &str {
        self.body
            .split_once("<main")
            .map_or(&*self.body, |(_, content)| content)
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

pub(crate) struct Browser {
    address: SocketAddr,
    /// Name to path and value.
    cookies: BTreeMap<String, (String, String)>,
}

impl Browser {
    pub(crate) fn new(shop: &Shop) -> Self {
        Self {
            address: shop.address,
            cookies: BTreeMap::new(),
        }
    }

    /// The same browser at a shop that was started again, elsewhere.
    pub(crate) fn moved(mut self, shop: &Shop) -> Self {
        self.address = shop.address;
        self
    }

    pub(crate) fn set_cookie(&mut self, name: &str, path: &str, value: &str) {
        self.cookies
            .insert(name.to_owned(), (path.to_owned(), value.to_owned()));
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// Sends a form, as a page of the shop would.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = format!("http://{}", self.address);
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", &origin),
            ("sec-fetch-site", "same-origin"),
        ];
        self.send(Method::POST, path, &headers, &encode(fields)).await
    }

    /// Sends a form, and looks where the answer leads.
    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.post(path, fields).await;
        self.get(answer.location()).await.expect(200)
    }

    pub(crate) async fn log_in(&mut self, password: &str) -> Answer {
        self.post("/admin/login", &[("password", password)]).await
    }

    /// Checks out what is in the basket, as `name`.
    pub(crate) async fn check_out(&mut self, name: &str, note: &str) -> Answer {
        let form = self.get("/checkout").await.expect(200);
        self.post(
            "/checkout",
            &[
                ("key", &form.field("key")),
                ("total", &form.field("total")),
                ("name", name),
                ("note", note),
            ],
        )
        .await
    }

    pub(crate) async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent: Vec<_> = self
            .cookies
            .iter()
            .filter(|(_, (place, _))| path.starts_with(place.as_str()))
            .map(|(name, (_, value))| format!("{name}={value}"))
            .collect();
        if !sent.is_empty() {
            request = request.header(header::COOKIE, sent.join("; "));
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .expect("a request");
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("HTTP");
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        connection.abort();
        assert_eq!(
            head.headers["x-wharf-instance"], INSTANCE,
            "every answer says who gave it"
        );
        self.keep_cookies(&head.headers);
        Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.into()).expect("UTF-8"),
        }
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let mut parts = cookie.to_str().expect("text").split("; ");
            let (name, value) = parts
                .next()
                .and_then(|pair| pair.split_once('='))
                .expect("a name and a value");
            let attributes: Vec<_> = parts.collect();
            assert!(
                attributes.contains(&"HttpOnly") && attributes.contains(&"SameSite=Strict"),
                "{cookie:?}"
            );
            let path = attributes
                .iter()
                .find_map(|attribute| attribute.strip_prefix("Path="))
                .expect("a path");
            if attributes.contains(&"Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.set_cookie(name, path, value);
            }
        }
    }
}

pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    let text = |text: &str| {
        text.bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02x}")
                }
            })
            .collect::<String>()
    };
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", text(name), text(value)))
        .collect::<Vec<_>>()
        .join("&")
}
