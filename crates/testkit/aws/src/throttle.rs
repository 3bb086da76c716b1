//! AWS's token buckets: how many calls of a kind may come at once, and how many a second after that.

use crate::clock::Moment;
use serde_json::Value;
use std::collections::BTreeMap;

/// Whether calls are counted against AWS's buckets. They fill by simulated time, so that at a speed of N they fill N times as fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Throttling {
    #[default]
    Off,
    /// As documented, for each account and region.
    Documented,
}

#[derive(Debug)]
struct Bucket {
    name: &'static str,
    calls: &'static [&'static str],
    burst: f64,
    per_second: f64,
}

const fn bucket(name: &'static str, burst: f64, per_second: f64, calls: &'static [&'static str]) -> Bucket {
    Bucket {
        name,
        calls,
        burst,
        per_second,
    }
}

/// Source: "Request throttling for the Amazon ECS API", "… for the Elastic Load Balancing API" and "… for the Amazon EC2 API". Of the
/// load balancers' three, the one for `Describe*` is what that page says; the other two are held to be 20 with 4 and 3 a second.
const BUCKETS: [Bucket; 9] = [
    bucket("ecs task changes", 100.0, 40.0, &["ecs:RunTask", "ecs:StopTask"]),
    bucket(
        "ecs task reads",
        100.0,
        20.0,
        &[
            "ecs:DescribeTasks",
            "ecs:ListTasks",
            "ecs:DescribeContainerInstances",
            "ecs:ListContainerInstances",
        ],
    ),
    bucket(
        "ecs definition changes",
        20.0,
        1.0,
        &["ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition"],
    ),
    bucket(
        "ecs definition reads",
        50.0,
        20.0,
        &["ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions"],
    ),
    bucket(
        "ecs clusters",
        50.0,
        20.0,
        &["ecs:DescribeClusters", "ecs:ListClusters"],
    ),
    bucket("elb reads", 40.0, 10.0, &["elasticloadbalancing:Describe"]),
    bucket(
        "elb registrations",
        20.0,
        4.0,
        &[
            "elasticloadbalancing:RegisterTargets",
            "elasticloadbalancing:DeregisterTargets",
        ],
    ),
    bucket(
        "elb changes",
        20.0,
        3.0,
        &[
            "elasticloadbalancing:CreateRule",
            "elasticloadbalancing:ModifyRule",
            "elasticloadbalancing:DeleteRule",
            "elasticloadbalancing:AddTags",
            "elasticloadbalancing:RemoveTags",
        ],
    ),
    bucket("ec2 reads", 100.0, 20.0, &["ec2:Describe"]),
];

/// How many tasks Fargate starts, whatever asks for them.
const FARGATE_LAUNCHES: Bucket = bucket("fargate launches", 100.0, 20.0, &[]);

#[derive(Debug, Default)]
pub(crate) struct Throttles {
    throttling: Throttling,
    /// By bucket: what is in it, and as of when.
    filled: BTreeMap<&'static str, (f64, Moment)>,
    refused: BTreeMap<String, u64>,
}

impl Throttles {
    pub(crate) fn new(throttling: Throttling) -> Self {
        Self {
            throttling,
            ..Self::default()
        }
    }

    /// Takes what the call costs; false where it is not there.
    pub(crate) fn admit(&mut self, action: &str, input: Option<&Value>, now: Moment) -> bool {
        if self.throttling == Throttling::Off {
            return true;
        }
        let bucket = BUCKETS.iter().find(|bucket| {
            let mut calls = bucket.calls.iter();
            calls.any(|call| *call == action || (call.ends_with(":Describe") && action.starts_with(call)))
        });
        let fargate = input.filter(|input| action == "ecs:RunTask" && is_fargate(input));
        let launches = fargate.map_or(0.0, |input| input["count"].as_f64().unwrap_or(1.0));
        let admitted = bucket.is_none_or(|bucket| self.take(bucket, 1.0, now))
            && (launches == 0.0 || self.take(&FARGATE_LAUNCHES, launches, now));
        if !admitted {
            *self.refused.entry(action.to_owned()).or_default() += 1;
        }
        admitted
    }

    fn take(&mut self, bucket: &Bucket, tokens: f64, now: Moment) -> bool {
        let (level, at) = self.filled.entry(bucket.name).or_insert((bucket.burst, now));
        let since = now.saturating_sub(*at).as_secs_f64();
        *level = since.mul_add(bucket.per_second, *level).min(bucket.burst);
        *at = now;
        let there = *level >= tokens;
        if there {
            *level -= tokens;
        }
        there
    }

    /// How many calls of each action were refused.
    pub(crate) fn refused(&self) -> BTreeMap<String, u64> {
        self.refused.clone()
    }
}

fn is_fargate(input: &Value) -> bool {
    let provider = input["capacityProviderStrategy"][0]["capacityProvider"].as_str();
    input["launchType"] == "FARGATE" || provider.is_some_and(|name| name.starts_with("FARGATE"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    const START: Moment = Duration::from_secs(1);

    fn admitted(throttles: &mut Throttles, action: &str, calls: usize, now: Moment) -> usize {
        (0..calls).filter(|_| throttles.admit(action, None, now)).count()
    }

    #[test]
    fn reads_of_tasks_share_one_bucket_of_a_hundred_that_fills_by_twenty_a_second() {
        let mut throttles = Throttles::new(Throttling::Documented);
        assert_eq!(admitted(&mut throttles, "ecs:DescribeTasks", 60, START), 60);
        assert_eq!(admitted(&mut throttles, "ecs:ListTasks", 60, START), 40);
        assert_eq!(
            admitted(&mut throttles, "ecs:ListTasks", 60, START + Duration::from_secs(1)),
            20
        );
        assert_eq!(throttles.refused()["ecs:ListTasks"], 20 + 40);
    }

    #[test]
    fn fargate_counts_tasks_and_not_calls() {
        let mut throttles = Throttles::new(Throttling::Documented);
        let ten = json!({ "launchType": "FARGATE", "count": 10 });
        let admitted = (0..20)
            .filter(|_| throttles.admit("ecs:RunTask", Some(&ten), START))
            .count();
        assert_eq!(admitted, 10);
    }

    #[test]
    fn nothing_is_counted_unless_it_is_asked_for() {
        let mut throttles = Throttles::new(Throttling::Off);
        assert_eq!(
            admitted(&mut throttles, "ecs:RegisterTaskDefinition", 1_000, START),
            1_000
        );
    }
}
