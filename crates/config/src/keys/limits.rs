//! The keys of what may be given away at once.

use crate::{
    table::{Key, Node::Leaf, Presence::Always, Section},
    values::{ByteSize, MIB},
};

const MEMORY_MIN: ByteSize = ByteSize(MIB);
const MEMORY_MAX: ByteSize = ByteSize(64 * 1024 * 1024 * MIB);

pub(crate) static STARTS_AT_ONCE: Key<Option<u32>> = Key::new(
    "starts_at_once",
    || None,
    "How many tasks may be on their way to Ready at once. Who comes beyond that waits for its turn, with its place shown, at most \
     `platform.capacity_wait`; new attempts of what was Ready before come first. Not on ECS, which starts what it is asked to.",
)
.between(&[Some(1), Some(10_000)])
.default_note("4 for each processor, at least 8; no limit on `ecs`");
pub(crate) static MEMORY: Key<Option<ByteSize>> = Key::new(
    "memory",
    || None,
    "How much memory tasks may book together: the sum of what their services say as `memory`. A service that says nothing books nothing. An instance has its \
     room from its start until its task is gone; a start that finds none waits as above. One task that books more than this is refused. Not on ECS, which books by \
     itself.",
)
.between(&[Some(MEMORY_MIN), Some(MEMORY_MAX)])
.default_note("on `docker` what the machine has, less an eighth and at least 512MiB; no limit on `process` and `ecs`");
pub(crate) static CPU_UNITS: Key<Option<u32>> = Key::new(
    "cpu_units",
    || None,
    "How many CPU units tasks may book together, 1024 for each processor: the sum of what their services say as `cpu_units`. Everything else is as with `memory`. \
     A container's units are a weight, and what others leave it may use: without this limit more containers share the processors.",
)
.between(&[Some(1), Some(16 * 1024 * 1024)])
.default_note("no limit");
pub(crate) static INSTANCES_PER_EMAIL: Key<Option<u32>> = Key::new(
    "instances_per_email",
    || None,
    "How many instances tenants with one e-mail address may have at once, stopped ones among them. One more is refused. How the address is written, in capitals or \
     not, does not count; nor does what was signed up before this was set, or was paid for by a webhook.",
)
.between(&[Some(1), Some(100)])
.default_note("no limit");

pub(crate) static LIMITS: Section = Section {
    name: "limits",
    doc: "What may be given away at once. What does not fit waits in a line.",
    presence: Always,
    children: &[
        Leaf(&STARTS_AT_ONCE),
        Leaf(&MEMORY),
        Leaf(&CPU_UNITS),
        Leaf(&INSTANCES_PER_EMAIL),
    ],
};
