//! What processes use, as the kernel counts it: CPU time and memory.

use std::{fs, path::Path, time::Duration};

use crate::Result;

/// CPU time so far of all threads of these processes. Of threads that have ended nothing is known any more.
pub(crate) fn cpu(processes: &[u32]) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for process in processes {
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            // The first number is the time on a core, in nanoseconds.
            let counted = fs::read_to_string(thread?.path().join("schedstat"))?;
            let nanoseconds = counted.split_whitespace().next().and_then(|word| word.parse().ok());
            sum += Duration::from_nanos(nanoseconds.ok_or("schedstat is not as documented")?);
        }
    }
    Ok(sum)
}

/// A process and its children.
pub(crate) fn family(process: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{process}/task/{process}/children");
    let mut family = vec![process];
    if Path::new(&path).exists() {
        let children = fs::read_to_string(path)?;
        family.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    Ok(family)
}

/// The processes that any thread of this one has started, and that have not ended.
pub(crate) fn children(process: u32) -> Result<Vec<u32>> {
    let mut all = Vec::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let children = fs::read_to_string(thread?.path().join("children"))?;
        all.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    Ok(all)
}

/// Memory of one process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Everything that is resident, what it shares with others included.
    pub(crate) resident: f64,
    /// What of it stands in no file: heap and stacks.
    pub(crate) anonymous: f64,
    /// The most that was ever resident.
    pub(crate) peak: f64,
}

pub(crate) fn memory(process: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024.0)
    };
    match (bytes("VmRSS:"), bytes("RssAnon:"), bytes("VmHWM:")) {
        (Some(resident), Some(anonymous), Some(peak)) => Ok(Memory {
            resident,
            anonymous,
            peak,
        }),
        _ => Err("the process's status does not tell its memory".into()),
    }
}
