//! `wharf doctor` against the simulator: a good set-up is well, and what is wrong with a bad one is found, with how to mend it.

mod faults;
mod good;
mod registry;
mod support;
