//! The target `host`: see `src/host.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(host);
