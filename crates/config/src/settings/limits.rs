//! What may be given away at once, with what follows from the machine where nothing is said.

use serde::Serialize;

use crate::{
    Machine,
    keys::limits as keys,
    resolved::Resolved,
    setting::Setting,
    values::{ByteSize, MIB, PlatformKind},
};

/// Whatever runs beside the tasks needs some of the machine: one part of so many, and no less than this.
const RESERVE_PART: u64 = 8;
const RESERVE_LEAST: u64 = 512 * MIB;
/// Starts at once for each processor. While it starts a task mostly computes, and one that waits for a disk leaves others their share.
const STARTS_PER_PROCESSOR: u32 = 4;
const STARTS_LEAST: u32 = 8;

/// `[limits]`. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    pub starts_at_once: Option<u32>,
    /// Bytes.
    pub memory: Option<u64>,
    /// 1024 for each processor.
    pub cpu_units: Option<u32>,
    pub instances_per_email: Option<u16>,
}

impl Limits {
    pub(crate) fn read(from: &mut Resolved<'_>, machine: Machine) -> Self {
        const PATH: &str = "limits";
        let is_here = from.platform != PlatformKind::Ecs;
        let starts = from.get(PATH, &keys::STARTS_AT_ONCE).or_else(|| {
            let processors = machine.processors.unwrap_or(1);
            is_here.then(|| STARTS_LEAST.max(processors.saturating_mul(STARTS_PER_PROCESSOR)))
        });
        from.settle("limits.starts_at_once", starts.show());
        // A process's `memory` is a ceiling that few come near: what is not asked for is not held against it.
        let is_planned = from.platform == PlatformKind::Docker;
        let memory = from.get(PATH, &keys::MEMORY).or_else(|| {
            let memory = machine.memory.filter(|_| is_planned)?;
            let left = memory.saturating_sub(RESERVE_LEAST.max(memory / RESERVE_PART));
            // In whole MiB, as people write it.
            (left >= MIB).then_some(ByteSize(left - left % MIB))
        });
        from.settle("limits.memory", memory.show());
        Self {
            starts_at_once: starts,
            memory: memory.map(|memory| memory.0),
            cpu_units: from.get(PATH, &keys::CPU_UNITS),
            instances_per_email: from
                .get(PATH, &keys::INSTANCES_PER_EMAIL)
                .and_then(|most| u16::try_from(most).ok()),
        }
    }
}
