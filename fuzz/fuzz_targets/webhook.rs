//! The target `webhook`: see `src/webhook.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(webhook);
