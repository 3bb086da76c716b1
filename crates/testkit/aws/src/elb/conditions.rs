//! What a rule asks of a request, and where it sends it: read from a call, checked, written into an answer.

use crate::refusal::Refusal;
use crate::wire::query::Query;
use crate::wire::xml::Xml;

/// Values in the conditions of one rule, all together.
const MOST_VALUES: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// `path-pattern` or `host-header`.
    pub(crate) field: String,
    pub(crate) values: Vec<String>,
}

pub(crate) fn read_conditions(query: &Query) -> Result<Vec<Condition>, Refusal> {
    let conditions: Vec<_> = query
        .structures("Conditions")
        .iter()
        .map(read_condition)
        .collect::<Result<_, _>>()?;
    if conditions.is_empty() {
        return Err(Refusal::validation("A rule must have at least one condition"));
    }
    if conditions.iter().map(|condition| condition.values.len()).sum::<usize>() > MOST_VALUES {
        return Err(Refusal::new(
            "TooManyConditionValues",
            "A rule has at most 5 condition values",
        ));
    }
    for field in ["path-pattern", "host-header"] {
        if conditions.iter().filter(|condition| condition.field == field).count() > 1 {
            return Err(Refusal::validation(format!(
                "A rule can only have one '{field}' condition"
            )));
        }
    }
    Ok(conditions)
}

fn read_condition(query: &Query) -> Result<Condition, Refusal> {
    let field = query.required("Field")?.to_owned();
    let config = match field.as_str() {
        "path-pattern" => "PathPatternConfig",
        "host-header" => "HostHeaderConfig",
        other => {
            return Err(Refusal::validation(format!(
                "Condition field '{other}' must be one of '[path-pattern, host-header]'"
            )));
        }
    };
    let mut values = query.values("Values");
    let configured = query.structure(config).values("Values");
    match (values.is_empty(), configured.is_empty()) {
        (false, false) => {
            return Err(Refusal::validation(format!(
                "You cannot specify both Values and {config}"
            )));
        }
        (true, true) => return Err(Refusal::validation("A condition value must be specified")),
        (true, false) => values = configured,
        (false, true) => {}
    }
    for value in &values {
        check_value(&field, value)?;
    }
    Ok(Condition { field, values })
}

fn check_value(field: &str, value: &str) -> Result<(), Refusal> {
    let allowed = if field == "path-pattern" {
        "_-.$/~\"'@:+&*?"
    } else {
        "-.*?"
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || allowed.contains(letter);
    if value.is_empty() || value.len() > 128 || !value.chars().all(plain) {
        return Err(Refusal::validation(format!(
            "Condition value '{value}' contains a character that is not valid"
        )));
    }
    if field == "path-pattern" && !value.starts_with(['/', '*']) {
        return Err(Refusal::validation("Path pattern must start with '/'"));
    }
    Ok(())
}

pub(crate) fn conditions(xml: &mut Xml, conditions: &[Condition]) {
    xml.members("Conditions", conditions, |xml, condition| {
        xml.leaf("Field", &condition.field);
        xml.values("Values", &condition.values);
        let config = if condition.field == "path-pattern" {
            "PathPatternConfig"
        } else {
            "HostHeaderConfig"
        };
        xml.branch(config, |xml| xml.values("Values", &condition.values));
    });
}

/// The target groups that the `forward` action of a call names.
pub(crate) fn read_actions(query: &Query) -> Result<Vec<String>, Refusal> {
    let actions = query.structures("Actions");
    let [action] = actions.as_slice() else {
        return Err(Refusal::validation("A rule must have exactly one action that routes"));
    };
    if action.required("Type")? != "forward" {
        return Err(Refusal::new(
            "InvalidLoadBalancerAction",
            "only actions of type 'forward' are simulated",
        ));
    }
    let by_config = action.structure("ForwardConfig").structures("TargetGroups");
    let mut groups: Vec<_> = by_config
        .iter()
        .map(|group| group.required("TargetGroupArn").map(str::to_owned))
        .collect::<Result<_, _>>()?;
    if groups.is_empty() {
        groups.push(action.required("TargetGroupArn")?.to_owned());
    }
    if groups.len() > 5 {
        return Err(Refusal::new(
            "TooManyTargetGroups",
            "An action forwards to at most 5 target groups",
        ));
    }
    Ok(groups)
}

/// The members of a list of actions: to these groups, or 404 where there is none.
pub(crate) fn actions(xml: &mut Xml, groups: &[String]) {
    xml.branch("member", |xml| {
        if groups.is_empty() {
            xml.leaf("Type", "fixed-response");
            xml.branch("FixedResponseConfig", |xml| {
                xml.leaf("StatusCode", "404");
                xml.leaf("ContentType", "text/plain");
            });
            return;
        }
        xml.leaf("Type", "forward");
        if let [group] = groups {
            xml.leaf("TargetGroupArn", group);
        }
        xml.leaf("Order", 1);
        xml.branch("ForwardConfig", |xml| {
            xml.members("TargetGroups", groups, |xml, group| {
                xml.leaf("TargetGroupArn", group);
                xml.leaf("Weight", 1);
            });
            xml.branch("TargetGroupStickinessConfig", |xml| xml.leaf("Enabled", false));
        });
    });
}
