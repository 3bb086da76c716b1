//! The target `event`: see `src/event.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(event);
