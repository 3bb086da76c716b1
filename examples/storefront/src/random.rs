//! Unguessable values, from the operating system's generator. Nothing else in the shop makes random values.

use data_encoding::{Encoding, HEXLOWER};

const TOKEN_BYTES: usize = 16;
const TOKEN_ENCODING: Encoding = HEXLOWER;

/// The system has no random bytes to give. It happens on broken machines only, and then nothing that needs a secret may go on.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes: {0}")]
pub(crate) struct NoRandomness(getrandom::Error);

pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(bytes)
}

/// 128 random bits as 32 hexadecimal digits: who has it may see what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        Ok(Self(TOKEN_ENCODING.encode(&bytes::<TOKEN_BYTES>()?)))
    }

    /// A token that came back from a browser; `None` when it cannot be one of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = TOKEN_ENCODING.decode(text.as_bytes()).ok()?;
        (bytes.len() == TOKEN_BYTES).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_read_back() {
        let (one, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(Token::parse(one.as_str()), Some(one));
    }

    #[test]
    fn nothing_else_reads_as_a_token() {
        let token = Token::generate().unwrap();
        for text in [
            "",
            "0",
            "zz",
            "é",
            &token.as_str()[1..],
            &format!("{}00", token.as_str()),
            &"F".repeat(32),
            &"0".repeat(4096),
        ] {
            assert_eq!(Token::parse(text), None, "{text:?}");
        }
    }
}
