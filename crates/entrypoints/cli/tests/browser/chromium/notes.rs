//! What a tab did behind what is to be seen: whom it asked, what was refused, and what it complained about.

use serde_json::Value;

/// A tab's notes, as its events come.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Where requests went.
    pub(super) asked: Vec<String>,
    /// Answers that were errors: status and address.
    pub(super) refused: Vec<(u16, String)>,
    /// Everything else that ought not to happen: errors and warnings of the console, exceptions, requests without an answer.
    pub(super) complaints: Vec<String>,
    /// What the page asked to be confirmed.
    pub(super) dialogs: Vec<String>,
}

impl Notes {
    pub(super) fn note(&mut self, event: &str, about: &Value) {
        match event {
            "Network.requestWillBeSent" => self.asked.push(text(&about["request"]["url"])),
            "Network.responseReceived" => {
                let status = about["response"]["status"].as_u64().unwrap_or_default() as u16;
                if status >= 400 {
                    self.refused.push((status, text(&about["response"]["url"])));
                }
            }
            // One that the page itself, or leaving it, gave up has not failed.
            "Network.loadingFailed" if about["canceled"] != true => {
                self.complaints
                    .push(format!("a request failed: {}", text(&about["errorText"])));
            }
            "Runtime.exceptionThrown" => self.complaints.push(format!("an exception: {about}")),
            "Runtime.consoleAPICalled" if is_bad(&about["type"]) => {
                self.complaints.push(format!("the console: {}", about["args"]));
            }
            // Of requests, the network's own events tell more.
            "Log.entryAdded" if is_bad(&about["entry"]["level"]) && about["entry"]["source"] != "network" => {
                self.complaints.push(format!("the log: {}", about["entry"]));
            }
            "Page.javascriptDialogOpening" => self.dialogs.push(text(&about["message"])),
            _ => {}
        }
    }
}

fn is_bad(level: &Value) -> bool {
    matches!(level.as_str(), Some("error" | "warning" | "assert"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
