//! An IAM policy, held against what a call needs: for tests that want to know whether a policy is enough.
//!
//! Identity-based statements with actions, resources and the conditions that compare text. What is not simulated is refused when
//! the policy is read, so that no statement is taken for more, or less, than it says.

use crate::access::Permission;
use serde_json::Value;

#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    allows: bool,
    actions: Vec<String>,
    resources: Vec<String>,
    conditions: Vec<Condition>,
}

/// All of them have to hold, each by any of its values. A key that the call does not have fails it, unless the operator says otherwise.
#[derive(Clone, Debug)]
struct Condition {
    key: String,
    values: Vec<String>,
    wildcards: bool,
    negated: bool,
    if_exists: bool,
}

impl Policy {
    pub(crate) fn parse(document: &Value) -> Result<Self, String> {
        let statements = list(&document["Statement"])
            .into_iter()
            .map(Statement::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self { statements })
    }

    /// A denial outranks whatever allows it.
    pub(crate) fn allows(&self, permission: &Permission) -> bool {
        let fitting = || self.statements.iter().filter(|statement| statement.fits(permission));
        fitting().any(|statement| statement.allows) && fitting().all(|statement| statement.allows)
    }
}

impl Statement {
    fn parse(statement: &Value) -> Result<Self, String> {
        let members = statement.as_object().ok_or("a statement is no object")?;
        let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
        if let Some(other) = members.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("'{other}' in a statement is not simulated"));
        }
        let mut conditions = Vec::new();
        for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
            for (key, values) in keys.as_object().into_iter().flatten() {
                conditions.push(Condition::parse(operator, key, texts(values)?)?);
            }
        }
        Ok(Self {
            allows: match statement["Effect"].as_str() {
                Some("Allow") => true,
                Some("Deny") => false,
                other => return Err(format!("a statement has the effect {other:?}")),
            },
            actions: texts(&statement["Action"])?,
            resources: texts(&statement["Resource"])?,
            conditions,
        })
    }

    fn fits(&self, permission: &Permission) -> bool {
        let action = permission.action.to_ascii_lowercase();
        self.actions
            .iter()
            .any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
            && self
                .resources
                .iter()
                .any(|pattern| matches(pattern, &permission.resource))
            && self.conditions.iter().all(|condition| condition.holds(permission))
    }
}

impl Condition {
    fn parse(operator: &str, key: &str, values: Vec<String>) -> Result<Self, String> {
        let (name, if_exists) = operator
            .strip_suffix("IfExists")
            .map_or((operator, false), |name| (name, true));
        let (wildcards, negated) = match name {
            "StringEquals" => (false, false),
            "StringNotEquals" => (false, true),
            // IAM takes wildcards in both of these, whatever their names say.
            "StringLike" | "ArnLike" | "ArnEquals" => (true, false),
            "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (true, true),
            _ => return Err(format!("the condition operator '{operator}' is not simulated")),
        };
        Ok(Self {
            key: key.to_owned(),
            values,
            wildcards,
            negated,
            if_exists,
        })
    }

    fn holds(&self, permission: &Permission) -> bool {
        let mut context = permission.context.iter();
        let Some((_, value)) = context.find(|(key, _)| key.eq_ignore_ascii_case(&self.key)) else {
            return self.if_exists || self.negated;
        };
        let fits = |pattern: &String| {
            if self.wildcards {
                matches(pattern, value)
            } else {
                pattern == value
            }
        };
        self.values.iter().any(fits) != self.negated
    }
}

/// IAM's patterns: `*` is any text, `?` any letter.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut in_text) = (0, 0);
    // Where the last `*` was, and up to where in the text it has been tried.
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => match &mut star {
                Some((after, tried)) => {
                    *tried += 1;
                    (at, in_text) = (*after + 1, *tried);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// IAM lets a list of one stand without its brackets.
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        one => vec![one],
    }
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("{value} is no text"))
    };
    list(value).into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn permission(action: &str, resource: &str, context: &[(&str, &str)]) -> Permission {
        Permission {
            action: action.to_owned(),
            resource: resource.to_owned(),
            context: context
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn policy(statements: &Value) -> Policy {
        Policy::parse(&json!({ "Statement": statements })).expect("a policy")
    }

    #[test]
    fn wildcards_are_iams() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("arn:*:task/c/*", "arn:aws:ecs:r:1:task/c/0", true),
            ("arn:*:task/c/*", "arn:aws:ecs:r:1:task/d/0", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "axxbxbxc", true),
            ("a*b", "axxbx", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_role_is_passed_where_the_condition_says_to() {
        let pass = policy(&json!({
            "Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::1:role/task",
            "Condition": { "StringEquals": { "iam:PassedToService": "ecs-tasks.amazonaws.com" } },
        }));
        let to = |service: &str| {
            permission(
                "iam:PassRole",
                "arn:aws:iam::1:role/task",
                &[("iam:PassedToService", service)],
            )
        };
        assert!(pass.allows(&to("ecs-tasks.amazonaws.com")));
        assert!(!pass.allows(&to("lambda.amazonaws.com")));
        assert!(!pass.allows(&permission("iam:PassRole", "arn:aws:iam::1:role/task", &[])));
    }

    #[test]
    fn a_denial_outranks_what_allows() {
        let mixed = policy(&json!([
            { "Effect": "Allow", "Action": ["ecs:*"], "Resource": "*" },
            { "Effect": "Deny", "Action": "ecs:StopTask", "Resource": "*" },
        ]));
        assert!(mixed.allows(&permission("ecs:RunTask", "arn:aws:ecs:r:1:task-definition/a:1", &[])));
        assert!(!mixed.allows(&permission("ecs:StopTask", "arn:aws:ecs:r:1:task/c/0", &[])));
        assert!(!mixed.allows(&permission("ec2:DescribeInstances", "*", &[])));
    }

    #[test]
    fn what_is_not_simulated_is_refused() {
        let not_action = json!({ "Statement": [{ "Effect": "Allow", "NotAction": "x", "Resource": "*" }] });
        assert!(Policy::parse(&not_action).is_err());
        let operator = json!({ "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": { "DateLessThan": { "aws:CurrentTime": "x" } } } });
        assert!(Policy::parse(&operator).is_err());
    }
}
