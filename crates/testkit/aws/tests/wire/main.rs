//! The simulator over its wire, as any client sees it. That the real SDK understands the same answers is shown in `wharf-aws`.

mod addresses;
mod client;
mod definitions;
mod events;
mod faults;
mod in_process;
mod program;
mod rules;
mod serving;
mod targets;
mod tasks;
