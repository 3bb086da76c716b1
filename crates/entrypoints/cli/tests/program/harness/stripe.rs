//! Events of Stripe, signed as Stripe signs them.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::time::SystemTime;

use super::deployment::Deployment;

/// A webhook is signed by the time that it is.
#[allow(clippy::disallowed_methods, reason = "the program checks it against its own clock")]
fn seconds() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

fn signed(secret: &str, body: &str) -> String {
    let at = seconds();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

impl Deployment {
    /// Posts an event of Stripe's. Gives the status and the body of the answer.
    pub(crate) async fn stripe(&self, secret: &str, event: &Value) -> (u16, Value) {
        let header = signed(secret, &event.to_string());
        let answer = self
            .console()
            .with("stripe-signature", header)
            .post("/webhooks/stripe", event)
            .await;
        (answer.status, answer.json())
    }
}
