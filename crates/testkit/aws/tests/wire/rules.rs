//! Listener rules: priorities that are taken, quotas, conditions, pages, tags.

use super::client::{Client, elements};
use wharf_aws_simulator::{LoadBalancer, Options, TargetGroup};

async fn start() -> (Client, LoadBalancer, String) {
    let client = Client::start(Options::default()).await;
    let balancer = client.simulator.load_balancer("main");
    let group = client
        .simulator
        .target_group(&TargetGroup::ip("auth-tg", 8080).unused());
    (client, balancer, group)
}

fn rule<'text>(
    listener: &'text str,
    priority: &'text str,
    path: &'text str,
    group: &'text str,
) -> Vec<(&'text str, &'text str)> {
    vec![
        ("ListenerArn", listener),
        ("Priority", priority),
        ("Conditions.member.1.Field", "path-pattern"),
        ("Conditions.member.1.PathPatternConfig.Values.member.1", path),
        ("Actions.member.1.Type", "forward"),
        ("Actions.member.1.TargetGroupArn", group),
    ]
}

#[tokio::test]
async fn a_priority_is_given_once() {
    let (client, balancer, group) = start().await;
    let made = client
        .elb("CreateRule", &rule(&balancer.listener, "5", "/api/auth/*", &group))
        .await;
    assert_eq!(elements(&made, "Priority"), ["5"]);
    let taken = client
        .elb_refusal("CreateRule", &rule(&balancer.listener, "5", "/api/pdf/*", &group))
        .await;
    assert_eq!(taken, "PriorityInUse");
    let arn = elements(&made, "RuleArn").remove(0);
    client.elb("DeleteRule", &[("RuleArn", &arn)]).await;
    client
        .elb("CreateRule", &rule(&balancer.listener, "5", "/api/pdf/*", &group))
        .await;
    assert_eq!(
        client.elb_refusal("DeleteRule", &[("RuleArn", &arn)]).await,
        "RuleNotFound"
    );
}

#[tokio::test]
async fn rules_are_shown_by_priority_in_pages_and_the_default_one_last() {
    let (client, balancer, group) = start().await;
    for priority in ["30", "4", "100"] {
        client
            .elb("CreateRule", &rule(&balancer.listener, priority, "/api/*", &group))
            .await;
    }
    let mut seen = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let mut ask = vec![("ListenerArn", balancer.listener.as_str()), ("PageSize", "2")];
        if let Some(marker) = &marker {
            ask.push(("Marker", marker));
        }
        let page = client.elb("DescribeRules", &ask).await;
        seen.extend(elements(&page, "Priority"));
        marker = elements(&page, "NextMarker").pop();
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["4", "30", "100", "default"]);
}

#[tokio::test]
async fn a_rule_makes_a_group_used_and_its_end_unused() {
    let (client, balancer, group) = start().await;
    let target = [("TargetGroupArn", group.as_str()), ("Targets.member.1.Id", "10.0.0.9")];
    client.elb("RegisterTargets", &target).await;
    assert_eq!(client.simulator.targets()[0].reason.as_deref(), Some("Target.NotInUse"));
    let made = client
        .elb("CreateRule", &rule(&balancer.listener, "5", "/api/auth/*", &group))
        .await;
    assert_eq!(client.simulator.targets()[0].state, "initial");
    let other = client.simulator.load_balancer("other");
    let second = client
        .elb_refusal("CreateRule", &rule(&other.listener, "5", "/api/auth/*", &group))
        .await;
    assert_eq!(second, "TargetGroupAssociationLimit");
    client
        .elb("DeleteRule", &[("RuleArn", &elements(&made, "RuleArn")[0])])
        .await;
    assert_eq!(client.simulator.targets()[0].state, "unused");
}

#[tokio::test]
async fn a_load_balancer_has_at_most_a_hundred_rules() {
    let (client, balancer, group) = start().await;
    for priority in 1..=100 {
        client
            .elb(
                "CreateRule",
                &rule(&balancer.listener, &priority.to_string(), "/api/*", &group),
            )
            .await;
    }
    let refused = client
        .elb_refusal("CreateRule", &rule(&balancer.listener, "101", "/api/*", &group))
        .await;
    assert_eq!(refused, "TooManyRules");
    assert_eq!(client.simulator.rules().len(), 100);
}

#[tokio::test]
async fn a_load_balancer_forwards_to_at_most_a_hundred_groups() {
    let (client, balancer, _) = start().await;
    let groups: Vec<_> = (0..=100)
        .map(|n| {
            client
                .simulator
                .target_group(&TargetGroup::ip(&format!("tg-{n}"), 80).unused())
        })
        .collect();
    for (priority, five) in groups[..100].chunks(5).enumerate() {
        let mut fields: Vec<_> = rule(&balancer.listener, "", "/api/*", "")
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        fields[1].1 = (priority + 1).to_string();
        fields.pop();
        for (n, group) in five.iter().enumerate() {
            let field = format!(
                "Actions.member.1.ForwardConfig.TargetGroups.member.{}.TargetGroupArn",
                n + 1
            );
            fields.push((field, group.clone()));
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        client.elb("CreateRule", &fields).await;
    }
    let one_more = client
        .elb_refusal("CreateRule", &rule(&balancer.listener, "50", "/api/*", &groups[100]))
        .await;
    assert_eq!(one_more, "TooManyUniqueTargetGroupsPerLoadBalancer");
    client
        .elb("CreateRule", &rule(&balancer.listener, "50", "/api/*", &groups[0]))
        .await;
}

#[tokio::test]
async fn a_rule_is_changed_in_place_and_keeps_its_tags() {
    let (client, balancer, group) = start().await;
    let mut input = rule(&balancer.listener, "5", "/api/auth/*", &group);
    input.extend([
        ("Tags.member.1.Key", "wharf:instance"),
        ("Tags.member.1.Value", "inst_1"),
    ]);
    let made = client.elb("CreateRule", &input).await;
    let arn = elements(&made, "RuleArn").remove(0);
    let change = [
        ("RuleArn", arn.as_str()),
        ("Conditions.member.1.Field", "host-header"),
        ("Conditions.member.1.Values.member.1", "acme.example.org"),
    ];
    client.elb("ModifyRule", &change).await;
    client
        .elb(
            "AddTags",
            &[
                ("ResourceArns.member.1", &arn),
                ("Tags.member.1.Key", "wharf:attempt"),
                ("Tags.member.1.Value", "1"),
            ],
        )
        .await;
    let rule = client.simulator.rules().remove(0);
    assert_eq!(
        rule.conditions,
        [("host-header".to_owned(), "acme.example.org".to_owned())]
    );
    assert_eq!((rule.priority, rule.groups), (5, vec![group]));
    let tags: Vec<_> = rule.tags.into_iter().collect();
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(tags, [tag("wharf:attempt", "1"), tag("wharf:instance", "inst_1")]);
    let described = client.elb("DescribeTags", &[("ResourceArns.member.1", &arn)]).await;
    assert_eq!(elements(&described, "Value"), ["inst_1", "1"]);
}

#[tokio::test]
async fn what_cannot_be_a_rule_is_refused() {
    let (client, balancer, group) = start().await;
    let listener = balancer.listener.as_str();
    let nowhere = listener.replace("main", "none");
    let other_group = group.replace("auth", "none");
    let default = format!("{}/default", listener.replace(":listener/", ":listener-rule/"));
    let cases = [
        ("CreateRule", rule(&nowhere, "5", "/api/*", &group), "ListenerNotFound"),
        (
            "CreateRule",
            rule(listener, "5", "/api/*", &other_group),
            "TargetGroupNotFound",
        ),
        ("CreateRule", rule(listener, "0", "/api/*", &group), "ValidationError"),
        ("CreateRule", rule(listener, "5", "api", &group), "ValidationError"),
        ("CreateRule", rule(listener, "5", "/ü", &group), "ValidationError"),
        (
            "DeleteRule",
            vec![("RuleArn", default.as_str())],
            "OperationNotPermitted",
        ),
        (
            "DescribeRules",
            vec![("ListenerArn", nowhere.as_str())],
            "ListenerNotFound",
        ),
    ];
    for (action, input, code) in cases {
        assert_eq!(client.elb_refusal(action, &input).await, code, "{action} {input:?}");
    }
    assert_eq!(client.simulator.rules(), []);
}
