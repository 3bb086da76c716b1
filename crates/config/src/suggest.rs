//! The nearest of several names to one that somebody mistyped.

/// The candidate that was most likely meant, if one is near enough to be worth a question.
pub(crate) fn nearest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let typed = plain(typed);
    // One slip in three letters; longer texts than any name are nobody's slip.
    let allowed = (typed.chars().count() / 3).max(1);
    if typed.len() > 100 {
        return None;
    }
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let name = plain(candidate);
            let distance = strsim::damerau_levenshtein(&typed, &name);
            let abbreviated = typed.len() >= 3 && name.starts_with(&typed);
            (distance <= allowed || abbreviated).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `dataDir`, `data-dir` and `DATA_DIR` mean the same.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["port", "process", "route", "start_timeout", "environment"];
        let cases = [
            ("prot", Some("port")),
            ("startTimeout", Some("start_timeout")),
            ("start-timeout", Some("start_timeout")),
            ("env", Some("environment")),
            ("proces", Some("process")),
            ("colour", None),
            ("", None),
            ("x", None),
        ];
        for (typed, meant) in cases {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }
}
