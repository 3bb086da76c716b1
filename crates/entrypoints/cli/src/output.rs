//! What is printed: one value on standard output, as text or as JSON; talk and failures on standard error.

use serde::Serialize;
use std::{
    io::{self, Write},
    time::Duration,
};
use wharf_domain::{Failure, Timestamp};

use crate::args::Format;

/// Prints a command's value. A reader that has gone away (`| head`) is no failure.
pub(crate) fn value<T: Serialize>(value: &T, format: Format, text: impl FnOnce(&T) -> String) {
    let printed = match format {
        Format::Json => serde_json::to_string_pretty(value)
            .unwrap_or_else(|error| format!("{{\"error\": {:?}}}", error.to_string())),
        Format::Text => text(value),
    };
    line(&printed);
}

/// One line, or several, to standard output.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end());
    let _ = out.flush();
}

/// A failure, on standard error: what, why, and what to do.
pub(crate) fn failure(failure: &Failure, json: bool) {
    let mut err = io::stderr().lock();
    if json {
        let _ = writeln!(err, "{}", serde_json::json!({"error": failure}));
        return;
    }
    let _ = writeln!(err, "error[{}]: {}", failure.code, failure.message);
    if let Some(detail) = &failure.detail {
        for line in detail.lines() {
            let _ = writeln!(err, "  | {line}");
        }
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(err, "  hint: {hint}");
    }
}

/// Columns, as wide as what is in them.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let render = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![render(&mut header.iter().copied())];
    lines.extend(rows.iter().map(|row| render(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// How long ago, in the largest unit that fits.
pub(crate) fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.since(then).as_secs();
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A span of time as people say it.
pub(crate) fn span(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..=999 => format!("{millis} ms"),
        millis @ 1_000..=59_999 => format!("{:.1} s", millis as f64 / 1000.0),
        millis => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let text = table(
            &["NAME", "STATE"],
            &[
                vec!["acme".into(), "ready".into()],
                vec!["a-longer-name".into(), "down".into()],
            ],
        );
        assert_eq!(text, "NAME           STATE\nacme           ready\na-longer-name  down");
    }

    #[test]
    fn spans_and_ages_are_short() {
        assert_eq!(span(Duration::from_millis(7)), "7 ms");
        assert_eq!(span(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(span(Duration::from_secs(61)), "1 min 1 s");
        assert_eq!(age(Timestamp(7_300_000), Timestamp(0)), "2h");
    }
}
