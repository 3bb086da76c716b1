//! What a task may take of its machine, as its service says it. What it does take is the platform's business.

use crate::service::RunSpec;

/// CPU units of one processor, in task definitions as here.
pub const CPU_UNITS: u64 = 1024;

/// A share of a machine, or the whole of what may be given away of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Booking {
    /// Bytes.
    pub memory: u64,
    /// 1024 for each processor.
    pub cpu_units: u64,
}

impl Booking {
    /// What one task of a service books. A service that says nothing books nothing; and on ECS nothing is booked here, for ECS does it.
    #[must_use]
    pub fn of(run: &RunSpec) -> Self {
        match run {
            RunSpec::Process { memory, .. } => Self {
                memory: memory.unwrap_or(0),
                cpu_units: 0,
            },
            RunSpec::Docker(task) => Self {
                memory: task.memory.unwrap_or(0),
                cpu_units: task.cpu_units.map_or(0, u64::from),
            },
            RunSpec::Ecs(_) => Self::default(),
        }
    }

    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_add(other.memory),
            cpu_units: self.cpu_units.saturating_add(other.cpu_units),
        }
    }

    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self {
            memory: self.memory.saturating_mul(count.into()),
            cpu_units: self.cpu_units.saturating_mul(count.into()),
        }
    }

    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_sub(other.memory),
            cpu_units: self.cpu_units.saturating_sub(other.cpu_units),
        }
    }
}

/// Bytes for a person to read: `256 MiB`, `1.5 GiB`.
#[must_use]
pub fn bytes(amount: u64) -> String {
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    if amount >= GIB && !amount.is_multiple_of(GIB) {
        let tenths = amount.saturating_mul(10) / GIB;
        return format!("{}.{} GiB", tenths / 10, tenths % 10);
    }
    match amount {
        _ if amount >= GIB => format!("{} GiB", amount / GIB),
        _ if amount >= MIB => format!("{} MiB", amount / MIB),
        _ => format!("{amount} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_says_nothing_books_nothing() {
        let run = |memory| RunSpec::Process {
            command: vec!["shop".to_owned()],
            memory,
            directory: None,
        };
        assert!(Booking::of(&run(None)).is_nothing());
        assert_eq!(Booking::of(&run(Some(7))).memory, 7);
    }

    #[test]
    fn bytes_are_told_in_round_figures() {
        assert_eq!(bytes(256 << 20), "256 MiB");
        assert_eq!(bytes(3 << 30), "3 GiB");
        assert_eq!(bytes((3 << 30) / 2), "1.5 GiB");
        assert_eq!(bytes(1000), "1000 bytes");
    }
}
