//! The target `head`: see `src/head.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(head);
