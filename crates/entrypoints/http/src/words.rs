//! What people read for what programs say: steps and states by name, spans of time.

use std::time::Duration;

/// A step of a saga, while it is under way and when it is done.
pub(crate) fn step(name: &str, undo: bool) -> &'static str {
    match (name, undo) {
        ("claim", false) => "Reserve the name",
        ("claim", true) => "Give the name back",
        ("secrets", false) => "Make the passwords",
        ("secrets", true) => "Remove the passwords",
        ("database", false) => "Create the database",
        ("database", true) => "Remove the database",
        ("task", false) => "Start the application",
        ("task", true) => "Stop the application",
        ("running", _) => "See that it runs",
        ("endpoint", false) => "Find where it listens",
        ("endpoint", true) => "Give its port back",
        ("route", false) => "Connect its address",
        ("route", true) => "Disconnect its address",
        ("healthy", _) => "See that it answers",
        ("ready", _) => "Open it to visitors",
        ("pause", _) => "Wait a moment before the next attempt",
        ("unused", _) => "See that nobody uses it",
        ("freeze", _) => "Let it stand still",
        ("thaw", false) => "Let it go on",
        ("thaw", true) => "Disconnect its address",
        ("attempt", _) => "Begin a new attempt",
        // A later version's step, in a saga that it began.
        (_, false) => "Carry on",
        (_, true) => "Take back",
    }
}

/// Whether a step is one that people are told of: taking back what had no effect is none.
pub(crate) fn is_told(name: &str, undo: bool) -> bool {
    !(undo
        && matches!(
            name,
            "running" | "healthy" | "ready" | "pause" | "attempt" | "unused" | "freeze"
        ))
}

/// A span of time with one unit: `1 ms`, `1.2 s`, `3 min`, `2 h`, `5 d`.
pub(crate) fn span(span: Duration) -> String {
    let millis = span.as_millis();
    let seconds = span.as_secs();
    match seconds {
        0 if millis == 0 => "<1 ms".to_owned(),
        0 => format!("{millis} ms"),
        1..10 => format!("{}.{} s", seconds, span.subsec_millis() / 100),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// An amount of memory: `24.0 MiB`.
pub(crate) fn memory(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_domain::service::SleepBy;
    use wharf_provisioning::sagas;
    use wharf_saga::Way;

    #[test]
    fn every_step_of_every_saga_has_words() {
        for plan in [
            sagas::restore(),
            sagas::stop(),
            sagas::take_down(),
            sagas::sleep(SleepBy::Stop),
            sagas::sleep(SleepBy::Pause),
            sagas::sleep_on(),
            sagas::wake(),
            sagas::end(),
        ] {
            for (name, way) in plan.steps {
                let words = step(name, way == Way::Undo);
                assert!(!["Carry on", "Take back"].contains(&words), "{name}");
            }
        }
    }

    #[test]
    fn spans_are_short() {
        let cases = [
            (0, "<1 ms"),
            (7, "7 ms"),
            (1_250, "1.2 s"),
            (61_000, "61 s"),
            (180_000, "3 min"),
            (7_200_000, "2 h"),
            (432_000_000, "5 d"),
        ];
        for (millis, text) in cases {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }
}
