//! The function over the simulated world: each invocation in a process of its own, which is gone when its answer is out; wakes through a queue with whole
//! seconds; a sweep each minute.
//!
//! | file | what it proves |
//! |---|---|
//! | `events` | one event is one task, however often it comes; what is refused; what is told |
//! | `machine` | a state machine's start and its looks |
//! | `http` | the same router as on one machine |
//! | `rough` | kills at every call, deadlines, clocks that differ, lost wakes, panics |
//! | `reported` | metrics and what they count |

mod cloud;
mod events;
mod http;
mod machine;
mod reported;
mod rough;
