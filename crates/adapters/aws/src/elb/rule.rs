//! A listener rule: what it asks of a request, what it leads to, and which priority a new one is given.

use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use wharf_domain::{Code, Failure, service::ListenerRule};

/// Priorities that Wharf takes. Below are those that an operator gives by hand, and a few are left above.
const FIRST: u32 = 1_000;
const BANDS: u32 = 32;
const BAND: u32 = 1_500;
/// A path pattern below another one (`/api/auth/*` below `/api/*`) has at least two characters more, and so a band of its own.
const CHARACTERS_PER_BAND: usize = 2;
/// So many places of a band are tried; a load balancer has 100 rules.
const PLACES: u32 = 200;

/// What a rule asks of a request: the values by the field. Host names in lower case.
pub(super) type Conditions = BTreeMap<String, BTreeSet<String>>;

/// A rule as the listener has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) arn: String,
    /// None for the default rule.
    pub(crate) priority: Option<u32>,
    /// None where it asks for something that Wharf's rules never do.
    pub(super) conditions: Option<Conditions>,
    /// The target groups that it forwards to.
    pub(super) groups: Vec<String>,
}

/// The conditions of a wanted rule; one without any would take every request.
pub(super) fn conditions(rule: &ListenerRule) -> Result<Conditions, Failure> {
    let host = rule
        .host
        .as_ref()
        .map(|host| ("host-header", host.to_ascii_lowercase()));
    let path = rule.path.as_ref().map(|path| ("path-pattern", path.clone()));
    let conditions: Conditions = host
        .into_iter()
        .chain(path)
        .map(|(field, value)| (field.to_owned(), [value].into()))
        .collect();
    if conditions.is_empty() {
        return Err(Failure::new(
            Code::ConfigInvalid,
            format!(
                "the rule for the listener {} has neither a host nor a path",
                rule.listener
            ),
        )
        .hint("give `route.rule` a `host`, a `path`, or both"));
    }
    Ok(conditions)
}

/// The priority for a new rule among those that the listener has.
///
/// More particular conditions come first, in bands. Within its band the place follows from the rule itself: rules that are made at the same time rarely
/// want the same one, and two makers of *the same* rule want the same, so that one of them loses and finds the other's.
pub(super) fn priority(rule: &ListenerRule, rules: &[Known]) -> Option<u32> {
    let used: BTreeSet<u32> = rules.iter().filter_map(|rule| rule.priority).collect();
    let start = FIRST + band(rule) * BAND;
    (0..PLACES)
        .map(|nth| start + place(rule, nth))
        .chain(start..start + BAND)
        .chain(FIRST..FIRST + BANDS * BAND)
        .find(|priority| !used.contains(priority))
}

fn band(rule: &ListenerRule) -> u32 {
    let literal = |pattern: &Option<String>| {
        let characters = pattern.iter().flat_map(|pattern| pattern.chars());
        characters.filter(|c| !matches!(c, '*' | '?')).count()
    };
    let bands = (literal(&rule.host) + literal(&rule.path)) / CHARACTERS_PER_BAND;
    (BANDS - 1).saturating_sub(u32::try_from(bands).unwrap_or(BANDS))
}

fn place(rule: &ListenerRule, nth: u32) -> u32 {
    let mut hash = Sha256::new();
    for part in [Some(&rule.listener), rule.host.as_ref(), rule.path.as_ref()] {
        hash.update(part.map_or("", String::as_str));
        hash.update([0]);
    }
    hash.update(nth.to_be_bytes());
    let hash = hash.finalize();
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) % BAND
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(host: Option<&str>, path: Option<&str>) -> ListenerRule {
        ListenerRule {
            listener: "arn:listener".to_owned(),
            host: host.map(str::to_owned),
            path: path.map(str::to_owned),
        }
    }

    fn used(priority: u32) -> Known {
        Known {
            arn: format!("rule/{priority}"),
            priority: Some(priority),
            conditions: None,
            groups: Vec::new(),
        }
    }

    #[test]
    fn priorities_are_ones_that_elb_has() {
        const { assert!(FIRST >= 1 && FIRST + BANDS * BAND <= 50_000) };
        for path in ["/*", "/api/*", &format!("/{}/*", "x".repeat(120))] {
            let priority = priority(&rule(None, Some(path)), &[]).expect("one is free");
            assert!((FIRST..FIRST + BANDS * BAND).contains(&priority), "{path} {priority}");
        }
    }

    #[test]
    fn what_is_more_particular_comes_first() {
        let of = |host, path| priority(&rule(host, path), &[]).expect("one is free");
        assert!(of(None, Some("/api/auth/*")) < of(None, Some("/api/*")));
        assert!(of(None, Some("/a/b/*")) < of(None, Some("/a/*")));
        assert!(of(None, Some("/a/*")) < of(None, Some("/*")));
        assert!(of(Some("api.example.com"), Some("/v1/*")) < of(Some("api.example.com"), None));
    }

    #[test]
    fn makers_of_the_same_rule_want_the_same_priority() {
        let wanted = rule(None, Some("/api/auth/*"));
        let first = priority(&wanted, &[]).expect("one is free");
        assert_eq!(priority(&wanted.clone(), &[used(5)]), Some(first));
        let second = priority(&wanted, &[used(first)]).expect("one is free");
        assert_ne!(first, second);
    }

    #[test]
    fn makers_of_different_rules_rarely_want_the_same() {
        // As many as a load balancer has rules, all of one length, all at once, none seeing another.
        let wanted: Vec<u32> = (0..100)
            .map(|number| rule(None, Some(&format!("/tenant-{number:02}/*"))))
            .map(|rule| priority(&rule, &[]).expect("one is free"))
            .collect();
        let distinct: BTreeSet<_> = wanted.iter().collect();
        assert!(
            wanted.len() - distinct.len() <= 5,
            "{} of 100 collide",
            wanted.len() - distinct.len()
        );
    }

    #[test]
    fn a_full_band_runs_over_and_a_full_listener_has_none() {
        let wanted = rule(None, Some("/api/*"));
        let start = FIRST + band(&wanted) * BAND;
        let full: Vec<_> = (start..start + BAND).map(used).collect();
        assert!(priority(&wanted, &full).is_some_and(|priority| !(start..start + BAND).contains(&priority)));
        let all: Vec<_> = (1..=50_000).map(used).collect();
        assert_eq!(priority(&wanted, &all), None);
    }

    #[test]
    fn a_rule_without_conditions_is_refused() {
        let failure = conditions(&rule(None, None)).expect_err("it would take everything");
        assert_eq!(failure.code, Code::ConfigInvalid);
        let both = conditions(&rule(Some("API.Example.com"), Some("/v1/*"))).expect("conditions");
        assert_eq!(both["host-header"], ["api.example.com".to_owned()].into());
        assert_eq!(both.len(), 2);
    }
}
