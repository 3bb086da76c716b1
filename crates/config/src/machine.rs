//! What a configuration has to know of the machine, and the two functions that touch it. Everything else in this crate is given what
//! it needs as an argument.

use std::{io::Read as _, path::Path};
use wharf_domain::{Code, Failure};

use crate::values::{KIB, PortRange};

/// A configuration of more bytes is none.
pub(crate) const FILE_MAX: u64 = 1 << 20;

/// Facts of the machine that values are held against.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Where the system takes the ports of outgoing connections from; `None` where it does not say.
    pub ip_local_port_range: Option<PortRange>,
    /// How many processors a program has here at once; `None` where the system does not say.
    pub processors: Option<u32>,
    /// Bytes of memory, used or not; `None` where the system does not say.
    pub memory: Option<u64>,
    /// This is AWS Lambda: nothing listens, nothing is kept on disk, and tasks run on ECS.
    pub lambda: bool,
    /// The part of a host's name that somebody can register, by the public suffix list. It is given as a function because the list is as large as an
    /// SDK: a program that never makes a machine that listens is linked without it.
    pub registrable_domain: fn(&str) -> Option<&str>,
}

/// A machine that listens, of which nothing is known.
impl Default for Machine {
    fn default() -> Self {
        Self {
            ip_local_port_range: None,
            processors: None,
            memory: None,
            lambda: false,
            registrable_domain: psl::domain_str,
        }
    }
}

impl Machine {
    /// Asks the system. What it does not say (on anything but Linux) is not held against.
    #[must_use]
    pub fn detect() -> Self {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        let processors = std::thread::available_parallelism().ok();
        Self {
            processors: processors.and_then(|count| u32::try_from(count.get()).ok()),
            memory: parse_memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()),
            ip_local_port_range: parse_range(&text),
            ..Self::default()
        }
    }

    /// AWS Lambda, of which nothing has to be asked.
    #[must_use]
    pub const fn lambda() -> Self {
        Self {
            ip_local_port_range: None,
            processors: None,
            memory: None,
            lambda: true,
            // Nothing listens, so that no rule asks.
            registrable_domain: |_| None,
        }
    }
}

/// The system's form: two numbers with white space between.
fn parse_range(text: &str) -> Option<PortRange> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(PortRange { first, last })
}

/// The system's form: `MemTotal:       16384256 kB`, one of many lines; its kB are KiB.
fn parse_memory(text: &str) -> Option<u64> {
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(KIB)
}

/// Reads a configuration file, or `None` if there is none.
///
/// # Errors
/// `config.invalid`: it cannot be read, is no UTF-8, or is larger than 1 MiB.
pub fn read_file(path: &Path) -> Result<Option<String>, Failure> {
    let refuse = |why: String| Failure::new(Code::ConfigInvalid, format!("{} cannot be read: {why}", path.display()));
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(refuse(error.to_string()).hint("make it readable, or name another file with --config"));
        }
    };
    let mut bytes = Vec::new();
    let read = file.take(FILE_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| refuse(error.to_string()).hint("name a file with --config"))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(refuse("it is larger than 1 MiB".into()).hint("name the configuration file with --config"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            Err(refuse(format!("the byte at offset {at} is not UTF-8")).hint("save it as UTF-8"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_form_of_a_range_is_read() {
        assert_eq!(
            parse_range("32768\t60999\n"),
            Some(PortRange {
                first: 32_768,
                last: 60_999
            })
        );
        for text in ["", "1", "a b", "2 1", "1 70000"] {
            assert_eq!(parse_range(text), None, "{text}");
        }
    }

    #[test]
    fn the_systems_form_of_its_memory_is_read() {
        assert_eq!(parse_memory("MemTotal:    2048 kB\nMemFree:  1 kB\n"), Some(2 << 20));
        for text in ["", "MemFree: 1 kB", "MemTotal: 1 MB", "MemTotal: x kB"] {
            assert_eq!(parse_memory(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_configuration_is_refused_with_its_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wharf.toml");
        assert_eq!(read_file(&path), Ok(None));
        std::fs::write(&path, "[server]\n").expect("written");
        assert_eq!(read_file(&path), Ok(Some("[server]\n".into())));
        std::fs::write(&path, b"a = \"\xff\"").expect("written");
        assert!(read_file(&path).expect_err("no UTF-8").message.contains("offset 5"));
        std::fs::write(&path, vec![b'#'; FILE_MAX as usize + 1]).expect("written");
        assert!(read_file(&path).expect_err("too large").message.contains("1 MiB"));
        assert!(read_file(folder.path()).is_err(), "a folder");
    }
}
