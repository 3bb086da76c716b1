//! The DevTools protocol, as far as a wire goes: numbered calls, their answers, and events, as JSON with a NUL after each.
//! <https://chromedevtools.github.io/devtools-protocol/>
//!
//! What must not be here: the name of any call or event.

use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout},
    sync::oneshot,
    time::timeout,
};

use super::PATIENCE;

/// What a session does with an event: its name and what it carries.
type Listener = Box<dyn Fn(&str, &Value) + Send>;

/// The calling end.
pub(super) struct Wire {
    input: tokio::sync::Mutex<ChildStdin>,
    last: AtomicU64,
    ends: Arc<Mutex<Ends>>,
}

/// Who waits for what comes.
#[derive(Default)]
struct Ends {
    answers: HashMap<u64, oneshot::Sender<Value>>,
    listeners: HashMap<String, Listener>,
}

impl Wire {
    pub(super) fn new(input: ChildStdin, output: ChildStdout) -> Self {
        let ends = Arc::new(Mutex::new(Ends::default()));
        tokio::spawn(receive(BufReader::new(output), ends.clone()));
        Self {
            input: tokio::sync::Mutex::new(input),
            last: AtomicU64::new(0),
            ends,
        }
    }

    /// Whom the events of a session go to, from now on.
    pub(super) fn listen(&self, session: &str, listener: impl Fn(&str, &Value) + Send + 'static) {
        let mut ends = self.ends.lock().expect("nobody panicked");
        ends.listeners.insert(session.to_owned(), Box::new(listener));
    }

    /// Calls, and waits for what comes of it. `Err`: the browser's own words.
    pub(super) async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value, String> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        self.ends.lock().expect("nobody panicked").answers.insert(id, answer);
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input
            .lock()
            .await
            .write_all(&bytes)
            .await
            .map_err(|error| format!("{method}: the browser is gone: {error}"))?;
        let mut answer = timeout(PATIENCE, answered)
            .await
            .map_err(|_| format!("{method}: no answer within {PATIENCE:?}"))?
            .map_err(|_| format!("{method}: the browser is gone"))?;
        match answer.get("error") {
            Some(error) => Err(format!("{method}: {}", error["message"].as_str().unwrap_or_default())),
            None => Ok(answer["result"].take()),
        }
    }
}

/// Hands out what comes, until the browser closes its end. Whoever waits then is told by the loss of the channel.
async fn receive(mut output: BufReader<ChildStdout>, ends: Arc<Mutex<Ends>>) {
    let mut message = Vec::new();
    while output.read_until(0, &mut message).await.is_ok_and(|count| count > 0) {
        let text = message.strip_suffix(&[0]).unwrap_or(&message);
        let Ok(value) = serde_json::from_slice::<Value>(text) else {
            break;
        };
        message.clear();
        let mut ends = ends.lock().expect("nobody panicked");
        if let Some(id) = value["id"].as_u64() {
            if let Some(answer) = ends.answers.remove(&id) {
                let _ = answer.send(value);
            }
        } else if let (Some(session), Some(method)) = (value["sessionId"].as_str(), value["method"].as_str())
            && let Some(listener) = ends.listeners.get(session)
        {
            listener(method, &value["params"]);
        }
    }
    ends.lock().expect("nobody panicked").answers.clear();
}
