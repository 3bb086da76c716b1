//! Console sessions: a signed cookie that says until when. Nothing is kept of a session unless it is ended before its time; a new admin
//! token ends them all.

use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::BASE64URL_NOPAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};
use wharf_domain::Timestamp;

use crate::limits;

/// Bytes that tell sessions of the same moment apart.
const NONCE: usize = 16;

pub(crate) struct Sessions {
    key: SecretSlice<u8>,
    /// The digest of the admin token that sessions are begun with.
    token: [u8; 32],
    is_secure: bool,
}

/// A session whose cookie is good. Whether it was ended meanwhile only the registry knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) until: Timestamp,
    /// What it is known by where its end is written down: nobody makes a cookie of it.
    pub(crate) hash: [u8; 32],
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

    pub(crate) fn open(&self, now: Timestamp, nonce: [u8; NONCE]) -> HeaderValue {
        let until = (now + limits::SESSION).as_millis().to_be_bytes();
        let content = [until.as_slice(), &nonce].concat();
        let signature = self.sign(&content).finalize().into_bytes();
        let value = format!("{}.{}", BASE64.encode(&content), BASE64.encode(&signature));
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

    /// The sessions of a request's cookies, whose signatures are good and whose time is not over: one, as a browser sends it.
    pub(crate) fn shown<'a>(&'a self, headers: &'a HeaderMap, now: Timestamp) -> impl Iterator<Item = Session> + 'a {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name())
            .filter_map(move |(_, value)| self.read(value, now))
            .take(limits::SESSIONS_SHOWN)
    }

    fn read(&self, value: &str, now: Timestamp) -> Option<Session> {
        let (content, signature) = value.split_once('.')?;
        let content = BASE64.decode(content.as_bytes()).ok()?;
        let signature = BASE64.decode(signature.as_bytes()).ok()?;
        self.sign(&content).verify_slice(&signature).ok()?;
        let (until, nonce) = content.split_first_chunk::<8>()?;
        let until = Timestamp(u64::from_be_bytes(*until));
        (nonce.len() == NONCE && now < until).then(|| Session {
            until,
            hash: Sha256::digest(&content).into(),
        })
    }

    fn sign(&self, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret()).expect("HMAC takes a key of any length");
        mac.update(b"console session");
        mac.update(&self.token);
        mac.update(content);
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
        let headers = sent_back(&sessions.open(Timestamp(1_000), [0; NONCE]));
        let end = Timestamp(1_000) + limits::SESSION;
        assert!(sessions.shown(&headers, Timestamp(1_000)).next().is_some());
        assert!(
            sessions
                .shown(&headers, Timestamp(end.as_millis() - 1))
                .next()
                .is_some()
        );
        assert!(sessions.shown(&headers, end).next().is_none());
    }

    #[test]
    fn what_another_token_or_nobody_signed_is_no_session() {
        let headers = sent_back(&sessions(2, false).open(Timestamp(0), [0; NONCE]));
        assert!(sessions(1, false).shown(&headers, Timestamp(0)).next().is_none());
        for value in ["", ".", "AAAAAAAAAAA.AAAA", "x.y.z", "AAAAAAAAAAAA"] {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::COOKIE,
                format!("wharf_session={value}").parse().expect("a header"),
            );
            assert!(
                sessions(1, false).shown(&headers, Timestamp(0)).next().is_none(),
                "{value}"
            );
        }
    }

    #[test]
    fn with_tls_the_cookie_is_bound_to_the_host() {
        let cookie = sessions(1, true).open(Timestamp(0), [0; NONCE]);
        let text = cookie.to_str().expect("text");
        assert!(text.starts_with("__Host-wharf_session=") && text.ends_with("; Secure"));
        assert!(text.contains("; Path=/;") && text.contains("; HttpOnly; SameSite=Strict"));
        // The unbound name, which another host could have set, counts for nothing.
        let plain = sent_back(&sessions(1, false).open(Timestamp(0), [0; NONCE]));
        assert!(sessions(1, true).shown(&plain, Timestamp(0)).next().is_none());
    }
}
