//! A tab: going somewhere, looking, and waiting for what is to be seen.

use data_encoding::BASE64;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{PATIENCE, notes::Notes, wire::Wire};

/// Between two looks at a page.
const PAUSE: Duration = Duration::from_millis(20);

/// What a page is looked at with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    pub(crate) name: &'static str,
    pub(crate) width: u32,
    height: u32,
    is_phone: bool,
}

pub(crate) const PHONE: Screen = Screen {
    name: "phone",
    width: 390,
    height: 844,
    is_phone: true,
};
pub(crate) const DESK: Screen = Screen {
    name: "desk",
    width: 1200,
    height: 900,
    is_phone: false,
};

impl Screen {
    pub(crate) const fn wide(self, width: u32) -> Self {
        Self { width, ..self }
    }

    pub(crate) const fn high(self, height: u32) -> Self {
        Self { height, ..self }
    }
}

pub(crate) struct Page {
    wire: Arc<Wire>,
    session: String,
    notes: Arc<Mutex<Notes>>,
}

impl Page {
    pub(super) async fn open(wire: Arc<Wire>, screen: Screen) -> Self {
        let browser = async |method: &str, params: Value| {
            wire.call(None, method, params)
                .await
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let target = browser("Target.createTarget", json!({"url": "about:blank"})).await;
        let attached = browser(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        )
        .await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let notes = Arc::new(Mutex::new(Notes::default()));
        let noted = notes.clone();
        wire.listen(&session, move |event, about| {
            noted.lock().expect("nobody panicked").note(event, about);
        });
        let page = Self { wire, session, notes };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page.call("Page.bringToFront", json!({})).await;
        page.on(screen).await;
        page
    }

    pub(super) async fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(method, params)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    async fn try_call(&self, method: &str, params: Value) -> Result<Value, String> {
        self.wire.call(Some(&self.session), method, params).await
    }

    /// Looked at with another screen.
    pub(crate) async fn on(&self, screen: Screen) {
        let Screen {
            width,
            height,
            is_phone,
            ..
        } = screen;
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}),
        )
        .await;
        self.call("Emulation.setTouchEmulationEnabled", json!({"enabled": is_phone}))
            .await;
    }

    /// By somebody who prefers `light` or `dark`.
    pub(crate) async fn in_colours(&self, scheme: &str) {
        self.call(
            "Emulation.setEmulatedMedia",
            json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        )
        .await;
    }

    /// Goes to an address, and waits until the page is whole.
    pub(crate) async fn go(&self, url: &str) {
        let gone = self.call("Page.navigate", json!({"url": url})).await;
        assert_eq!(gone.get("errorText"), None, "{url} cannot be opened");
        self.whole().await;
    }

    pub(crate) async fn reload(&self) {
        self.leave_by(async || {
            self.call("Page.reload", json!({})).await;
        })
        .await;
    }

    /// Does what leads to another page, and waits until that is whole.
    pub(super) async fn leave_by(&self, act: impl AsyncFnOnce()) {
        // Marked, so that the old page is not taken for the new one.
        self.run("document.documentElement.dataset.old = 'true'").await;
        act().await;
        self.until("the page is another one", "!document.documentElement.dataset.old")
            .await;
        self.whole().await;
    }

    /// To the page before. Begun by a timer, since a page that is being left may owe the answer to what made it go.
    pub(crate) async fn back(&self) {
        self.run("setTimeout(() => history.back())").await;
    }

    async fn whole(&self) {
        self.until("the page is whole", "document.readyState === 'complete'")
            .await;
    }

    /// What an expression of the page's language gives. `Err`: it throws, or the page is just being left.
    async fn look(&self, expression: &str) -> Result<Value, String> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.try_call("Runtime.evaluate", params).await?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(details["exception"]["description"].to_string()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// What is to be seen, as soon as it is: what an expression gives that is neither null nor false.
    pub(crate) async fn until(&self, what: &str, expression: &str) -> Value {
        let begun = Instant::now();
        loop {
            let looked = self.look(expression).await;
            match &looked {
                Ok(Value::Null | Value::Bool(false)) | Err(_) => {}
                Ok(found) => return found.clone(),
            }
            assert!(
                begun.elapsed() <= PATIENCE,
                "after {PATIENCE:?} there is still not: {what} ({looked:?})\n{}",
                self.shown().await
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether it is so, now.
    pub(crate) async fn is(&self, expression: &str) -> bool {
        self.look(expression).await == Ok(Value::Bool(true))
    }

    /// What a script gives that runs in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.look(script)
            .await
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits for a text, anywhere on the page.
    pub(crate) async fn says(&self, words: &str) {
        let look = format!("document.body.innerText.includes({})", json!(words));
        self.until(words, &look).await;
    }

    /// The text of what this selects, as soon as it is there.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let look = format!("document.querySelector({})?.innerText ?? null", json!(selector));
        self.until(selector, &look).await.as_str().expect("a text").to_owned()
    }

    /// The address of the page that is shown.
    pub(crate) async fn address(&self) -> String {
        self.run("location.href").await.as_str().expect("an address").to_owned()
    }

    /// Everything there is to read, for who has to find out why a test failed.
    pub(crate) async fn shown(&self) -> String {
        let text = self.look("`${location.href}\\n${document.body.innerText}`").await;
        let notes = self.notes.lock().expect("nobody panicked");
        format!(
            "{}\n{notes:#?}",
            text.as_ref().map_or("", |text| text.as_str().unwrap_or_default())
        )
    }

    /// A picture of the window.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"})).await;
        BASE64
            .decode(picture["data"].as_str().expect("a picture").as_bytes())
            .expect("BASE64")
    }

    /// What the next question is answered with, and what was asked.
    pub(crate) async fn agree(&self) -> String {
        let begun = Instant::now();
        loop {
            let asked = self.notes.lock().expect("nobody panicked").dialogs.pop();
            if let Some(question) = asked {
                self.call("Page.handleJavaScriptDialog", json!({"accept": true})).await;
                return question;
            }
            assert!(begun.elapsed() < PATIENCE, "nothing is asked");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The answers that were errors since the last look: status and address.
    pub(crate) fn refused(&self) -> Vec<(u16, String)> {
        std::mem::take(&mut self.notes.lock().expect("nobody panicked").refused)
    }

    /// Everything else that ought not to happen, since the last look.
    pub(crate) fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().expect("nobody panicked").complaints)
    }

    /// Where requests went, from the tab's first one on.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.notes.lock().expect("nobody panicked").asked.clone()
    }
}
