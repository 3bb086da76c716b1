//! Console sessions: a signed cookie that says until when. Nothing is kept of them; a new admin token ends them all.

use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::BASE64URL_NOPAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;
use wharf_domain::Timestamp;

use crate::limits;

pub(crate) struct Sessions {
    key: SecretSlice<u8>,
    /// The digest of the admin token that sessions are begun with.
    token: [u8; 32],
    is_secure: bool,
}

impl Sessions {
    pub(crate) const fn new(key: SecretSlice<u8>, token: [u8; 32], is_secure: bool) -> Self {
        Self { key, token, is_secure }
    }

    /// With TLS, a name that browsers take from this host alone.
    const fn name(&self) -> &'static str {
        if self.is_secure {
            "__Host-wharf_session"
        } else {
            "wharf_session"
        }
    }

    pub(crate) fn open(&self, now: Timestamp) -> HeaderValue {
        let until = (now + limits::SESSION).as_millis().to_be_bytes();
        let signature = self.sign(until).finalize().into_bytes();
        let value = format!("{}.{}", BASE64.encode(&until), BASE64.encode(&signature));
        self.cookie(&value, limits::SESSION.as_secs())
    }

    pub(crate) fn close(&self) -> HeaderValue {
        self.cookie("", 0)
    }

    fn cookie(&self, value: &str, seconds: u64) -> HeaderValue {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
            self.name()
        );
        HeaderValue::from_str(&text).expect("name and base 64 are visible ASCII")
    }

    pub(crate) fn is_open(&self, headers: &HeaderMap, now: Timestamp) -> bool {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| name == self.name() && self.is_good(value, now))
    }

    fn is_good(&self, value: &str, now: Timestamp) -> bool {
        let Some((until, signature)) = value.split_once('.') else {
            return false;
        };
        let (Ok(until), Ok(signature)) = (BASE64.decode(until.as_bytes()), BASE64.decode(signature.as_bytes())) else {
            return false;
        };
        let Ok(until) = <[u8; 8]>::try_from(until) else {
            return false;
        };
        self.sign(until).verify_slice(&signature).is_ok() && now.as_millis() < u64::from_be_bytes(until)
    }

    fn sign(&self, until: [u8; 8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret()).expect("HMAC takes a key of any length");
        mac.update(b"console session");
        mac.update(&self.token);
        mac.update(&until);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(token: u8, is_secure: bool) -> Sessions {
        Sessions::new(SecretSlice::from(vec![7; 32]), [token; 32], is_secure)
    }

    fn sent_back(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie
            .to_str()
            .expect("text")
            .split(';')
            .next()
            .expect("a pair")
            .to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, format!("a=b; {pair}; c=d").parse().expect("a header"));
        headers
    }

    #[test]
    fn a_session_lasts_its_time_and_no_longer() {
        let sessions = sessions(1, false);
        let headers = sent_back(&sessions.open(Timestamp(1_000)));
        let end = Timestamp(1_000) + limits::SESSION;
        assert!(sessions.is_open(&headers, Timestamp(1_000)));
        assert!(sessions.is_open(&headers, Timestamp(end.as_millis() - 1)));
        assert!(!sessions.is_open(&headers, end));
    }

    #[test]
    fn what_another_token_or_nobody_signed_is_no_session() {
        let headers = sent_back(&sessions(2, false).open(Timestamp(0)));
        assert!(!sessions(1, false).is_open(&headers, Timestamp(0)));
        for value in ["", ".", "AAAAAAAAAAA.AAAA", "x.y.z", "AAAAAAAAAAAA"] {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::COOKIE,
                format!("wharf_session={value}").parse().expect("a header"),
            );
            assert!(!sessions(1, false).is_open(&headers, Timestamp(0)), "{value}");
        }
    }

    #[test]
    fn with_tls_the_cookie_is_bound_to_the_host() {
        let cookie = sessions(1, true).open(Timestamp(0));
        let text = cookie.to_str().expect("text");
        assert!(text.starts_with("__Host-wharf_session=") && text.ends_with("; Secure"));
        assert!(text.contains("; Path=/;") && text.contains("; HttpOnly; SameSite=Strict"));
        // The unbound name, which another host could have set, counts for nothing.
        let plain = sent_back(&sessions(1, false).open(Timestamp(0)));
        assert!(!sessions(1, true).is_open(&plain, Timestamp(0)));
    }
}
