//! The use cases in the simulated world: what people and events ask for, what goes wrong, and what is left of it.
//!
//! | file | what it proves |
//! |---|---|
//! | `battery` | every saga stands the battery: each step failed, doubled, unanswered, crashed |
//! | `crashing` | a crash at every single call; faults by chance; one seed, one course |
//! | `database_servers` | a database server that is down is waited for |
//! | `readiness` | from a claim to Ready, and how many commits that costs |
//! | `failing` | what keeps it from getting there, and that nothing is left then |
//! | `admission` | names, ports, singletons, limits, repeated requests, hundreds at once |
//! | `line` | so many starts at once, so much memory, in the order in which people came |
//! | `transitions` | what every message means in every state |
//! | `healing` | crashes, backoff, Down and back; lost and doubled events |
//! | `sleeping` | who is put to sleep, how it rests, and who wakes it |
//! | `stopping` | stop, start and end: what is kept and what is given back |
//! | `restarting` | after a restart: what comes back, in which order |
//! | `mails` | the outbox, and the password that is shown once |
//! | `trials` | instances that are there for a time only |
//! | `repairing` | differences between registry and world, found and mended |
//! | `repairing_rights` | what an instance has to itself, routes, mails, causes, and a registry that is older than the world |
//! | `repairing_live` | repair at every moment of live sagas: it disturbs none |
//! | `stuck` | stuck at every step: what is said, resumed, given up |
//! | `events` | EventBridge's start and stop |
//! | `events_on_ecs` | what they name there, and sign-ups that come without HTTP |
//! | `strays` | tasks that turn up when nobody wants them any more |
//! | `fixtures` | records of this and earlier releases, resumed to their end |

mod admission;
mod battery;
mod capacity;
mod crashing;
mod database_servers;
mod events;
mod events_on_ecs;
mod failing;
mod fixtures;
mod healing;
mod line;
mod mails;
mod readiness;
mod repairing;
mod repairing_live;
mod repairing_rights;
mod restarting;
mod scheduled;
mod sleeping;
mod stopping;
mod strays;
mod stuck;
mod transitions;
mod trials;
