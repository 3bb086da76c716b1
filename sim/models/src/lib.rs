//! The protocols on which everything else rests, as models small enough for every one of their states to be looked at: whoever is paused for how
//! long, and in whichever order things happen.
//!
//! | model | what of Wharf | what must hold |
//! |---|---|---|
//! | [`lease`] | the engine: leases, fencing, the journal, the inbox (ARCHITECTURE, invariants 1 to 3) | nobody writes over what they have not read, or while another has the lease; nobody takes a lease over while a call is covered by it; no message is missed; no call touches another attempt's task, and a start made twice is one task; when faults stop it comes to its end within [`lease::CALM_TICKS`], with a task if it is Ready and else none |
//! | [`port`] | ports: claim, release, rest | a port is one instance's at most, and as its reservation says; it is not handed out while another's task listens there, or may come to; it is handed out again |
//!
//! Each holds over all states to the bounds of `CASES`; each of the mistakes in `PLANTED` is found. `cargo run -p wharf-models` does both and says
//! how many states there are; the tests do, too, and fail if there are fewer than there were.
//!
//! # What is code of the engine's, and what is like it
//!
//! A saga's progress (what is next, what an outcome makes of it, what is undone) is `wharf_saga::plan` itself. The rest follows `drive.rs`,
//! `drive/journal.rs`, `engine.rs`, `store.rs`, and `workflow.rs`, `claim.rs` and `steps/` of `wharf-provisioning`, name by name, so that the two can be read
//! side by side. Whoever changes one changes the other.
//!
//! # What is bounded
//!
//! Drivers, instances, ports; how many crashes, losses, messages and late calls there are. Not bounded: pauses, the order of events, takeovers, renewals.
//!
//! # What is left out
//!
//! - Time goes in ticks. Of the engine's limits their order is kept; all clocks go at the same pace, and differ by as much as they like. The ports' model
//!   bounds that difference, for a rest is judged by two of them.
//! - A saga has three kinds of steps: with an effect, without one, and one that waits for the world. None fails for good: what follows is the same unwinding
//!   as after a stop. Short waits are not lingered over.
//! - A commit whose answer was lost has come to the registry or not by the time the record is read again.
//! - When a record is due, somebody looks sooner or later; a look at what is not due does nothing, and is not there.
//! - A call that comes late (after its time-out, after the takeover, after the undo) can leave a task that nobody wants. The model of leases has who
//!   looks for such tasks wherever there is such a call, and shows that all else does without. The model of ports takes how late a start can come from
//!   [`port::LATE`], and shows that the rest has to be longer.
//! - One instance for leases; a task has nothing but a port. Reservations of names and endpoints are like those of ports.

pub mod check;
pub mod lease;
pub mod port;
