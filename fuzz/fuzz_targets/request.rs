//! The target `request`: see `src/request.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(request);
