//! The simulator over its wire, as any client sees it. That the real SDK understands the same answers is shown in `wharf-aws`.

mod client;
mod targets;
mod tasks;
