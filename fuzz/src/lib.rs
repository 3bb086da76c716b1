//! Inputs that nobody thought of, for everything that reads what strangers, files and other programs write.
//!
//! Each target is a plain function of bytes that panics where a property does not hold; not to panic is only the first of them. What is found becomes a file
//! in `corpus/<target>`, and stays there.
//!
//! | who calls it | what for |
//! |---|---|
//! | `tests/replay.rs` | the corpus, and inputs made of it by chance that a seed decides: on every machine, with every test run |
//! | `cargo xtask test --suite fuzz` | each for some seconds, led by coverage (libFuzzer) |
//! | `cargo xtask fuzz [TARGET] [--for 10m]` | the same for as long as one likes |
//! | `cargo fuzz run TARGET` | the same by cargo-fuzz, with its sanitizers, on a nightly toolchain |
//! | `cargo run -p wharf-fuzz --bin TARGET FILE…` | these files, to see what they do |
//!
//! What must not be here: rules of the product. Where a target needs a second opinion (a strict reader of HTTP) it has its own.

pub mod config;
pub mod event;
pub mod generate;
pub mod head;
pub mod host;
pub mod mail;
pub mod message;
pub mod name;
#[cfg(feature = "aws")]
pub mod payload;
pub mod record;
pub mod replay;
pub mod request;
mod strict;
#[cfg(feature = "aws")]
pub mod task_event;
pub mod webhook;

#[cfg(fuzzing)]
pub use libfuzzer_sys;

/// A target: its name, which is that of its corpus, and what it does with an input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "host",
        run: host::run,
    },
    Target {
        name: "head",
        run: head::run,
    },
    Target {
        name: "request",
        run: request::run,
    },
    Target {
        name: "config",
        run: config::run,
    },
    Target {
        name: "record",
        run: record::run,
    },
    Target {
        name: "message",
        run: message::run,
    },
    Target {
        name: "event",
        run: event::run,
    },
    Target {
        name: "webhook",
        run: webhook::run,
    },
    Target {
        name: "name",
        run: name::run,
    },
    Target {
        name: "mail",
        run: mail::run,
    },
    #[cfg(feature = "aws")]
    Target {
        name: "task_event",
        run: task_event::run,
    },
    #[cfg(feature = "aws")]
    Target {
        name: "payload",
        run: payload::run,
    },
];

/// The program of a target: libFuzzer's where that drives it, otherwise one that takes files.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name::run(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::replay::files($crate::$name::run)
        }
    };
}
