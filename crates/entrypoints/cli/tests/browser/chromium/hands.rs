//! Keyboard, mouse and finger: what a person does to a page, as the browser gets it from the system. Nothing here goes through
//! the page's own script.

use serde_json::{Value, json};

use super::page::Page;

/// A key that writes nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    Tab,
    Enter,
}

impl Page {
    pub(crate) async fn press(&self, key: Key) {
        let (name, code, text) = match key {
            Key::Tab => ("Tab", 9, ""),
            Key::Enter => ("Enter", 13, "\r"),
        };
        let event =
            |kind: &str| json!({"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code, "text": text});
        self.call("Input.dispatchKeyEvent", event("keyDown")).await;
        self.call(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": code}),
        )
        .await;
    }

    /// Types, key after key, to wherever the focus is.
    pub(crate) async fn type_text(&self, text: &str) {
        for letter in text.chars() {
            let letter = letter.to_string();
            self.call(
                "Input.dispatchKeyEvent",
                json!({"type": "keyDown", "key": letter, "text": letter}),
            )
            .await;
            self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": letter}))
                .await;
        }
    }

    /// Presses the tab key until the focus is on this element, as somebody does who has no mouse.
    pub(crate) async fn tab_to(&self, selector: &str) {
        for _ in 0..30 {
            if self
                .is(&format!("document.activeElement?.matches({})", json!(selector)))
                .await
            {
                return;
            }
            self.press(Key::Tab).await;
        }
        panic!("the tab key does not lead to {selector}\n{}", self.shown().await);
    }

    /// Clicks on the middle of what this selects, as soon as it is there and nothing lies over it.
    pub(crate) async fn click(&self, selector: &str) {
        let (x, y) = self.middle(selector).await;
        for (kind, buttons) in [("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)] {
            let event = json!({"type": kind, "x": x, "y": y, "button": if kind == "mouseMoved" { "none" } else { "left" }, "buttons": buttons, "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Clicks on what leads to another page, and waits until that is there.
    pub(crate) async fn follow(&self, selector: &str) {
        self.leave_by(async || self.click(selector).await).await;
    }

    /// The same by the enter key, where the focus is.
    pub(crate) async fn enter(&self) {
        self.leave_by(async || self.press(Key::Enter).await).await;
    }

    /// A tap with a finger.
    pub(crate) async fn tap(&self, selector: &str) {
        let (x, y) = self.middle(selector).await;
        self.call(
            "Input.dispatchTouchEvent",
            json!({"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}),
        )
        .await;
        self.call(
            "Input.dispatchTouchEvent",
            json!({"type": "touchEnd", "touchPoints": []}),
        )
        .await;
    }

    async fn middle(&self, selector: &str) -> (f64, f64) {
        // Two frames later, where it is to be seen is where it is to be hit.
        let look = format!(
            "(async () => {{
                const element = document.querySelector({});
                if (document.readyState !== 'complete' || !element || element.disabled) return null;
                element.scrollIntoView({{ block: 'center', behavior: 'instant' }});
                await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
                const {{ left, top, width, height }} = element.getBoundingClientRect();
                const [x, y] = [left + width / 2, top + height / 2];
                const hit = document.elementFromPoint(x, y);
                return width > 0 && (element.contains(hit) || hit?.contains(element)) ? [x, y] : null;
            }})()",
            json!(selector)
        );
        let place = self.until(&format!("{selector} can be clicked"), &look).await;
        let number = |value: &Value| value.as_f64().expect("a number");
        (number(&place[0]), number(&place[1]))
    }
}
