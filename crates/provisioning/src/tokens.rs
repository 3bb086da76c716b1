//! Tokens that are derived rather than kept: from the deployment's own key and the instance's id. The registry holds only
//! their hashes, a mail in the outbox holds none, and the same request asked twice gets the same token.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use wharf_domain::{InstanceId, StatusToken};

/// The deployment's own key: 32 bytes from a CSPRNG, made once.
#[derive(Clone, Debug)]
pub struct TokenKey(SecretSlice<u8>);

impl TokenKey {
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(SecretSlice::from(bytes.to_vec()))
    }

    /// The bytes of a key that is kept as text, such as one that a secret store has generated.
    #[must_use]
    pub fn digest(text: &SecretString) -> [u8; 32] {
        Sha256::digest(text.expose_secret()).into()
    }

    /// Lets its bearer watch the instance's way to Ready.
    #[must_use]
    pub fn status(&self, instance: &InstanceId) -> StatusToken {
        self.derive("status", instance)
    }

    /// Lets its bearer see the first password, once.
    #[must_use]
    pub fn reveal(&self, instance: &InstanceId) -> StatusToken {
        self.derive("reveal", instance)
    }

    /// Lets its bearer choose another name for what was paid for, once.
    #[must_use]
    pub fn choose(&self, order: &InstanceId) -> StatusToken {
        self.derive("choose", order)
    }

    fn derive(&self, purpose: &str, instance: &InstanceId) -> StatusToken {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()).expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(instance.as_str().as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        StatusToken::new(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::Timestamp;

    #[test]
    fn tokens_differ_by_purpose_instance_and_key() {
        let (one, two) = (
            InstanceId::new(Timestamp(1), [1; 10]),
            InstanceId::new(Timestamp(1), [2; 10]),
        );
        let key = TokenKey::new([7; 32]);
        assert_eq!(key.status(&one), key.status(&one));
        assert_ne!(key.status(&one), key.reveal(&one));
        assert_ne!(key.status(&one), key.status(&two));
        assert_ne!(key.status(&one), TokenKey::new([8; 32]).status(&one));
    }
}
