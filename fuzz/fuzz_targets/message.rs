//! The target `message`: see `src/message.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(message);
