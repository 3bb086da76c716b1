//! Credentials for signing, kept until shortly before they expire: a role's are not asked for at every call. Nothing is signed here.

use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::Mutex;
use wharf_domain::Timestamp;

use super::SignedError;
use crate::failure;

/// They are asked for anew so long before they expire.
const EARLY: Duration = Duration::from_mins(5);
/// Those that do not say when they expire may be changed.
const UNLIMITED_KEPT_FOR: Duration = Duration::from_mins(15);

#[derive(Debug, Default)]
pub(super) struct CachedCredentials {
    kept: Mutex<Option<(Credentials, Timestamp)>>,
}

impl CachedCredentials {
    /// One asks, the others wait.
    pub(super) async fn get(&self, config: &SdkConfig, now: Timestamp) -> Result<Credentials, SignedError> {
        let mut kept = self.kept.lock().await;
        if let Some((credentials, until)) = &*kept
            && now < *until
        {
            return Ok(credentials.clone());
        }
        let provider = config
            .credentials_provider()
            .ok_or_else(|| SignedError::NoCredentials("no credentials are configured".to_owned()))?;
        let credentials = provider
            .provide_credentials()
            .await
            .map_err(|error| SignedError::NoCredentials(failure::chain(&error)))?;
        let until = match credentials
            .expiry()
            .and_then(|expiry| expiry.duration_since(UNIX_EPOCH).ok())
        {
            Some(expiry) => Timestamp::default() + expiry.saturating_sub(EARLY),
            None => now + UNLIMITED_KEPT_FOR,
        };
        *kept = Some((credentials.clone(), until));
        Ok(credentials)
    }
}
