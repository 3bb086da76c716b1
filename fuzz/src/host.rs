//! The host of a request, and the path of one for the services: who answers. A line is a host; one that begins with `/` is a path, or with a space after it, the
//! prefixes that there are.

use std::{collections::BTreeSet, sync::OnceLock};
use wharf_domain::Subdomain;
use wharf_edge::{
    EdgeConfig,
    inspect::{Destination, Inspected, prefix_of},
};

const CONSOLE: &str = "console.wharf.example";
const SERVICES: &str = "services.wharf.example";
const DOMAIN: &str = "tenants.example";
const PREFIXES: &[&str] = &["/api", "/api/auth", "/api/auth/admin", "/pdf", "/fa/v1"];

fn edge() -> &'static Inspected {
    static EDGE: OnceLock<Inspected> = OnceLock::new();
    EDGE.get_or_init(|| {
        Inspected::new(EdgeConfig {
            console_host: CONSOLE.to_owned(),
            services_host: SERVICES.to_owned(),
            tenant_domain: DOMAIN.to_owned(),
            ..EdgeConfig::new(([192, 0, 2, 1], 443).into())
        })
    })
}

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines().take(16) {
        if line.starts_with('/') {
            path(line);
        } else {
            host(line);
        }
    }
}

/// The name before a port, in small letters.
fn name(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(']') => name,
        _ => host,
    };
    name.to_ascii_lowercase()
}

fn host(host: &str) {
    let found = edge().destination(host);
    assert_eq!(
        edge().destination(&host.to_ascii_uppercase()),
        found,
        "{host:?}: great and small letters are the same host"
    );
    match &found {
        Ok(Destination::Tenant(tenant)) => {
            // Two hosts lead to one tenant only if they are the same name: what a visitor typed is what he gets.
            assert_eq!(*tenant, name(host), "{host:?}");
            let label = tenant.strip_suffix(DOMAIN).and_then(|label| label.strip_suffix('.'));
            let label = label.unwrap_or_else(|| panic!("{host:?} is not below the tenants' domain"));
            assert!(!label.is_empty() && !label.contains('.'), "{host:?}");
            assert_eq!(edge().destination(tenant), found, "{host:?}: once more changes nothing");
            assert_eq!(
                edge().destination(&format!("{tenant}:8080")),
                found,
                "{host:?}: whatever the port"
            );
        }
        Ok(Destination::Control) => {
            let name = name(host);
            let name = name.trim_start_matches('[').trim_end_matches(']');
            let is_own = name == CONSOLE
                || name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.to_canonical().is_loopback() || ip == std::net::IpAddr::from([192, 0, 2, 1]));
            assert!(is_own, "{host:?} leads to the console");
        }
        Ok(Destination::Services) => assert_eq!(name(host), SERVICES, "{host:?}"),
        Ok(Destination::Nobody) | Err(_) => {}
    }
    // Whoever may have a name can be reached by it.
    if host.parse::<Subdomain>().is_ok() {
        let whole = format!("{host}.{DOMAIN}");
        assert_eq!(edge().destination(&whole), Ok(Destination::Tenant(whole.clone())));
    }
}

/// As plain as it can be said: the longest prefix after which the path ends, or goes on with a segment.
fn longest<'a>(prefixes: &BTreeSet<String>, path: &'a str) -> Option<&'a str> {
    prefixes
        .iter()
        .filter(|prefix| {
            let rest = path.strip_prefix(prefix.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.as_str() == "/")
        })
        .map(|prefix| &path[..prefix.len()])
        .max_by_key(|prefix| prefix.len())
}

fn path(line: &str) {
    let (path, more) = line.split_once(' ').unwrap_or((line, ""));
    // What a service may be configured with: segments that are not empty.
    let whole = |prefix: &&str| {
        *prefix == "/"
            || prefix
                .strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(|part| !part.is_empty()))
    };
    let more = more
        .split(' ')
        .filter(whole)
        .filter(|prefix| prefix.matches('/').count() <= 16);
    let prefixes: BTreeSet<String> = PREFIXES.iter().copied().chain(more).map(str::to_owned).collect();
    assert_eq!(
        prefix_of(&prefixes, path),
        longest(&prefixes, path),
        "{path:?} among {prefixes:?}"
    );
}
