//! How many tests passed and failed, read from what the test runners write for machines.

/// The result of a suite. A check that is not made of tests counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub passed: u32,
    pub failed: u32,
}

impl Counts {
    /// One check.
    pub(crate) fn one(good: bool) -> Self {
        Self {
            passed: u32::from(good),
            failed: u32::from(!good),
        }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
        }
    }

    /// A runner's own counts, and whether it was content: one that was not although no test failed has failed itself.
    pub(crate) fn of_runner(self, good: bool) -> Self {
        let failed = if good { self.failed } else { self.failed.max(1) };
        Self { failed, ..self }
    }

    /// Adds the counts of a line of the form `test result: ok. 3 passed; 0 failed; …`, if it is one.
    pub(crate) fn add_result_line(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in counts.split("; ") {
            match part.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<u32>().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse::<u32>().unwrap_or(0),
                _ => {}
            }
        }
    }

    /// The counts of a JUnit report: those at its root. `None` if it has no such root.
    pub(crate) fn of_junit(report: &str) -> Option<Self> {
        let (_, root) = report.split_once("<testsuites ")?;
        let (root, _) = root.split_once('>')?;
        let number = |name: &str| -> Option<u32> {
            let (_, rest) = root.split_once(&format!("{name}=\""))?;
            rest.split_once('"')?.0.parse().ok()
        };
        let failed = number("failures")? + number("errors")?;
        let not_run = number("skipped").unwrap_or(0);
        Some(Self {
            passed: number("tests")?.checked_sub(failed + not_run)?,
            failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doctests_are_summed_over_crates() {
        let mut counts = Counts::default();
        for line in [
            "running 2 tests",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.51s",
            "test result: FAILED. 4 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.51s",
            "a test printed: 9 passed; 9 failed",
        ] {
            counts.add_result_line(line);
        }
        assert_eq!(counts, Counts { passed: 6, failed: 3 });
    }

    #[test]
    fn a_junit_report_is_read_at_its_root() {
        let report = "<?xml version=\"1.0\"?>\n<testsuites name=\"nextest-run\" tests=\"13\" skipped=\"1\" failures=\"2\" errors=\"1\" uuid=\"x\">\n\
                      <testsuite name=\"a\" tests=\"5\" failures=\"5\" errors=\"0\"></testsuite></testsuites>";
        assert_eq!(Counts::of_junit(report), Some(Counts { passed: 9, failed: 3 }));
        for nonsense in [
            "",
            "<testsuites>",
            "<testsuites tests=\"1\" failures=\"2\" errors=\"0\">",
        ] {
            assert_eq!(Counts::of_junit(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_runner_that_fails_without_a_failed_test_counts_as_one_failure() {
        let counts = Counts { passed: 7, failed: 0 };
        assert_eq!(counts.of_runner(true), counts);
        assert_eq!(counts.of_runner(false), Counts { passed: 7, failed: 1 });
        assert_eq!(Counts { passed: 7, failed: 2 }.of_runner(false).failed, 2);
    }
}
