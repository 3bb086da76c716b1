//! Who may enter: the password, and the signed cookie that stands for it afterwards. Nothing is stored: a session is good until it ends, or until the password changes.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use super::attempts::Attempts;

/// A working day.
pub(super) const SECONDS: i64 = 12 * 60 * 60;
/// Longer passwords are cut off by no browser, but nobody has one.
const PASSWORD_MAX_BYTES: usize = 1024;

type HmacSha256 = Hmac<Sha256>;

pub(in crate::web) struct Door {
    secret: Vec<u8>,
    /// Derived from the shop's secret and its password: proves a password, and signs sessions. With another password, all of them end.
    key: [u8; 32],
    attempts: Mutex<Attempts>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Door(…)")
    }
}

impl Door {
    /// `secret` is the shop's own: a stolen cookie is of no use for guessing the password without the database.
    pub(in crate::web) fn new(secret: &[u8], password: &[u8]) -> Self {
        Self {
            secret: secret.to_vec(),
            key: derive(secret, password),
            attempts: Mutex::new(Attempts::new()),
        }
    }

    /// Whether this is the password; an error says how long to wait until one may be tried again. What is compared has one length, whatever was typed.
    pub(super) fn try_password(&self, password: &[u8], now: Instant) -> Result<bool, Duration> {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.check(now)?;
        let right: bool = derive(&self.secret, password).ct_eq(&self.key).into();
        if !right || password.len() > PASSWORD_MAX_BYTES {
            attempts.wrong(now);
            return Ok(false);
        }
        Ok(true)
    }

    /// A cookie's value: when it ends, what makes it unlike any other, and the signature of both. `now` is in seconds since 1970.
    pub(super) fn new_session(&self, now: i64, nonce: &[u8; 16]) -> String {
        let claim = format!("{}.{}", now.saturating_add(SECONDS), HEXLOWER.encode(nonce));
        let signature = HEXLOWER.encode(&mac(&self.key, claim.as_bytes()).finalize().into_bytes());
        format!("{claim}.{signature}")
    }

    /// Whether a cookie's value is a session of ours that has not ended.
    pub(super) fn knows(&self, session: &str, now: i64) -> bool {
        let Some((claim, signature)) = session.rsplit_once('.') else {
            return false;
        };
        let Ok(signature) = HEXLOWER.decode(signature.as_bytes()) else {
            return false;
        };
        let is_ours = mac(&self.key, claim.as_bytes()).verify_slice(&signature).is_ok();
        let ends = claim.split_once('.').and_then(|(ends, _)| ends.parse::<i64>().ok());
        is_ours && ends.is_some_and(|ends| now < ends)
    }
}

fn derive(secret: &[u8], password: &[u8]) -> [u8; 32] {
    mac(secret, password).finalize().into_bytes().into()
}

fn mac(key: &[u8], message: &[u8]) -> HmacSha256 {
    let mut mac = HmacSha256::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(message);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; 16] = [7; 16];

    #[test]
    fn a_session_ends() {
        let door = Door::new(b"secret", b"password");
        let session = door.new_session(1000, &NONCE);
        assert!(door.knows(&session, 1000 + SECONDS - 1));
        assert!(!door.knows(&session, 1000 + SECONDS));
    }

    #[test]
    fn a_session_of_another_shop_or_password_is_not_known() {
        let session = Door::new(b"secret", b"password").new_session(1000, &NONCE);
        assert!(!Door::new(b"other", b"password").knows(&session, 1000));
        assert!(!Door::new(b"secret", b"changed").knows(&session, 1000));
    }

    #[test]
    fn a_session_cannot_be_altered() {
        let door = Door::new(b"secret", b"password");
        let session = door.new_session(1000, &NONCE);
        for at in 0..session.len() {
            let mut bytes = session.clone().into_bytes();
            bytes[at] ^= 1;
            let altered = String::from_utf8(bytes).unwrap();
            assert!(!door.knows(&altered, 1000), "{altered}");
        }
        for nonsense in ["", ".", "..", "99999999999.", "99999999999.00.", "x.y.z"] {
            assert!(!door.knows(nonsense, 1000), "{nonsense:?}");
        }
    }

    #[test]
    fn only_the_password_is_the_password() {
        let (door, now) = (Door::new(b"secret", b"password"), Instant::now());
        assert_eq!(door.try_password(b"password", now), Ok(true));
        for wrong in [&b""[..], b"Password", b"password ", b"password\0", &[b'x'; 5000]] {
            assert_eq!(door.try_password(wrong, now), Ok(false));
        }
    }

    #[test]
    fn right_passwords_are_not_counted_and_wrong_ones_shut_the_door() {
        let (door, now) = (Door::new(b"secret", b"password"), Instant::now());
        for _ in 0..100 {
            assert_eq!(door.try_password(b"password", now), Ok(true));
        }
        while door.try_password(b"guess", now).is_ok() {}
        assert!(
            door.try_password(b"password", now).is_err(),
            "otherwise guessing would go on"
        );
    }
}
