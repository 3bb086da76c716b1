//! The engine, with a workflow that has nothing of provisioning in it: each of its guarantees, and what it does when the world
//! around it fails.
//!
//! | file | what it proves |
//! |---|---|
//! | `support` | the workflow, its scripted steps, and machines to run it on |
//! | `journaling` | intents before effects; what a saga costs in commits; what the history says |
//! | `leases` | one writer: takeover by observation, fencing, clocks that disagree |
//! | `inboxes` | messages: before each step, between look and sleep, in pages, unreadable ones |
//! | `waiting` | waits as data; wakes lost, doubled and stale; a thousand asleep |
//! | `failing` | retries, time-outs, panics, refused reservations |
//! | `stores` | a registry that fails for a while, and answers that are lost |
//! | `races` | two who have read the same record: what one writes is not written over by the other |
//! | `resuming` | a crash at every single call; steps that this version lacks |

mod failing;
mod handing_over;
mod inboxes;
mod journaling;
mod leases;
mod races;
mod resuming;
mod stores;
mod support;
mod waiting;
