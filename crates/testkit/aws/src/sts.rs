//! STS and IAM, as far as somebody asks who he is and what he may do.

use crate::names::Account;
use crate::refusal::Refusal;
use crate::wire::query::Query;
use crate::wire::xml::Xml;

pub(crate) fn sts(account: &Account, operation: &str) -> Result<Xml, Refusal> {
    if operation != "GetCallerIdentity" {
        return Err(Refusal::new(
            "InvalidAction",
            format!("Could not find operation {operation} for version 2011-06-15"),
        ));
    }
    let mut xml = Xml::default();
    xml.leaf("Arn", account.caller());
    xml.leaf("UserId", "AROASIMULATED:simulated");
    xml.leaf("Account", &account.id);
    Ok(xml)
}

/// SimulatePrincipalPolicy, without context keys: what `may` says of an action on a resource.
pub(crate) fn iam(may: &dyn Fn(&str, &str) -> bool, operation: &str, query: &Query) -> Result<Xml, Refusal> {
    if operation != "SimulatePrincipalPolicy" {
        return Err(Refusal::new(
            "InvalidAction",
            format!("Could not find operation {operation} for version 2010-05-08"),
        ));
    }
    query.required("PolicySourceArn")?;
    let actions = query.values("ActionNames");
    let mut resources = query.values("ResourceArns");
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    let pairs = actions
        .iter()
        .flat_map(|action| resources.iter().map(move |resource| (action, resource)));
    let mut xml = Xml::default();
    xml.members("EvaluationResults", pairs, |xml, (action, resource)| {
        xml.leaf("EvalActionName", action);
        xml.leaf("EvalResourceName", resource);
        xml.leaf(
            "EvalDecision",
            if may(action, resource) {
                "allowed"
            } else {
                "implicitDeny"
            },
        );
    });
    xml.leaf("IsTruncated", false);
    Ok(xml)
}
