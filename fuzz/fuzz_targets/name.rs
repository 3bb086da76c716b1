//! The target `name`: see `src/name.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(name);
