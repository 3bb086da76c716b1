//! Where a webhook's secrets are: given at the start, or kept by somebody who is asked for them.

use futures::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use std::{fmt, sync::Arc};
use wharf_domain::Failure;

/// Gives a secret, several between commas; who gives it keeps it.
pub type FetchSecret = Arc<dyn Fn() -> BoxFuture<'static, Result<SecretString, Failure>> + Send + Sync>;

/// The secrets of one webhook: more than one while it is being replaced, the newest first.
#[derive(Clone)]
pub enum HookSecrets {
    Given(SecretString),
    Kept(FetchSecret),
}

impl HookSecrets {
    pub(crate) async fn get(&self) -> Result<Vec<SecretString>, Failure> {
        let text = match self {
            Self::Given(text) => text.clone(),
            Self::Kept(fetch) => fetch().await?,
        };
        let each = text.expose_secret().split(',').map(str::trim);
        Ok(each
            .filter(|secret| !secret.is_empty())
            .map(SecretString::from)
            .collect())
    }
}

impl fmt::Debug for HookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "Given(hidden)",
            Self::Kept(_) => "Kept(hidden)",
        })
    }
}
