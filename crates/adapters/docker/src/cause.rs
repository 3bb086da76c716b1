//! Why a container stopped, in words for the one who has to do something about it. Pure.
//!
//! What must not be here: finding it out.

use wharf_domain::{Code, Failure, InstanceId};

use crate::seen::Seen;

/// What is known of an end beside what Docker keeps of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Witness {
    /// Wharf asked for it.
    pub(crate) asked: bool,
    /// Somebody else sent this signal.
    pub(crate) signal: Option<String>,
    /// Docker told that the kernel took its memory.
    pub(crate) out_of_memory: bool,
    /// It ended while nobody was there to see how: Docker, the machine or Wharf was down.
    pub(crate) unwatched: bool,
    /// What it printed last.
    pub(crate) output: Option<String>,
}

/// Exit codes from here on are 128 and a signal's number.
const SIGNALLED: i32 = 128;
const KILLED: i32 = SIGNALLED + 9;

pub(crate) fn cause(instance: &InstanceId, seen: &Seen, witness: &Witness) -> Failure {
    let words = in_words(seen.exit_code);
    if witness.asked {
        return Failure::new(
            Code::TaskCrashed,
            format!("the container was asked to stop, and {words}"),
        );
    }
    if seen.out_of_memory || witness.out_of_memory {
        let limit = match seen.memory {
            Some(bytes) => format!("may use {}", mebibytes(bytes)),
            None => "the machine has no more".to_owned(),
        };
        return Failure::new(
            Code::TaskMemory,
            format!("the container used more memory than it may ({limit}), and the kernel ended it"),
        )
        .hint("raise `memory` of the service's docker section, or find out what the program needs it for");
    }
    // Docker may tell of the signal after the end. No program of a container can send its first process this one.
    let signal = witness
        .signal
        .as_deref()
        .or((seen.exit_code == Some(KILLED)).then_some("9"));
    if let Some(signal) = signal {
        return Failure::new(
            Code::TaskLost,
            format!(
                "somebody ended the container, with signal {signal} (`docker stop`, `docker kill`, or Docker itself)"
            ),
        )
        .hint("nobody has to do anything: Wharf starts it again. The kernel does so too when the machine has no memory left (see its log)");
    }
    let may_be_another = seen.exit_code.is_none_or(|code| code == 0 || code > SIGNALLED);
    if witness.unwatched && may_be_another {
        return Failure::new(
            Code::TaskLost,
            format!("the container {words} while nobody watched: with Docker, or with the machine"),
        );
    }
    if !seen.error.is_empty() {
        return Failure::new(
            Code::TaskCommand,
            format!("the container could not be started: {}", seen.error),
        )
        .hint("check command, entry point, user and working folder of the image");
    }
    let hint = hint(instance, seen.exit_code, witness.output.as_deref().unwrap_or_default());
    let code = match seen.exit_code {
        _ if is_format_error(witness) => Code::TaskImage,
        _ => Code::TaskCrashed,
    };
    Failure::new(code, format!("the container {words}")).hint(hint)
}

/// How a runtime tells that the image is for another processor: the container runs, and its program is not one.
fn is_format_error(witness: &Witness) -> bool {
    let output = witness.output.as_deref().unwrap_or_default();
    output.to_lowercase().contains("exec format error")
}

fn hint(instance: &InstanceId, exit_code: Option<i32>, output: &str) -> String {
    let lower = output.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&["exec format error"]) {
        return "the image is for another kind of processor: build or pull it for this one".to_owned();
    }
    if says(&["read-only file system", "erofs"]) {
        return "its root cannot be written: name the folder that it writes to (docker = { tmpfs = [\"/tmp\", \"/var/cache\"] }), or loosen that: \
                loosen = [\"read-only-root\"]"
            .to_owned();
    }
    if says(&["permission denied", "operation not permitted", "eacces", "eperm"]) {
        return "it may lack a right that containers do not have here: docker = { user = \"…\" }, capabilities = [\"…\"], or \
                loosen = [\"non-root-user\", \"capabilities\"]"
            .to_owned();
    }
    match exit_code {
        Some(0) => "a task has to keep running: let the program serve in the foreground".to_owned(),
        _ => format!("read what it printed last: `wharf logs {instance}`"),
    }
}

fn in_words(exit_code: Option<i32>) -> String {
    match exit_code {
        Some(code) if code > SIGNALLED => {
            format!("was ended by signal {} (exit code {code})", code - SIGNALLED)
        }
        Some(code) => format!("exited with code {code}"),
        None => "ended".to_owned(),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// What is to be made of a container that is paused, where its instance does not sleep: nobody in Wharf did that.
pub(crate) fn paused() -> Failure {
    Failure::new(
        Code::TaskLost,
        "somebody paused the container, which answers nobody now (`docker pause`)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{marks::Notes, seen::Phase};
    use wharf_domain::Timestamp;

    fn ended(exit_code: i32) -> Seen {
        Seen {
            id: "c".into(),
            owner: None,
            slot: None,
            notes: Notes::default(),
            phase: Phase::Ended,
            exit_code: Some(exit_code),
            out_of_memory: false,
            error: String::new(),
            ended_at: None,
            address: None,
            memory: Some(64 << 20),
        }
    }

    #[test]
    fn each_end_has_its_code_and_its_words() {
        let nobody = Witness::default;
        let signal = || Witness {
            signal: Some("9".into()),
            ..nobody()
        };
        let unwatched = || Witness {
            unwatched: true,
            ..nobody()
        };
        let printed = |text: &str| Witness {
            output: Some(text.to_owned()),
            ..nobody()
        };
        let memory = Seen {
            out_of_memory: true,
            ..ended(137)
        };
        let cases = [
            (ended(3), nobody(), Code::TaskCrashed, "exited with code 3"),
            (ended(0), nobody(), Code::TaskCrashed, "exited with code 0"),
            (ended(139), nobody(), Code::TaskCrashed, "signal 11"),
            (memory, nobody(), Code::TaskMemory, "may use 64.0 MiB"),
            (ended(137), nobody(), Code::TaskLost, "somebody ended the container"),
            (ended(143), signal(), Code::TaskLost, "somebody ended the container"),
            (ended(143), unwatched(), Code::TaskLost, "while nobody watched"),
            (ended(0), unwatched(), Code::TaskLost, "while nobody watched"),
            (ended(3), unwatched(), Code::TaskCrashed, "exited with code 3"),
            (
                ended(1),
                printed("exec /shop: exec format error"),
                Code::TaskImage,
                "exited with code 1",
            ),
        ];
        let instance = InstanceId::new(Timestamp(1), [1; 10]);
        for (seen, witness, code, words) in cases {
            let failure = cause(&instance, &seen, &witness);
            assert_eq!(failure.code, code, "{witness:?}");
            assert!(failure.message.contains(words), "{failure}");
        }
    }

    #[test]
    fn a_program_that_lacks_a_right_is_told_how_it_is_given() {
        let instance = InstanceId::new(Timestamp(1), [1; 10]);
        let hint = |output: &str| {
            let witness = Witness {
                output: Some(output.to_owned()),
                ..Witness::default()
            };
            cause(&instance, &ended(1), &witness).hint.unwrap_or_default()
        };
        assert!(hint("mkdir /data: Read-only file system").contains("read-only-root"));
        assert!(hint("bind: Permission denied").contains("non-root-user"));
        assert!(hint("panicked").contains("wharf logs"));
    }
}
