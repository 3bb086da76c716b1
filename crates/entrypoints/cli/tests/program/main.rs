//! The real program, as a process: what a person, a script or a power cut does to `wharf`, and what they find afterwards.
//!
//! Everything here goes through the program's own doors (its command line, its address, signals) and looks at the world from
//! outside (processes, files). What must not be here: anything that reaches into its crates.
#![cfg(target_os = "linux")]

mod harness;
mod service;

mod admission;
mod backup;
mod bad_services;
mod cli;
mod cost;
mod crowds;
mod deploy;
mod doctor;
mod first_use;
mod floods;
mod full_disk;
mod kill_life;
mod kill_provision;
mod leftovers;
mod lifecycle;
mod operator;
mod payments;
mod planted;
mod secrets;
mod server;
mod services;
mod sleeping;
mod visitors;
mod whole_run;
