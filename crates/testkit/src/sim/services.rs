//! Services to try things on: one of each kind of port and route.

use std::{collections::BTreeMap, time::Duration};
use wharf_domain::{
    Service, ServiceName,
    service::{EcsTask, HealthCheck, Launch, PortRule, RouteRule, RunSpec, SecretsAs, Sleep, SleepBy},
};

/// A service without tenants, database, or anything else in particular, behind a path.
#[must_use]
pub fn plain(name: &str) -> Service {
    Service {
        name: name.parse::<ServiceName>().expect("a service's name"),
        tenant: false,
        singleton: false,
        database: false,
        port: PortRule::Dynamic,
        route: RouteRule::Path {
            prefix: format!("/api/{name}"),
        },
        health: HealthCheck {
            path: "/healthz".to_owned(),
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            healthy: 1,
            unhealthy: 3,
        },
        start_timeout: Duration::from_mins(1),
        stop_timeout: Duration::from_secs(10),
        drain_timeout: Duration::from_secs(5),
        sleep: None,
        identity_header: None,
        environment: BTreeMap::new(),
        trial: None,
        run: RunSpec::Process {
            command: vec![name.to_owned(), "--port".to_owned(), "{port}".to_owned()],
            memory: None,
            directory: None,
        },
    }
}

/// A tenant's shop: with a database, behind a host, and it names itself.
#[must_use]
pub fn shop() -> Service {
    Service {
        tenant: true,
        database: true,
        route: RouteRule::Host,
        identity_header: Some("x-wharf-instance".to_owned()),
        environment: BTreeMap::from([("GREETING".to_owned(), "Welcome to {company_name}".to_owned())]),
        ..plain("shop")
    }
}

/// A tenant's application without a database.
#[must_use]
pub fn site() -> Service {
    Service {
        database: false,
        ..Service {
            name: "site".parse().expect("a service's name"),
            run: plain("site").run,
            ..shop()
        }
    }
}

/// How long [`sleeper`] is unused before it sleeps.
pub const SLEEPS_AFTER: Duration = Duration::from_mins(10);

/// A shop that sleeps when nobody uses it; its name is `naps` where it is stopped then, `dozes` where it is paused.
#[must_use]
pub fn sleeper(by: SleepBy) -> Service {
    let name = match by {
        SleepBy::Stop => "naps",
        SleepBy::Pause => "dozes",
    };
    Service {
        name: name.parse().expect("a service's name"),
        run: plain(name).run,
        sleep: Some(Sleep {
            after: SLEEPS_AFTER,
            by,
        }),
        ..shop()
    }
}

/// A tenant's application at a static port of its own, reached without a load balancer.
#[must_use]
pub fn direct() -> Service {
    Service {
        name: "direct".parse().expect("a service's name"),
        run: plain("direct").run,
        port: PortRule::Static {
            first: 8000,
            last: 8003,
        },
        route: RouteRule::Direct {
            url: "http://{subdomain}.{ip}.sslip.io:{port}".to_owned(),
        },
        ..shop()
    }
}

/// Without tenants, and never more than one of it.
#[must_use]
pub fn single() -> Service {
    Service {
        singleton: true,
        ..plain("single")
    }
}

/// A service on ECS, in a cluster and a target group of its own name.
#[must_use]
pub fn on_ecs(name: &str) -> Service {
    Service {
        route: RouteRule::TargetGroups {
            arns: vec![target_group(name)],
            rule: None,
            url: Some(format!("https://api.example.com/{name}")),
        },
        run: RunSpec::Ecs(EcsTask {
            cluster: format!("{name}-cluster"),
            task_definition: format!("{name}-task"),
            container: None,
            port: Some(8080),
            subnets: vec!["subnet-a".to_owned()],
            security_groups: vec!["sg-a".to_owned()],
            assign_public_ip: true,
            launch: Launch::Auto,
            command: None,
            cpu: None,
            memory: None,
            execute_command: false,
            secrets: SecretsAs::Values,
            host_address: None,
        }),
        ..plain(name)
    }
}

/// The ARN of such a service's target group.
#[must_use]
pub fn target_group(name: &str) -> String {
    format!("arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/{name}/0123456789abcdef")
}

/// All of them, and `auth`, the plainest.
#[must_use]
pub fn all() -> Vec<Service> {
    vec![shop(), site(), direct(), single(), plain("auth")]
}
