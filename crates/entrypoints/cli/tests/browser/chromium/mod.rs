//! Chromium, as a person at a keyboard uses it: opens pages, reads, types, clicks, and sees what goes wrong behind them.
//!
//! | file | what it is for |
//! |---|---|
//! | `browser` | the process: a profile of its own, and nothing of it left behind |
//! | `wire` | the DevTools protocol over the process's pipes |
//! | `page` | a tab: going somewhere, looking, waiting for what is to be seen |
//! | `hands` | keyboard, mouse and finger |
//! | `notes` | what a tab asked for and complained about |
//!
//! The protocol is JSON over a pipe, of which these tests need a dozen calls. The libraries for it bring fifty crates and
//! megabytes of generated code, for the protocol's other six hundred.
//!
//! What must not be here: anything about Wharf's pages.

use std::time::Duration;

/// Longer than a browser takes for anything on a machine that is busy with ten others.
const PATIENCE: Duration = Duration::from_secs(90);

mod browser;
mod hands;
mod notes;
mod page;
mod wire;

pub(crate) use browser::Browser;
pub(crate) use hands::Key;
pub(crate) use page::{DESK, PHONE, Page, Screen};
