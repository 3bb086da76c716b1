//! The target `mail`: see `src/mail.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(mail);
