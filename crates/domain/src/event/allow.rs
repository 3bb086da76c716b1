//! What an event may name although no service is configured with it.

use serde::Serialize;

/// Patterns in which `*` stands for any text. Nothing is allowed by none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Allow(Vec<String>);

impl Allow {
    pub fn new(patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(patterns.into_iter().map(Into::into).collect())
    }

    /// Whether one of the patterns fits the whole text.
    #[must_use]
    pub fn allows(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| fits(pattern, text))
    }
}

fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    // The first place where a part fits leaves the most for those after it.
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_the_rest_is_itself() {
        let allow = Allow::new(["dev-*", "arn:aws:ecs:*:cluster/*-x", "my-task:1"]);
        for text in ["dev-", "dev-auth", "arn:aws:ecs:eu:1:cluster/a-x", "my-task:1"] {
            assert!(allow.allows(text), "{text}");
        }
        for text in [
            "",
            "de",
            "a-dev-b",
            "arn:aws:ecs:eu:1:cluster/a-xy",
            "my-task:12",
            "my-task",
        ] {
            assert!(!allow.allows(text), "{text}");
        }
        assert!(!Allow::default().allows(""), "nothing is allowed by no pattern");
    }

    #[test]
    fn head_and_tail_do_not_share_their_letters() {
        assert!(!Allow::new(["ab*bc"]).allows("abc"));
        assert!(Allow::new(["ab*bc"]).allows("abbc"));
    }
}
