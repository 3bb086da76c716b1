//! What only we can know of the files in `deploy/`: that times fit together, that every documented variable is wired, that nothing is
//! open or secret by oversight. Whether AWS would take them, its own tools say: `cargo xtask test --suite deploy`.

mod alarms;
mod databases;
mod description;
mod events;
mod files;
mod network;
mod policy;
mod stack;
mod state_machine;
mod times;
