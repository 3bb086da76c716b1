//! What happens, as lines that a person can read while it does: the time since the beginning, and what was done or seen.

use std::{cell::RefCell, fmt, io::Write, time::Instant};

/// Everything that was said, for those who tell later what belongs to one tenant.
const KEPT: usize = 200_000;

pub(crate) struct Log {
    begun: Instant,
    lines: RefCell<Vec<String>>,
}

impl Log {
    pub(crate) fn begin() -> Self {
        Self {
            begun: Instant::now(),
            lines: RefCell::default(),
        }
    }

    /// Says it now.
    pub(crate) fn say(&self, what: impl fmt::Display) {
        let line = format!("{:>9.3}  {what}", self.begun.elapsed().as_secs_f64());
        // A reader who left does not change what happens.
        let _ = writeln!(std::io::stdout(), "{line}");
        let mut lines = self.lines.borrow_mut();
        if lines.len() < KEPT {
            lines.push(line);
        }
    }

    /// The lines in which this word stands.
    pub(crate) fn of(&self, word: &str) -> Vec<String> {
        let is_it = |line: &&String| {
            line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
                .any(|part| part == word)
        };
        self.lines.borrow().iter().filter(is_it).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_lines_are_those_with_its_whole_name() {
        let log = Log::begin();
        log.say("t1: sign-up: 202");
        log.say("t12: sign-up: 202");
        log.say("the task of t1 is killed");
        assert_eq!(log.of("t1").len(), 2);
        assert_eq!(log.of("t2").len(), 0);
    }
}
