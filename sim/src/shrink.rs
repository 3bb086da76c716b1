//! A failing script becomes a short one: moves are left out as long as the same rule is still broken.

use crate::{Options, Script, play};

/// The moves of a script, by number, without which it would not break this rule. Plays the script some hundred times at the most.
#[must_use]
pub fn shrink(script: &Script, rule: &str, options: Options) -> Vec<usize> {
    let options = Options { log: false, ..options };
    let breaks = |kept: &[usize]| {
        let report = play(&script.keeping(kept), options);
        report.violations.iter().any(|violation| violation.rule == rule)
    };
    let mut kept: Vec<usize> = (0..script.moves.len()).collect();
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < kept.len() {
            let mut fewer = kept.clone();
            fewer.drain(at..(at + chunk).min(kept.len()));
            if breaks(&fewer) {
                kept = fewer;
            } else {
                at += chunk;
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    kept
}
