//! A stand-in for Resend: it takes every mail, and keeps who got what. That ours is sent as Resend wants it, and what happens where it fails, is tested
//! in `wharf-mail`.

use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{net::TcpListener, task::JoinHandle};

/// The key that it is asked with.
pub(crate) const KEY: &str = "re_deployed";

#[derive(Debug)]
pub(crate) struct Resend {
    pub(crate) url: String,
    mails: Kept,
    server: JoinHandle<()>,
}

type Kept = Arc<Mutex<Vec<(String, Value)>>>;

impl Resend {
    pub(crate) async fn start() -> Self {
        let mails = Kept::default();
        let router = Router::new().route("/emails", post(take)).with_state(mails.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self { url, mails, server }
    }

    /// Each request, with its idempotency key.
    pub(crate) fn mails(&self) -> Vec<(String, Value)> {
        self.mails.lock().clone()
    }
}

impl Drop for Resend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(mails): State<Kept>, headers: HeaderMap, Json(mail): Json<Value>) -> Json<Value> {
    let text = |name: &str| headers[name].to_str().expect("text").to_owned();
    assert_eq!(text("authorization"), format!("Bearer {KEY}"));
    let mut mails = mails.lock();
    mails.push((text("idempotency-key"), mail));
    Json(json!({"id": format!("mail-{}", mails.len())}))
}
