//! Why a task stopped, in words for the one who has to do something about it.
//!
//! What must not be here: finding it out.

use rustix::process::{Signal, WaitIdStatus};
use wharf_domain::{Code, Failure, InstanceId};

/// Why Wharf ended a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Somebody asked for it.
    Asked,
    /// It had more memory than it may have, in bytes.
    Memory { used: u64, limit: u64 },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Code(i32),
    Signal(i32),
    /// Somebody else reaped it.
    Unknown,
}

impl Exit {
    pub(super) fn of(status: Option<&WaitIdStatus>) -> Self {
        match status.map(|status| (status.exit_status(), status.terminating_signal())) {
            Some((Some(code), _)) => Self::Code(code),
            Some((None, Some(signal))) => Self::Signal(signal),
            _ => Self::Unknown,
        }
    }

    pub(super) fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(_) | Self::Unknown => None,
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::Code(code) => format!("exited with code {code}"),
            Self::Signal(number) => format!("was killed by signal {number}{}", signal_name(number)),
            Self::Unknown => "ended, and nobody saw how".to_owned(),
        }
    }
}

/// " (SIGSEGV)", or nothing for a signal without a name.
fn signal_name(number: i32) -> String {
    let name = match Signal::from_named_raw(number) {
        Some(Signal::HUP) => "HUP",
        Some(Signal::INT) => "INT",
        Some(Signal::QUIT) => "QUIT",
        Some(Signal::ILL) => "ILL",
        Some(Signal::TRAP) => "TRAP",
        Some(Signal::ABORT) => "ABRT",
        Some(Signal::BUS) => "BUS",
        Some(Signal::FPE) => "FPE",
        Some(Signal::KILL) => "KILL",
        Some(Signal::USR1) => "USR1",
        Some(Signal::SEGV) => "SEGV",
        Some(Signal::USR2) => "USR2",
        Some(Signal::PIPE) => "PIPE",
        Some(Signal::ALARM) => "ALRM",
        Some(Signal::TERM) => "TERM",
        Some(Signal::XCPU) => "XCPU",
        Some(Signal::XFSZ) => "XFSZ",
        Some(Signal::SYS) => "SYS",
        _ => return String::new(),
    };
    format!(" (SIG{name})")
}

/// What is to be made of a process that stands still, where its instance does not sleep.
pub(super) fn paused() -> Failure {
    Failure::new(
        Code::TaskLost,
        "the process stands still, and answers nobody now (SIGSTOP)",
    )
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// `left_behind`: how many of its processes still ran when its first one had ended.
pub(super) fn cause(instance: &InstanceId, ending: Option<Ending>, exit: Exit, left_behind: usize) -> Failure {
    let words = exit.in_words();
    match ending {
        Some(Ending::Memory { used, limit }) => Failure::new(
            Code::TaskMemory,
            format!(
                "the task used {} of memory, and may use {}: it was ended",
                mebibytes(used),
                mebibytes(limit)
            ),
        )
        .hint("raise `memory` of the service in wharf.toml, or find out what the program needs it for"),
        Some(Ending::Asked) => Failure::new(Code::TaskCrashed, format!("the task was asked to stop, and {words}")),
        None if left_behind > 0 => {
            let processes = if left_behind == 1 { "a process" } else { "processes" };
            Failure::new(
                Code::TaskCrashed,
                format!("the task {words} and left {processes} behind, which Wharf ended ({left_behind})"),
            )
            .hint("run the program in the foreground: a task is over when its first process is, and one that becomes a daemon is not watched")
        }
        None => Failure::new(Code::TaskCrashed, format!("the task {words}")).hint(match exit {
            Exit::Code(0) => "a task has to keep running: let the program serve in the foreground".to_owned(),
            Exit::Signal(9) => {
                "nobody in Wharf sent that signal; the kernel does when the machine has no memory left (see its log)"
                    .to_owned()
            }
            _ => format!("read what it printed last: `wharf logs {instance}`"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::Timestamp;

    #[test]
    fn each_end_has_its_code_and_its_words() {
        let instance = InstanceId::new(Timestamp(1), [0; 10]);
        let memory = Ending::Memory {
            used: 300 << 20,
            limit: 256 << 20,
        };
        let cases = [
            (None, Exit::Code(3), 0, Code::TaskCrashed, "the task exited with code 3"),
            (
                None,
                Exit::Signal(11),
                0,
                Code::TaskCrashed,
                "the task was killed by signal 11 (SIGSEGV)",
            ),
            (
                None,
                Exit::Signal(40),
                0,
                Code::TaskCrashed,
                "the task was killed by signal 40",
            ),
            (
                None,
                Exit::Code(0),
                2,
                Code::TaskCrashed,
                "the task exited with code 0 and left processes behind, which Wharf ended (2)",
            ),
            (
                Some(memory),
                Exit::Signal(9),
                0,
                Code::TaskMemory,
                "the task used 300.0 MiB of memory, and may use 256.0 MiB: it was ended",
            ),
            (
                Some(Ending::Asked),
                Exit::Signal(15),
                1,
                Code::TaskCrashed,
                "the task was asked to stop, and was killed by signal 15 (SIGTERM)",
            ),
        ];
        for (ending, exit, left, code, message) in cases {
            let failure = cause(&instance, ending, exit, left);
            assert_eq!((failure.code, failure.message.as_str()), (code, message));
        }
    }
}
