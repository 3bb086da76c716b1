//! What Wharf itself is given in Secrets Manager: the admin token, the key of its tokens, the mail provider's key.

use parking_lot::Mutex;
use secrecy::SecretString;
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};
use tokio::{sync::Mutex as AsyncMutex, time::Instant};
use wharf_domain::{Code, Failure};

use crate::{clients::Clients, governor::Governor, operations::Operation};

/// A secret that was changed is in force after this long.
const KEPT_FOR: Duration = Duration::from_mins(5);
/// A deployment has three or four.
const MOST: usize = 64;

/// One value: when it was read, and what it was.
type Kept = Arc<AsyncMutex<Option<(Instant, SecretString)>>>;

/// Reads secrets by name or ARN, and keeps each for five minutes; longer where Secrets Manager cannot be asked then.
pub struct WharfSecrets {
    clients: Arc<Clients>,
    governor: Arc<Governor>,
    kept: Mutex<HashMap<String, Kept>>,
}

impl fmt::Debug for WharfSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WharfSecrets")
    }
}

impl WharfSecrets {
    #[must_use]
    pub fn new(clients: Arc<Clients>, governor: Arc<Governor>) -> Self {
        Self {
            clients,
            governor,
            kept: Mutex::default(),
        }
    }

    /// The secret's text; of one that is a JSON object, `name#key` is the text under that key.
    pub async fn get(&self, name: &str) -> Result<SecretString, Failure> {
        let kept = self.kept(name);
        // Who comes meanwhile waits for the answer.
        let mut kept = kept.lock().await;
        if let Some((since, value)) = kept.as_ref()
            && since.elapsed() < KEPT_FOR
        {
            return Ok(value.clone());
        }
        match (self.read(name).await, kept.as_ref()) {
            (Ok(value), _) => {
                *kept = Some((Instant::now(), value.clone()));
                Ok(value)
            }
            (Err(failure), Some((_, value))) if failure.code.is_passing() => {
                tracing::warn!(name, error = %failure, "a secret cannot be read anew, and stays as it was");
                Ok(value.clone())
            }
            (Err(failure), _) => Err(failure),
        }
    }

    async fn read(&self, name: &str) -> Result<SecretString, Failure> {
        let client = self.clients.secretsmanager().await;
        let (id, key) = match name.split_once('#') {
            Some((id, key)) => (id, Some(key)),
            None => (name, None),
        };
        let answer = self
            .governor
            .ask(
                Operation::SecretsGetSecretValueOfWharf,
                id,
                Governor::deadline(),
                || client.get_secret_value().secret_id(id).send(),
            )
            .await?;
        let text = answer
            .secret_string
            .map(SecretString::from)
            .ok_or_else(|| no_text(name))?;
        match key {
            None => Ok(text),
            Some(key) => member(&text, key).ok_or_else(|| no_text(name)),
        }
    }

    fn kept(&self, name: &str) -> Kept {
        let mut kept = self.kept.lock();
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.entry(name.to_owned()).or_default().clone()
    }
}

fn member(text: &SecretString, key: &str) -> Option<SecretString> {
    use secrecy::ExposeSecret;
    let mut members: HashMap<String, serde_json::Value> = serde_json::from_str(text.expose_secret()).ok()?;
    match members.remove(key)? {
        serde_json::Value::String(text) => Some(SecretString::from(text)),
        _ => None,
    }
}

fn no_text(name: &str) -> Failure {
    Failure::new(Code::ConfigInvalid, format!("the secret {name} holds no text"))
        .hint("put the value there as text, or as a member of a JSON object that is named behind a #: `name#key`")
}
