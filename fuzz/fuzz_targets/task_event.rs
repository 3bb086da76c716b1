//! The target `task_event`: see `src/task_event.rs`.
#![cfg_attr(fuzzing, no_main)]

wharf_fuzz::target!(task_event);
