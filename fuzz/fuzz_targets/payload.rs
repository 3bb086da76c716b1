//! The target `payload`: see `src/payload.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(payload);
