//! The target `record`: see `src/record.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(record);
