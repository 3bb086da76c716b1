//! What came of the suites: a table for people, and a last line for machines.

use std::{fmt, time::Duration};

use super::counts::Counts;

/// What came of one suite.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ran(Counts),
    /// A tool is missing, and it says how to get it.
    LeftOut(String),
    /// The suite itself could not do its work.
    Broken(String),
}

impl Verdict {
    const fn counts(&self) -> Counts {
        match self {
            Self::Ran(counts) => *counts,
            Self::LeftOut(_) => Counts { passed: 0, failed: 0 },
            Self::Broken(_) => Counts { passed: 0, failed: 1 },
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Ran(Counts { failed: 0, .. }) => "ok",
            Self::LeftOut(_) => "left out",
            Self::Ran(_) | Self::Broken(_) => "FAILED",
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Ran(_) => "",
            Self::LeftOut(reason) | Self::Broken(reason) => reason,
        }
    }
}

/// All suites in the order in which they ran. `Display` ends in the line for machines: `12 passed, 0 failed`.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(&'static str, Verdict, Duration)>,
}

impl Report {
    pub(crate) fn add(&mut self, suite: &'static str, verdict: Verdict, took: Duration) {
        self.rows.push((suite, verdict, took));
    }

    /// Nothing failed.
    pub(crate) fn is_good(&self) -> bool {
        self.total().failed == 0
    }

    fn total(&self) -> Counts {
        self.rows
            .iter()
            .fold(Counts::default(), |sum, (_, verdict, _)| sum.and(verdict.counts()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<11} {:<8} {:>6} {:>6} {:>8}",
            "suite", "result", "passed", "failed", "seconds"
        )?;
        for (suite, verdict, took) in &self.rows {
            let Counts { passed, failed } = verdict.counts();
            let row = format!(
                "{suite:<11} {:<8} {passed:>6} {failed:>6} {:>8.1}  {}",
                verdict.word(),
                took.as_secs_f64(),
                verdict.reason()
            );
            writeln!(f, "{}", row.trim_end())?;
        }
        writeln!(f, "\nNot in here, because it asks the network: cargo xtask audit\n")?;
        let Counts { passed, failed } = self.total();
        write!(f, "{passed} passed, {failed} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_sums_up_and_what_was_left_out_is_named() {
        let mut report = Report::default();
        report.add("layers", Verdict::Ran(Counts::one(true)), Duration::from_millis(240));
        report.add(
            "tests",
            Verdict::Ran(Counts { passed: 310, failed: 2 }),
            Duration::from_secs(61),
        );
        report.add(
            "browser",
            Verdict::LeftOut("needs chromium: sudo apt-get install chromium".to_owned()),
            Duration::ZERO,
        );
        report.add("deny", Verdict::Broken("cannot start cargo".to_owned()), Duration::ZERO);
        assert_eq!(
            report.to_string(),
            "suite       result   passed failed  seconds\n\
             layers      ok            1      0      0.2\n\
             tests       FAILED      310      2     61.0\n\
             browser     left out      0      0      0.0  needs chromium: sudo apt-get install chromium\n\
             deny        FAILED        0      1      0.0  cannot start cargo\n\
             \n\
             Not in here, because it asks the network: cargo xtask audit\n\
             \n\
             311 passed, 3 failed"
        );
        assert!(!report.is_good());
    }

    #[test]
    fn what_is_left_out_fails_nothing() {
        let mut report = Report::default();
        report.add("browser", Verdict::LeftOut(String::new()), Duration::ZERO);
        assert!(report.is_good());
    }
}
