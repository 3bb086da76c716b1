//! Messages to others' servers, handed over one at a time from the outbox.

use async_trait::async_trait;

use crate::MailError;

/// A message as it is posted: JSON, signed already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// `https`, or `http` on loopback. From the configuration, and from nowhere else.
    pub url: String,
    /// Beside the content type.
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// Posts messages.
///
/// Guarantees wanted: `Ok` is an answer of 200 to 299, and nothing else is; redirects are not followed, so that nobody but whom the configuration names
/// is ever called; a call returns within seconds. An error says nothing of the address beyond its host, and nothing of the body.
#[async_trait]
pub trait Poster: Send + Sync + 'static {
    async fn post(&self, post: &Post) -> Result<(), MailError>;
}

/// For deployments that tell nobody.
#[derive(Clone, Copy, Debug)]
pub struct NoPoster;

#[async_trait]
impl Poster for NoPoster {
    async fn post(&self, _: &Post) -> Result<(), MailError> {
        Err(MailError::Permanent(
            "this deployment tells nobody of its instances".to_owned(),
        ))
    }
}
