//! The target `config`: see `src/config.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(config);
