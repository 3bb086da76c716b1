//! Running tasks, written down: where a process's environment cannot be read, this is how the next Wharf finds what the
//! last one left.
//!
//! What must not be here: anything that Linux needs. There, marks are found (`FINDS_MARKERS`).

use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fs, io, path::Path, sync::Arc};
use wharf_domain::{Attempt, InstanceId};

use super::{marker::Key, survey::Seen, sys};
use crate::files;

const FILE: &str = "task.json";

#[derive(Serialize, Deserialize)]
struct Record {
    pid: i32,
    start: u64,
    attempt: Attempt,
}

/// Writes down an instance's running task, in its folder. Not synced: after a loss of power nothing runs.
pub(super) fn write(folder: &Path, seen: &Seen, attempt: Attempt) -> io::Result<()> {
    let record = Record {
        pid: seen.pid.as_raw_pid(),
        start: seen.start,
        attempt,
    };
    let unfinished = folder.join(format!("{FILE}.new"));
    files::write_private(&unfinished, &serde_json::to_vec(&record)?)?;
    fs::rename(unfinished, folder.join(FILE))
}

/// Every task that was written down below `instances`. What cannot be read is nobody's.
fn read_all(instances: &Path) -> io::Result<Vec<(Key, Seen)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(instances)? {
        let entry = entry?;
        let instance = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<InstanceId>().ok());
        let record = fs::read(entry.path().join(FILE))
            .ok()
            .and_then(|text| serde_json::from_slice::<Record>(&text).ok());
        let pid = record
            .as_ref()
            .and_then(|record| rustix::process::Pid::from_raw(record.pid.max(0)));
        if let (Some(instance), Some(record), Some(pid)) = (instance, record, pid) {
            let key = Key {
                instance,
                attempt: record.attempt,
            };
            let seen = Seen {
                pid,
                start: record.start,
                group: record.pid,
            };
            all.push((key, seen));
        }
    }
    Ok(all)
}

/// Every process of a task that was written down and still runs, less those of this Wharf's own tasks: its first
/// process, if it is still the same one, and whoever is in its group.
pub(super) fn left_over(instances: &Path, own: &HashMap<i32, Arc<Key>>) -> io::Result<Vec<(Key, Seen)>> {
    let mut left: Vec<(Key, Seen)> = read_all(instances)?
        .into_iter()
        .filter(|(_, seen)| !own.contains_key(&seen.group) && sys::start_time(seen.pid) == Some(seen.start))
        .collect();
    let leaders = left
        .iter()
        .map(|(key, seen)| (seen.group, Arc::new(key.clone())))
        .collect();
    let survey = sys::survey("", &leaders)?;
    for (key, rest) in survey.tasks() {
        left.extend(rest.iter().map(|seen| (key.clone(), *seen)));
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::Timestamp;

    #[test]
    fn what_was_written_is_read_and_the_rest_is_nobodys() {
        let instances = tempfile::tempdir().unwrap();
        let instance = InstanceId::new(Timestamp(1), [1; 10]);
        let folder = instances.path().join(instance.as_str());
        fs::create_dir(&folder).unwrap();
        fs::create_dir(instances.path().join("something-else")).unwrap();
        let seen = Seen {
            pid: rustix::process::getpid(),
            start: 7,
            group: rustix::process::getpid().as_raw_pid(),
        };
        write(&folder, &seen, Attempt(2)).unwrap();
        let key = Key {
            instance,
            attempt: Attempt(2),
        };
        assert_eq!(read_all(instances.path()).unwrap(), [(key, seen)]);
        fs::write(folder.join(FILE), "damaged").unwrap();
        assert_eq!(read_all(instances.path()).unwrap(), []);
    }
}
