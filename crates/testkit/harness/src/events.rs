//! Server-sent events, read as they come.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::timeout;

use crate::wait::PATIENCE;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Option<u64>,
    pub name: String,
    pub data: Value,
}

impl Event {
    /// The step that it says was begun: `task`, or `undo task`.
    pub fn started(&self) -> Option<String> {
        self.step("started")
    }

    pub fn done(&self) -> Option<String> {
        self.step("done")
    }

    fn step(&self, what: &str) -> Option<String> {
        let step = self.data["step"].as_str().filter(|_| self.data["what"] == what)?;
        Some(if self.data["undo"] == true {
            format!("undo {step}")
        } else {
            step.to_owned()
        })
    }
}

pub struct Events {
    body: Incoming,
    rest: String,
}

impl Events {
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body,
            rest: String::new(),
        }
    }

    /// The next event; `None` when the server has ended the stream, or is gone.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.rest.find("\n\n") {
                let block: String = self.rest.drain(..end + 2).collect();
                match parse(&block) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let frame = timeout(PATIENCE, self.body.frame())
                .await
                .expect("an event, or the stream's end")?
                .ok()?;
            if let Ok(data) = frame.into_data() {
                self.rest.push_str(&String::from_utf8_lossy(&data));
            }
        }
    }

    /// All until the stream's end.
    pub async fn all(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

/// `None` for comments and settings.
fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| {
        block
            .lines()
            .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim_start()))
    };
    let data = field("data")?;
    Some(Event {
        id: field("id").and_then(|id| id.parse().ok()),
        name: field("event").unwrap_or("message").to_owned(),
        data: serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}")),
    })
}
