//! The whole of it, deployed: the shipped template in emulated AWS, the real `bootstrap`, and a simulator of ECS, ELBv2 and EC2 behind it.
//!
//! `cargo xtask test --suite aws` runs these tests: it installs the emulator and PostgreSQL, expands the template and packs the function.
//!
//! | file | what it proves |
//! |---|---|
//! | `events` | from an event on the bus to a healthy target, once, and back |
//! | `databases` | a tenant's database on a real PostgreSQL, made by the function beside, and a server that is down |
//! | `direct` | whoever waits for the answer gets it in the documented form |
//! | `killed` | a function that is killed in the middle leaves nothing twice |
//! | `machine` | the shipped state machine, to its success and to its failure |
//! | `messages` | a message that is poison goes to the dead letters, and the others of its batch are done |
//! | `policy` | the role's policy and the calls that are made are the same |
//! | `tenants` | over HTTP to an address, a record, and one mail |
//!
//! | file | what they stand on |
//! |---|---|
//! | `account` | the stack, deployed in an account of its own |
//! | `api` | AWS's protocols |
//! | `mail` | a stand-in for the mail provider |
//! | `wait` | waiting for facts |

mod account;
mod api;
mod databases;
mod direct;
mod events;
mod killed;
mod machine;
mod mail;
mod messages;
mod policy;
mod tenants;
mod wait;
